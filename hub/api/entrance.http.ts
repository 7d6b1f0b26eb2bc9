/** The operators' entrance: HTTP on loopback or HTTPS anywhere, which pages may come in, and the throttle of failed tokens. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { SecureVersion } from 'node:tls';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RefusedError } from '../kit/errors.ts';
import { createThrottle } from '../kit/throttle.ts';
import type { Upgrades } from './upgrades.ws.ts';

/** PEM texts. */
export interface ApiTls {
  cert: string;
  key: string;
  minVersion: SecureVersion;
}

export interface EntranceOptions {
  /** Without it plain HTTP is spoken. */
  tls?: ApiTls;
  /** Failed tokens of one address before it is told to wait; 60. */
  failedAttemptsPerMinute?: number;
}

export interface Entrance {
  /** Makes a server for fastify; it may ask for several, one for each address of a name. */
  serverFactory(handler: RequestListener): Server;
  /** Adds what holds for every request: nothing is cached, no page of another address comes in. */
  guard(app: FastifyInstance): void;
  /** Rethrows why a token was refused; after too many of one address, how long it has to wait. `isGuess`: one was sent. */
  throttle(request: FastifyRequest, error: unknown, isGuess: boolean): never;
  /** The next handshakes use this certificate. */
  useCertificate(tls: ApiTls): void;
}

const LIMITS = { headersTimeout: 10_000, requestTimeout: 60_000, keepAliveTimeout: 72_000, noDelay: true };
const HANDSHAKE_MS = 10_000;

export function createEntrance({ tls, failedAttemptsPerMinute = 60 }: EntranceOptions, upgrades: Upgrades): Entrance {
  const limits = { ...LIMITS, shouldUpgradeCallback: upgrades.isWanted };
  const secure: TlsServer[] = [];
  const failures = createThrottle(failedAttemptsPerMinute);
  return {
    serverFactory(handler) {
      const server = tls
        ? createTlsServer({ ...limits, ...tls, handshakeTimeout: HANDSHAKE_MS }, handler)
        : createServer(limits, handler);
      if (tls) secure.push(server as TlsServer);
      upgrades.attach(server, handler);
      return server;
    },
    guard(app) {
      app.addHook('onRequest', async (request, reply) => {
        reply.header('cache-control', 'no-store');
        refuseForeignPage(request);
      });
    },
    throttle({ ip }, error, isGuess) {
      const hasFailed = isGuess && error instanceof RefusedError && error.code === 'unauthorized';
      const waitMs = hasFailed ? failures.failed(ip, Date.now()) : 0;
      if (waitMs === 0) throw error;
      const detail = `Wait ${Math.ceil(waitMs / 1000)} s before the next one.`;
      throw new RefusedError('too-many-attempts', detail, waitMs);
    },
    useCertificate(next) {
      for (const server of secure) server.setSecureContext(next);
    },
  };
}

/** A browser names the page that asks; only pages of this address may. Programs name none. */
function refuseForeignPage({ headers, host }: FastifyRequest): void {
  const { origin } = headers;
  if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
  throw new RefusedError('origin', 'Pages of other addresses may not use this API.');
}
