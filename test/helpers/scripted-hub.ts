/** A hub of which a test plays the part: it accepts sockets, hands over what devices say, and says what it is told. */
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Downlink, Uplink, Welcome } from '../../schemas/types.gen.ts';
import { PATIENCE_MS } from './patience.ts';

type Said<T extends Uplink['type']> = Extract<Uplink, { type: T }>;

const LIMITS: Welcome['limits'] = { frameBytes: 131_072, readingsPerFrame: 1000, window: 256, readingsPerSecond: 5000 };

/** Items that arrive before or after somebody asks for them. */
class Inbox<T> {
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;

  put(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  get size(): number {
    return this.#items.length;
  }

  /** Rejects when nothing comes in time. */
  async take(what: string): Promise<T> {
    const deadline = AbortSignal.timeout(PATIENCE_MS);
    while (this.#items.length === 0) {
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve;
        deadline.addEventListener('abort', () => reject(new Error(`no ${what} came`)), { once: true });
      });
    }
    return this.#items.shift()!;
  }
}

/** One connection of a device, seen from the hub. */
export class ScriptedSession {
  /** As sent in the Authorization header. */
  readonly token: string;
  readonly closed: Promise<number>;
  readonly #ws: WebSocket;
  readonly #frames = new Inbox<Uplink>();

  constructor(ws: WebSocket, request: IncomingMessage) {
    this.#ws = ws;
    this.token = (request.headers.authorization ?? '').replace('Bearer ', '');
    this.closed = new Promise((resolve) => ws.on('close', resolve));
    ws.on('message', (data) => this.#frames.put(JSON.parse(data.toString())));
  }

  /** Frames that came and were not looked at. */
  get unread(): number {
    return this.#frames.size;
  }

  /** The device's next frame, which must be of this type. */
  async next<T extends Uplink['type']>(type: T): Promise<Said<T>> {
    const frame = await this.#frames.take(`"${type}" frame`);
    if (frame.type !== type) throw new Error(`expected a "${type}" frame, not ${JSON.stringify(frame)}`);
    return frame as Said<T>;
  }

  /** The numbers of the next telemetry frames. */
  async nextSeqs(count: number): Promise<(number | undefined)[]> {
    const seqs = [];
    for (let n = 0; n < count; n++) seqs.push((await this.next('telemetry')).seq);
    return seqs;
  }

  send(frame: Downlink): void {
    this.#ws.send(JSON.stringify(frame));
  }

  /** Reads `hello` and answers it. */
  async welcome(resume = 0, limits: Partial<Welcome['limits']> = {}): Promise<Said<'hello'>> {
    const hello = await this.next('hello');
    const common = { type: 'welcome', session: 's', time: Date.now(), heartbeatMs: 25_000 } as const;
    this.send({ ...common, resume, limits: { ...LIMITS, ...limits } });
    return hello;
  }

  close(code: number, reason = ''): void {
    this.#ws.close(code, reason);
  }

  /** As if the network was cut. */
  cut(): void {
    this.#ws.terminate();
  }

  /** Reads nothing more, so that not even a close is answered. */
  freeze(): void {
    this.#ws.pause();
  }

  /** Acknowledges every numbered frame from now on; `answer` may do something else first (true: no ack). */
  ackAll(answer: (frame: Said<'telemetry'>) => boolean | undefined = () => undefined): void {
    const serve = (frame: Uplink) => {
      if (frame.type === 'telemetry' && !answer(frame)) this.send({ type: 'ack', seq: frame.seq! });
    };
    this.#ws.on('message', (data) => serve(JSON.parse(data.toString())));
  }
}

/** How an upgrade is refused. */
export interface UpgradeRefusal {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

export interface ScriptedHub {
  url: string;
  /** The next device that connects. */
  nextSession(): Promise<ScriptedSession>;
  /** Connections so far, refused ones too. */
  readonly attempts: number;
  /** The next connection attempts are refused so, in this order. */
  refuseNext(...refusals: UpgradeRefusal[]): void;
  close(): Promise<void>;
}

/** Listens on a free loopback port. `onSession` may serve devices without a script; `tls` is a PEM key and certificate. */
export async function startScriptedHub(
  onSession?: (session: ScriptedSession) => void,
  tls?: { key: string; cert: string },
): Promise<ScriptedHub> {
  const sessions = new Inbox<ScriptedSession>();
  const refusals: UpgradeRefusal[] = [];
  let attempts = 0;
  const server = tls ? createTlsServer(tls) : createServer();
  const wss = new WebSocketServer({ noServer: true, handleProtocols: () => 'telemetry-hub.v1' });
  server.on('upgrade', (request, socket, head) => {
    attempts++;
    const refusal = refusals.shift();
    if (refusal) return refuse(socket, refusal);
    wss.handleUpgrade(request, socket, head, (ws) => {
      const session = new ScriptedSession(ws, request);
      if (onSession) onSession(session);
      else sessions.put(session);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `${tls ? 'wss' : 'ws'}://127.0.0.1:${(server.address() as AddressInfo).port}/v1/device`,
    nextSession: () => sessions.take('connection'),
    get attempts() {
      return attempts;
    },
    refuseNext: (...next) => refusals.push(...next),
    async close() {
      for (const ws of wss.clients) ws.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(socket: Duplex, { status, headers = {}, body = {} }: UpgradeRefusal): void {
  const text = JSON.stringify(body);
  const all = {
    'Content-Type': 'application/problem+json',
    'Content-Length': text.length,
    Connection: 'close',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join('')}\r\n${text}`);
}
