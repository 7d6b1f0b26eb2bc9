/** The device's WebSocket, by the package `ws`: TLS, token header, and what the hub answered to a refused upgrade. */
import type { IncomingMessage } from 'node:http';
import WebSocket from 'ws';
import type { Closed, Connect } from './connection.ts';

export interface SocketOptions {
  /** `wss://HOST:PORT/v1/device` */
  url: string;
  /** PEM certificate(s) to trust instead of the system's. */
  ca?: string;
  /** Trusts any certificate: for experiments only. */
  insecure?: boolean;
}

const SUBPROTOCOL = 'telemetry-hub.v1';
const CLOSE_MS = 2_000;
const PROBLEM_BYTES = 4_096;

/** Makes the `connect` of a `Device`. A new socket for each call; nothing is shared between devices. */
export function createConnect({ url, ca, insecure }: SocketOptions): Connect {
  const tls = { ...(ca !== undefined && { ca }), rejectUnauthorized: !insecure };
  return (token, events) => {
    const headers = { authorization: `Bearer ${token}` };
    const ws = new WebSocket(url, SUBPROTOCOL, { ...tls, headers, perMessageDeflate: false });
    let why: Partial<Closed> = {};
    const gone = new Promise<void>((resolve) => {
      ws.on('close', (code, reason) => {
        resolve();
        events.closed({ code, reason: reason.toString(), ...why });
      });
    });
    ws.on('open', () => events.opened());
    ws.on('message', (data) => events.received(data.toString()));
    ws.on('ping', () => events.pinged());
    ws.on('error', (error) => {
      why = { reason: error.message, ...why };
    });
    ws.on('unexpected-response', (_request, response) => {
      void refusal(response).then((refused) => {
        why = refused;
        ws.terminate();
      });
    });
    return {
      send: (text) => ws.readyState === WebSocket.OPEN && ws.send(text),
      async close() {
        if (ws.readyState === WebSocket.CLOSED) return;
        ws.close(1000);
        const patience = setTimeout(() => ws.terminate(), CLOSE_MS);
        await gone;
        clearTimeout(patience);
      },
    };
  };
}

/** Reads the problem details (RFC 9457) of a refused upgrade. */
async function refusal(response: IncomingMessage): Promise<Partial<Closed>> {
  const status = response.statusCode ?? 0;
  const retryAfterMs = retryAfter(response.headers['retry-after']);
  const reason = `HTTP ${status} ${await problem(response)}`.trim();
  return { status, reason, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

async function problem(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += chunk;
      if (text.length > PROBLEM_BYTES) break;
    }
    const { title, detail } = JSON.parse(text);
    return String(detail ?? title ?? '');
  } catch {
    return response.statusMessage ?? '';
  }
}

/** Seconds, or an HTTP date. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
