/** A WebSocket that says exactly what a test tells it to, and remembers what the hub answered. */
import type { IncomingMessage } from 'node:http';
import WebSocket from 'ws';
import type { TestHub } from './hub.ts';
import { PATIENCE_MS } from './patience.ts';

export type Answer = { type: string } & Record<string, unknown>;

export interface RawDevice {
  say(frame: unknown): void;
  sendRaw(data: Buffer | string, options?: { binary?: boolean }): void;
  /** The next frame from the hub that has not been looked at. Throws after some seconds without one. */
  next(): Promise<Answer>;
  /** The close code, once the hub has closed it. */
  readonly closed: Promise<number>;
  close(): void;
  readonly ws: WebSocket;
}

export interface Knocking {
  token?: string;
  protocols?: string[];
  path?: string;
  headers?: Record<string, string>;
  /** Instead of the hub's own address, for one who comes through a proxy. */
  url?: string;
  /** The address it calls from. */
  localAddress?: string;
  /** What it trusts instead of the hub's own certificate. PEM text. */
  ca?: string;
  /** The certificate that it shows. PEM texts. */
  client?: { cert: string; key: string };
}

/** Connects with a token, or throws `Refused` with what the hub answered. */
export async function connectRaw(hub: TestHub, options: Knocking = {}): Promise<RawDevice> {
  const { token, protocols = ['telemetry-hub.v1'], path, headers = {}, client, localAddress } = options;
  const { url = path === undefined ? hub.gateway : new URL(path, hub.gateway).href } = options;
  const { ca = url.startsWith('wss:') ? hub.ca : undefined } = options;
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const ws = new WebSocket(url, protocols, {
    ...(ca !== undefined && { ca }),
    ...(localAddress !== undefined && { localAddress }),
    ...(client && { cert: client.cert, key: client.key }),
    headers: { ...authorization, ...headers },
    perMessageDeflate: false,
  });
  const waiting: Answer[] = [];
  let wake = () => {};
  ws.on('message', (data) => {
    waiting.push(JSON.parse(data.toString()));
    wake();
  });
  const closed = new Promise<number>((resolve) => ws.on('close', resolve));
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
    ws.once('unexpected-response', (_request, response) => void refusalOf(response).then(reject));
  });
  ws.on('error', () => {});
  return {
    ws,
    closed,
    say: (frame) => ws.send(JSON.stringify(frame)),
    sendRaw: (data, { binary = false } = {}) => ws.send(data, { binary }),
    async next() {
      const until = Date.now() + PATIENCE_MS;
      while (waiting.length === 0) {
        if (Date.now() > until) throw new Error('the hub said nothing');
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, 100);
        });
      }
      return waiting.shift()!;
    },
    close: () => ws.close(),
  };
}

/** The HTTP answer that a refused upgrade got. */
export class Refused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly problem: Record<string, unknown>;
  constructor(response: IncomingMessage, body: string) {
    super(`refused with ${response.statusCode}: ${body}`);
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    this.problem = JSON.parse(body);
  }
}

async function refusalOf(response: IncomingMessage): Promise<Refused> {
  let body = '';
  for await (const chunk of response) body += chunk;
  return new Refused(response, body);
}

/** What the hub answers to an attempt that must fail. */
export async function refusal(hub: TestHub, options: Knocking): Promise<Refused> {
  try {
    (await connectRaw(hub, options)).close();
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new Error('the hub let it in');
}
