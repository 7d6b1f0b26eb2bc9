/** The HTTP answers of the device port: refusals before a connection becomes a WebSocket. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { REFUSALS, type Refusal } from '../kit/errors.ts';
import { redact } from '../kit/redact.ts';
import { DEVICE_PATH } from './admission.ts';

/** Why a device is not let in, and in how many seconds it may try again. */
export type DoorRefusal = Refusal & { retryAfterSeconds?: number };

/** Whoever speaks HTTP here is told what this port is for. */
export function answerPlainRequest(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '/';
  const isOurs = url.split('?')[0] === DEVICE_PATH;
  const refusal: Refusal = isOurs
    ? { code: 'subprotocol', detail: 'this address speaks WebSocket' }
    : notFoundRefusal(url);
  const { status, headers, body } = problemOf(refusal);
  response.writeHead(status, headers).end(body);
}

/** For a path that is not the devices'. */
export function notFoundRefusal(url: string): Refusal {
  return { code: 'not-found', detail: `devices connect to ${DEVICE_PATH}, not ${url.split('?')[0]}` };
}

/** For an upgrade that is none to a WebSocket; `what` is wrong with it. */
export function handshakeRefusal({ method }: IncomingMessage, what: string): Refusal {
  if (method !== 'GET') return { code: 'method', detail: `a WebSocket is opened by GET, not ${method}` };
  return { code: 'handshake', detail: what };
}

/** Answers an upgrade that is refused, and ends the socket. */
export function refuseUpgrade(socket: Duplex, refusal: DoorRefusal): void {
  const { status, headers, body } = problemOf(refusal);
  // A peer that never closes its half would keep the socket for ever: after an upgrade no time-out of HTTP applies.
  socket.once('finish', () => socket.destroy());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
}

/** An RFC 9457 answer. */
function problemOf({ code, detail, retryAfterSeconds }: DoorRefusal) {
  const { status, title } = REFUSALS[code];
  const body = `${redact(JSON.stringify({ type: 'about:blank', title, status, code, detail }))}\n`;
  const headers: Record<string, string> = {
    'Content-Type': 'application/problem+json',
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    Connection: 'close',
  };
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer realm="telemetry-hub"';
  if (status === 405) headers.Allow = 'GET';
  if (status === 426) Object.assign(headers, { Connection: 'Upgrade, close', Upgrade: 'websocket' });
  if (retryAfterSeconds !== undefined) headers['Retry-After'] = String(retryAfterSeconds);
  return { status, headers, body };
}
