/** The door for devices: TLS, the HTTP upgrade, and WebSockets handed to sessions. The home of `ws`. */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { REFUSALS, type Refusal } from '../kit/errors.ts';
import { redact } from '../kit/redact.ts';
import { type Admission, DEVICE_PATH, SUBPROTOCOL } from './admission.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import { createTurnBudget, WsConnection } from './socket.ws.ts';
import { createTakeovers } from './takeovers.ts';

export interface ListenerDeps {
  admission: Admission;
  sessions: Sessions;
  log: { debug(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export interface ListenerOptions {
  host: string;
  port: number;
  /** PEM texts; without them the listener speaks plain HTTP. */
  tls?: { cert: string; key: string };
  frameBytes: number;
  heartbeatMs: number;
  /** Sockets that may be open at a time; a few more may knock. */
  maxConnections: number;
}

export interface Listener {
  readonly port: number;
  /** Stops listening, then says 1001 to every device, spread over `spreadMs`. Idempotent. */
  close(spreadMs?: number): Promise<void>;
}

const HEADERS_MS = 5_000;
const HANDSHAKE_MS = 10_000;
const MAX_FRAGMENTS = 1_024;
/** Sockets that may be at the door beyond those that are in. */
const KNOCKING = 1_000;
/** Connections are pinged in so many groups, one after the other, so that a heartbeat is no burst. */
const HEARTBEAT_GROUPS = 32;
const CLOSE_GRACE_MS = 3_000;
const TAKEOVERS = { limit: 5, withinMs: 10_000 };

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
  const takeovers = createTakeovers(TAKEOVERS);

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const knock = {
      url: request.url ?? '/',
      address: (socket as Socket).remoteAddress ?? 'unknown',
      authorization: request.headers.authorization,
      origin: request.headers.origin,
      subprotocols: request.headers['sec-websocket-protocol'],
    };
    if (knock.url.split('?')[0] !== DEVICE_PATH) return refuseUpgrade(socket, notFound(knock.url));
    const verdict = admission.admit(knock, links.size, Date.now());
    if ('code' in verdict) {
      log.debug({ address: knock.address, code: verdict.code }, 'a device was not let in');
      return refuseUpgrade(socket, verdict);
    }
    const quarrel = quarrelAbout(verdict.device);
    if (quarrel) return refuseUpgrade(socket, quarrel);
    sockets.handleUpgrade(request, socket, head, (ws) => welcome(ws, verdict, socket as Socket));
  });

  /** Who has to wait because two clients take one device from each other: the one inside stays inside. */
  function quarrelAbout(device: string): (Refusal & { retryAfterSeconds: number }) | undefined {
    if (!sessions.get(device)) return undefined;
    const { waitMs, isNews } = takeovers.knock(device, Date.now());
    if (waitMs === 0) return undefined;
    if (isNews)
      log.warn({ device }, 'two clients with the token of one device take it from each other; the newer waits');
    const detail = 'another client of this device is connected; give each its own token';
    return { code: 'takeover', detail, retryAfterSeconds: Math.ceil(waitMs / 1000) };
  }

  function welcome(ws: WebSocket, { device, keyId }: { device: string; keyId: string }, socket: Socket): void {
    ws.on('error', (error) => log.debug({ device, error: error.message }, 'a socket failed'));
    const connection = new WsConnection(ws, socket, links.size % HEARTBEAT_GROUPS);
    const session = sessions.open(device, connection, Date.now(), keyId);
    const spend = budget(ws);
    links.set(connection, session);
    log.debug({ device, session: session.id, address: connection.address }, 'a device connected');
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      connection.alive();
      spend();
      if (isBinary) session.close('binary', 'send text frames');
      else session.receive(data, Date.now());
    });
    ws.on('pong', () => connection.alive());
    ws.on('ping', () => {
      connection.alive();
      spend();
      session.checkBacklog();
    });
    ws.on('close', (code) => {
      links.delete(connection);
      sessions.ended(session, code, Date.now());
      log.debug({ device, session: session.id, code }, 'a device disconnected');
    });
  }

  const stopHeartbeat = startHeartbeat(links, options.heartbeatMs);
  await listen(server, options.host, options.port);
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

  return {
    port: (server.address() as AddressInfo).port,
    close(spreadMs = 0) {
      closed ??= shut(spreadMs);
      return closed;
    },
  };
}

function makeServer({ tls }: ListenerOptions): Server {
  const limits = { headersTimeout: HEADERS_MS, requestTimeout: HANDSHAKE_MS, noDelay: true };
  const server = tls
    ? createTlsServer({ ...tls, ...limits, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS }, answerPlainRequest)
    : createHttpServer(limits, answerPlainRequest);
  return server;
}

/** Whoever speaks HTTP here is told what this port is for. */
function answerPlainRequest(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '/';
  const refusal: Refusal =
    url.split('?')[0] === DEVICE_PATH
      ? { code: 'subprotocol', detail: 'this address speaks WebSocket' }
      : notFound(url);
  const { status, headers, body } = problemOf(refusal);
  response.writeHead(status, headers).end(body);
}

const notFound = (url: string): Refusal => ({
  code: 'not-found',
  detail: `devices connect to ${DEVICE_PATH}, not ${url.split('?')[0]}`,
});

/** An RFC 9457 answer to a request that does not become a WebSocket. */
function problemOf({ code, detail, retryAfterSeconds }: Refusal & { retryAfterSeconds?: number }) {
  const { status, title } = REFUSALS[code];
  const body = `${redact(JSON.stringify({ type: 'about:blank', title, status, code, detail }))}\n`;
  const headers: Record<string, string> = {
    'Content-Type': 'application/problem+json',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
  };
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer realm="telemetry-hub"';
  if (status === 426) Object.assign(headers, { Connection: 'Upgrade, close', Upgrade: 'websocket' });
  if (retryAfterSeconds !== undefined) headers['Retry-After'] = String(retryAfterSeconds);
  return { status, headers, body };
}

function refuseUpgrade(socket: Duplex, refusal: Refusal & { retryAfterSeconds?: number }): void {
  const { status, headers, body } = problemOf(refusal);
  // A peer that never closes its half would keep the socket for ever: after an upgrade no time-out of HTTP applies.
  socket.once('finish', () => socket.destroy());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
}

function startHeartbeat(links: Map<WsConnection, Session>, heartbeatMs: number): () => void {
  let tick = 0;
  const timer = setInterval(() => {
    tick = (tick + 1) % HEARTBEAT_GROUPS;
    for (const [connection, session] of links) {
      if (connection.heartbeatGroup !== tick) continue;
      if (!connection.ping()) session.close('silent', 'two pings went unanswered');
    }
  }, heartbeatMs / HEARTBEAT_GROUPS);
  return () => clearInterval(timer);
}

async function sayGoodbye(open: Session[], spreadMs: number): Promise<void> {
  const pauseEvery = Math.max(1, Math.ceil((open.length * 10) / Math.max(spreadMs, 1)));
  for (const [index, session] of open.entries()) {
    session.close('draining', 'the hub is stopping; come back');
    if (spreadMs > 0 && index % pauseEvery === pauseEvery - 1) await sleep(10);
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
