/** The door for devices: TLS, the HTTP upgrade, and WebSockets handed to sessions. The home of `ws`. */
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { isOfCertificate } from '../devices/device-tokens.ts';
import { UserError } from '../kit/errors.ts';
import { isLoopback } from '../kit/network.ts';
import { type Admission, type Admitted, DEVICE_PATH, type Knock, SUBPROTOCOL } from './admission.ts';
import {
  answerPlainRequest,
  type DoorRefusal,
  handshakeRefusal,
  notFoundRefusal,
  refuseUpgrade,
} from './answers.http.ts';
import type { TlsMaterial } from './certificates.tls.ts';
import { certificateEndOf, certificateOf } from './client-certificate.tls.ts';
import { HEARTBEAT_GROUPS, startHeartbeat } from './heartbeat.ts';
import { createPeers, type PeerOptions } from './peers.net.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import { createTurnBudget, WsConnection } from './socket.ws.ts';
import { createTakeovers } from './takeovers.ts';

export interface ListenerDeps {
  admission: Admission;
  sessions: Sessions;
  log: { debug(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export interface ListenerOptions extends Pick<PeerOptions, 'proxies' | 'proxyProtocol'> {
  host: string;
  port: number;
  /** A Unix socket instead of host and port. */
  socketPath?: string;
  /** Without it the listener speaks plain HTTP. */
  tls?: TlsMaterial;
  frameBytes: number;
  heartbeatMs: number;
  /** Sockets that may be open at a time; a few more may knock. */
  maxConnections: number;
}

export interface Listener {
  /** 0 on a Unix socket. */
  readonly port: number;
  /** What came to the door since the hub started, by what became of it: `admitted`, or the word of the refusal. */
  readonly knocks: Readonly<Record<string, number>>;
  /** The next handshakes use this certificate. Devices that came in with theirs have to show it again, if `isAnew`. */
  useCertificate(tls: TlsMaterial, isAnew: boolean): void;
  /** Stops listening, then says 1001 to every device, spread over `spreadMs`. Idempotent. */
  close(spreadMs?: number): Promise<void>;
}

const HEADERS_MS = 5_000;
const HANDSHAKE_MS = 10_000;
const MAX_FRAGMENTS = 1_024;
/** Sockets that may be at the door beyond those that are in. */
const KNOCKING = 1_000;
const CLOSE_GRACE_MS = 3_000;
const TAKEOVERS = { limit: 5, withinMs: 10_000 };
/** For the hub's user and group: the proxy's user belongs to the group. */
const SOCKET_MODE = 0o660;

/** Starts listening; throws the error of `listen` (EADDRINUSE …). */
export async function createListener(deps: ListenerDeps, options: ListenerOptions): Promise<Listener> {
  const { admission, sessions, log } = deps;
  const server = makeServer(options);
  server.maxConnections = options.maxConnections + KNOCKING;
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: options.frameBytes,
    maxFragments: MAX_FRAGMENTS,
    clientTracking: false,
    handleProtocols: () => SUBPROTOCOL,
  });
  const links = new Map<WsConnection, Session>();
  const budget = createTurnBudget();
  const knocks: Record<string, number> = {};
  const count = (what: string) => {
    knocks[what] = (knocks[what] ?? 0) + 1;
  };
  const peers = createPeers({ ...options, isUnix: options.socketPath !== undefined, onDrop: count });
  peers.guard(server);
  const takeovers = createTakeovers(TAKEOVERS);

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const knock = knockOf(request, peers.addressOf(request));
    const verdict = judge(knock);
    if ('code' in verdict) return turnAway(socket, verdict, knock.address);
    sockets.handleUpgrade(request, socket, head, (ws) => {
      count('admitted');
      peers.admitted(socket as Socket);
      welcome(ws, verdict, socket as Socket, knock.address);
    });
  });
  // Who may come in, and does not know how.
  sockets.on('wsClientError', (error: Error, socket: Duplex, request: IncomingMessage) =>
    turnAway(socket, handshakeRefusal(request, error.message), peers.addressOf(request)),
  );

  function turnAway(socket: Duplex, refusal: DoorRefusal, address: string): void {
    count(refusal.code);
    log.debug({ address, code: refusal.code }, 'a device was not let in');
    refuseUpgrade(socket, refusal);
  }

  function judge(knock: Knock): Admitted | DoorRefusal {
    if (knock.url.split('?')[0] !== DEVICE_PATH) return notFoundRefusal(knock.url);
    const verdict = admission.admit(knock, links.size, Date.now());
    return 'code' in verdict ? verdict : (quarrelAbout(verdict.device) ?? verdict);
  }

  /** Who has to wait because two clients take one device from each other: the one inside stays inside. */
  function quarrelAbout(device: string): DoorRefusal | undefined {
    if (!sessions.get(device)) return undefined;
    const { waitMs, isNews } = takeovers.knock(device, performance.now());
    if (waitMs === 0) return undefined;
    if (isNews)
      log.warn({ device }, 'two clients with the token of one device take it from each other; the newer waits');
    const detail = 'another client of this device is connected; give each its own token';
    return { code: 'takeover', detail, retryAfterSeconds: Math.ceil(waitMs / 1000) };
  }

  function welcome(ws: WebSocket, { device, keyId }: Admitted, socket: Socket, address: string): void {
    ws.on('error', (error) => log.debug({ device, error: error.message }, 'a socket failed'));
    const endsAt = isOfCertificate(keyId) ? certificateEndOf(socket) : Number.POSITIVE_INFINITY;
    const connection = new WsConnection(ws, { address, heartbeatGroup: links.size % HEARTBEAT_GROUPS, endsAt });
    const session = sessions.open(device, connection, Date.now(), keyId);
    const spend = budget(ws);
    links.set(connection, session);
    log.debug({ device, session: session.id, address: connection.address }, 'a device connected');
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      connection.alive();
      spend(session.isDeaf);
      if (isBinary) session.close('binary', 'send text frames');
      else session.receive(data, Date.now());
    });
    ws.on('pong', () => connection.alive());
    ws.on('ping', () => {
      connection.alive();
      spend(session.isDeaf);
      session.checkBacklog();
    });
    ws.on('close', (code) => {
      links.delete(connection);
      sessions.ended(session, code, Date.now());
      log.debug({ device, session: session.id, code }, 'a device disconnected');
    });
  }

  const stopHeartbeat = startHeartbeat(links, options.heartbeatMs);
  await listen(server, options);
  let closed: Promise<void> | undefined;

  async function shut(spreadMs: number): Promise<void> {
    stopHeartbeat();
    const stopped = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    await sayGoodbye([...links.values()], spreadMs);
    const until = performance.now() + CLOSE_GRACE_MS;
    while (links.size > 0 && performance.now() < until) await sleep(5);
    for (const connection of links.keys()) connection.terminate();
    server.closeAllConnections();
    await stopped;
  }

  function useCertificate(tls: TlsMaterial, isAnew: boolean): void {
    (server as TlsServer).setSecureContext(tls);
    if (!isAnew) return;
    for (const session of links.values())
      if (isOfCertificate(session.keyId)) session.close('draining', 'show your certificate again');
  }

  return {
    port: options.socketPath === undefined ? (server.address() as AddressInfo).port : 0,
    knocks,
    useCertificate,
    close(spreadMs = 0) {
      closed ??= shut(spreadMs);
      return closed;
    },
  };
}

