/** The operator API: an HTTP server that carries the table of routes, with authentication and OpenAPI. */

import { maxHeaderSize } from 'node:http';
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import fastify, { type FastifyInstance } from 'fastify';
import type { Audit } from '../audit/audit.ts';
import { createDamper } from '../audit/damper.ts';
import { RefusedError } from '../kit/errors.ts';
import type { Log } from '../kit/log.ts';
import type { Operators } from '../operators/operators.ts';
import { createAuditTrail } from './audit-trail.ts';
import { addDashboard } from './dashboard.file.ts';
import { addRoute, type Door, pathOf, refusePath, sendProblem } from './door.ts';
import { type ApiTls, createEntrance, type Entrance, type EntranceOptions } from './entrance.http.ts';
import { createRepeats } from './idempotency.ts';
import { methodsOf } from './methods.ts';
import { openapiOf } from './openapi.ts';
import { createPasses } from './passes.ts';
import type { Route } from './route.ts';
import { type RouteDeps, routesOf } from './routes.ts';
import { createUpgrades } from './upgrades.ws.ts';

export interface ApiDeps extends Omit<RouteDeps, 'openapi'> {
  audit: Pick<Audit, 'record' | 'list'>;
  operators: RouteDeps['operators'] & Pick<Operators, 'authenticate' | 'onChange'>;
  log: Log;
  version: string;
}

export interface ApiOptions extends EntranceOptions {
  host: string;
  /** 0 picks a free one. */
  port: number;
  /** Requests of one address in a minute, health apart; 6,000. */
  requestsPerMinute?: number;
  /** Addresses and networks whose X-Forwarded-For is believed; nobody's without it. */
  trustedProxies?: readonly string[];
  /** The folder of the built dashboard; without it there is none. */
  dashboardDir?: string;
}

export interface Api {
  /** Where it listens, for example `http://127.0.0.1:8080`. */
  url: string;
  /** The next handshakes use this certificate. */
  useCertificate(tls: ApiTls): void;
  /** Ends live streams, answers what is under way and stops listening. Idempotent. */
  close(): Promise<void>;
}

/** Bodies of this API are small: a device with all its tags. */
const BODY_BYTES = 64 * 1024;
const CLOSE_MS = 2_000;

/** Listens when it resolves. Rejects when the address cannot be used. */
export async function createApi(deps: ApiDeps, options: ApiOptions): Promise<Api> {
  const { host, port, tls } = options;
  const upgrades = createUpgrades();
  const entrance = createEntrance(options, upgrades);
  const closing = new AbortController();
  const door = { ...doorOf(deps, closing.signal), entrance, upgrades };
  const app = await createServer(door, entrance, options);
  const routes = routesOf({ ...deps, openapi: () => document });
  const document = openapiOf(routes, deps);
  for (const route of routes) addRoute(app, route, door);
  addRest(app, routes, deps.log);
  if (options.dashboardDir !== undefined) await addDashboard(app, options.dashboardDir);
  const address = await app.listen({ host, port });
  let closed: Promise<void> | undefined;
  return {
    url: tls ? address.replace(/^http:/, 'https:') : address,
    useCertificate: entrance.useCertificate,
    close() {
      closing.abort();
      closed ??= closeWithin(CLOSE_MS, app);
      return closed;
    },
  };
}

/** The server as it is around every route. */
async function createServer(door: Door, entrance: Entrance, options: ApiOptions): Promise<FastifyInstance> {
  const { log } = door;
  const { requestsPerMinute = 6_000, trustedProxies = [], tls } = options;
  const app = fastify({
    serverFactory: entrance.serverFactory,
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    bodyLimit: BODY_BYTES,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: true,
    // How long a parameter may be is said by its route, where whoever asks is recognised and it is written down.
    routerOptions: { maxParamLength: maxHeaderSize },
    frameworkErrors: (_error, request, reply) => void refusePath(request, reply, door),
    // Nothing is coerced or dropped in silence: what does not fit is named, all of it at once.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: true } },
  });
  const parse = app.getDefaultJsonParser('error', 'error');
  // No body is no mistake where every member is optional, whatever the header says.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) =>
    body === '' ? done(null) : parse(request, String(body), done),
  );
  app.setErrorHandler((error, request, reply) => sendProblem(log, error, request, reply));
  entrance.guard(app);
  await app.register(helmet, headersFor(tls));
  await app.register(rateLimit, {
    max: requestsPerMinute,
    errorResponseBuilder: (_request, { after }) => new RefusedError('too-many-requests', `Try again in ${after}.`),
  });
  logRequests(app, log);
  return app;
}

/**
 * Answers are data: nothing of them may be run, loaded or framed (the dashboard's files say what they may). Who speaks plain
 * HTTP must not demand TLS of browsers (RFC 6797, 7.2).
 */
function headersFor(tls: ApiTls | undefined): FastifyHelmetOptions {
  const directives = { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] };
  return {
    contentSecurityPolicy: { useDefaults: false, directives },
    frameguard: { action: 'deny' },
    ...(!tls && { hsts: false }),
  };
}

/** What no route takes. */
function addRest(app: FastifyInstance, routes: readonly Route[], log: Log): void {
  const methodsAt = methodsOf(routes);
  app.setNotFoundHandler((request, reply) => {
    const { method } = request;
    const path = pathOf(request);
    const methods = methodsAt(path);
    if (methods.length > 0) reply.header('allow', methods.join(', '));
    const error =
      methods.length > 0
        ? new RefusedError('method', `${path} takes ${methods.join(', ')}, not ${method}.`)
        : new RefusedError('not-found', `There is no ${method} ${path} here.`);
    return sendProblem(log, error, request, reply);
  });
}

function doorOf(
  { operators, browserSessions, log, audit }: ApiDeps,
  closing: AbortSignal,
): Omit<Door, 'entrance' | 'upgrades'> {
  const passes = createPasses();
  operators.onChange(passes.checkAll);
  const trail = createAuditTrail(audit.record, createDamper(audit.record));
  return { operators, sessions: browserSessions, log, trail, repeats: createRepeats(), passes, closing };
}

/** Lets requests under way finish, but not for longer than this. */
async function closeWithin(ms: number, app: FastifyInstance) {
  const impatience = setTimeout(() => app.server.closeAllConnections(), ms);
  await app.close();
  clearTimeout(impatience);
}

function logRequests(app: FastifyInstance, log: Log) {
  app.addHook('onResponse', async (request, reply) => {
    log.debug(
      { method: request.method, path: pathOf(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'request',
    );
  });
}
