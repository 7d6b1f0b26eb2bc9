/** WebSockets of the operator API: they come in through the same routes as any request, so roles, throttle and limits hold. */
import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { REFUSALS, RefusedError } from '../kit/errors.ts';
import type { Pass } from './passes.ts';
import type { Answer, Peer } from './route.ts';

export interface Upgrades {
  /** For `shouldUpgradeCallback`: nothing but a WebSocket leaves HTTP. */
  isWanted(request: IncomingMessage): boolean;
  /** Hands the server's upgrades to the listener as requests; what it answers goes back as plain HTTP. */
  attach(server: Server, listener: RequestListener): void;
  /** Whether the request came as an upgrade. */
  isUpgrade(request: IncomingMessage): boolean;
  /** Answers with a WebSocket, which lasts until one of both ends it, or `pass` or `closing` does. Throws `RefusedError` (full). */
  accept(request: IncomingMessage, talk: NonNullable<Answer['socket']>, pass: Pass, closing: AbortSignal): void;
}

interface Knock {
  socket: Duplex;
  head: Buffer;
  response: ServerResponse;
}

const FRAME_BYTES = 65_536;
const MAX_SOCKETS = 200;
const HEARTBEAT_MS = 25_000;
/** A reader who takes nothing for so long is cut off; a goodbye is waited for much shorter. */
const STUCK_MS = 30_000;
const CLOSE_MS = 1_000;

export function createUpgrades(): Upgrades {
  const knocks = new WeakMap<IncomingMessage, Knock>();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: FRAME_BYTES });
  return {
    isWanted: ({ method, headers }) => method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket',
    attach(server, listener) {
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        socket.on('error', () => socket.destroy());
        const response = new ServerResponse(request);
        response.shouldKeepAlive = false;
        response.assignSocket(socket as Socket);
        response.on('finish', () => socket.end());
        knocks.set(request, { socket, head, response });
        listener(request, response);
      });
    },
    isUpgrade: (request) => knocks.has(request),
    accept(request, talk, pass, closing) {
      const { socket, head, response } = knocks.get(request)!;
      if (sockets.clients.size >= MAX_SOCKETS) {
        pass.giveBack();
        throw new RefusedError('full', `${MAX_SOCKETS} pages and programs watch already.`);
      }
      response.detachSocket(socket as Socket);
      socket.once('close', pass.giveBack);
      sockets.handleUpgrade(request, socket, head, (ws) => welcome(ws, talk, pass, closing));
    },
  };
}

function welcome(ws: WebSocket, talk: NonNullable<Answer['socket']>, pass: Pass, closing: AbortSignal): void {
  const gone = new AbortController();
  const peer: Peer = { signal: gone.signal, send: (text) => send(ws, text), close: (...why) => close(ws, ...why) };
  const stopPings = keepAlive(ws);
  const onClosing = () => close(ws, 'draining', 'the hub is stopping; come back');
  const onExpelled = () => close(ws, 'token-invalid', 'sign in again');
  closing.addEventListener('abort', onClosing);
  pass.signal.addEventListener('abort', onExpelled);
  ws.on('error', () => ws.terminate());
  ws.on('close', () => {
    stopPings();
    closing.removeEventListener('abort', onClosing);
    gone.abort();
  });
  const hear = talk(peer);
  ws.on('message', (data, isBinary) => {
    if (isBinary) close(ws, 'binary', 'send text frames');
    else hear(String(data));
  });
  if (closing.aborted) onClosing();
  if (pass.signal.aborted) onExpelled();
}

/** Resolves when the text has left the process; one at a time makes the reader's pace ours. */
function send(ws: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stuck = setTimeout(() => ws.terminate(), STUCK_MS);
    ws.send(text, (error) => {
      clearTimeout(stuck);
      if (error) reject(error);
      else resolve();
    });
  });
}

function close(ws: WebSocket, code: keyof typeof REFUSALS, reason: string): void {
  if (ws.readyState !== ws.OPEN) return;
  ws.close(REFUSALS[code].close, reason);
  const timer = setTimeout(() => ws.terminate(), CLOSE_MS);
  ws.once('close', () => clearTimeout(timer));
}

/** Two pings without a pong, and the reader is gone without having said so. */
function keepAlive(ws: WebSocket): () => void {
  let unanswered = 0;
  ws.on('pong', () => {
    unanswered = 0;
  });
  const timer = setInterval(() => {
    if (unanswered >= 2) return ws.terminate();
    unanswered += 1;
    ws.ping();
  }, HEARTBEAT_MS);
  return () => clearInterval(timer);
}