function makeServer({ tls }: ListenerOptions): Server {
  const limits = { headersTimeout: HEADERS_MS, requestTimeout: HANDSHAKE_MS, noDelay: true };
  if (!tls) return createHttpServer(limits, answerPlainRequest);
  // Who shows no certificate, or a bad one, is heard all the same: the token may be good, and the refusal has a reason.
  const clients = { requestCert: tls.ca !== undefined, rejectUnauthorized: false };
  return createTlsServer({ ...tls, ...limits, ...clients, handshakeTimeout: HANDSHAKE_MS }, answerPlainRequest);
}

/** `address`: of the device. */
function knockOf({ url = '/', headers, socket }: IncomingMessage, address: string): Knock {
  const certificate = certificateOf(socket);
  return {
    url,
    address,
    authorization: headers.authorization,
    origin: headers.origin,
    subprotocols: headers['sec-websocket-protocol'],
    ...(certificate && { certificate }),
  };
}

async function sayGoodbye(open: Session[], spreadMs: number): Promise<void> {
  const pauseEvery = Math.max(1, Math.ceil((open.length * 10) / Math.max(spreadMs, 1)));
  for (const [index, session] of open.entries()) {
    session.close('draining', 'the hub is stopping; come back');
    if (spreadMs > 0 && index % pauseEvery === pauseEvery - 1) await sleep(10);
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Throws the error of `listen`, and `UserError` when the name of a plain door turns out to be no loopback address. */
async function listen(server: Server, { host, port, socketPath, tls }: ListenerOptions): Promise<void> {
  // A socket file that a killed hub left behind: the lock of the data folder has told that no other hub is there.
  if (socketPath !== undefined && lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket()) rmSync(socketPath);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(socketPath === undefined ? error : new UserError(`gateway.socketPath: cannot listen: ${error.message}`)),
    );
    server.listen(socketPath === undefined ? { host, port } : { path: socketPath }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  if (socketPath !== undefined) return chmodSync(socketPath, SOCKET_MODE);
  const { address } = server.address() as AddressInfo;
  if (tls || isLoopback(address)) return;
  server.close();
  throw new UserError(`gateway.host: ${host} is ${address}, which others can reach; without TLS it must be loopback.`);
}
