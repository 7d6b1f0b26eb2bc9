/** One device that sends mostly nonsense, round by round, and holds every answer of the hub against the protocol. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { seededRandom } from '../helpers/random.ts';
import type { Answer } from '../helpers/raw-device.ts';
import { addFates, Model, noFates } from './model.ts';
import { createMutator, type FuzzFrame } from './mutator.ts';

export interface FuzzDeviceOptions {
  url: string;
  ca: string;
  token: string;
  seed: number;
}

/** Frames that are sent without waiting for an answer; the last is more than the hub's window. */
const BATCHES = [1, 4, 16, 64, 64, 64, 128, 400];
/** One round in so many holds nothing but frames that cannot be used, more than the hub has patience for. */
const TANTRUM_ROUNDS = 300;
const TANTRUM = 1_100;
export const MAX_BATCH = TANTRUM;
/** A connection ends by itself after about so many rounds, or before its numbers become too large to count. */
const ROUNDS = 30;
const MAX_SEQ = 2 ** 52;
const PATIENCE_MS = 30_000;
/** When answers can be read in more than one way, acks that did not come by then do not come. */
const SETTLE_MS = 3_000;
const RUBBISH: FuzzFrame = { data: Buffer.from('{"type":'), isBinary: false, isGood: false };
const KNOWN = new Set(['welcome', 'ack', 'reject', 'flow', 'command', 'result-ack', 'token', 'error']);

export class FuzzDevice {
  fates = noFates();
  /** Closes by the hub, by code. */
  readonly closes: Record<string, number> = {};
  readonly #options: FuzzDeviceOptions;
  readonly #random: () => number;
  readonly #mutator;
  #ws: WebSocket | undefined;
  #model = new Model();
  #answers: Answer[] = [];
  #barriers = 0;
  #wake = () => {};
  #fault: Error | undefined;
  #closedWith: number | undefined;

  constructor(options: FuzzDeviceOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#mutator = createMutator(this.#random);
  }

  /** Sends at most `room` frames and waits until each has its answer; how many were sent. Throws what is wrong. */
  async round(room: number): Promise<number> {
    const ws = await this.#connected();
    const frames = this.#frames(room);
    for (const { data, isBinary } of frames) ws.send(data, { binary: isBinary });
    const barrier = `barrier-${++this.#barriers}`;
    ws.send(`{"type":"${barrier}"}`);
    await this.#until(() => this.#isAt(barrier), `${frames.length} frames are not answered`);
    if (this.#closedWith === undefined) await this.#judge(frames);
    else this.#judgeClosed(frames, this.#closedWith);
    if (this.#model.acked > MAX_SEQ || this.#random() * ROUNDS < 1) await this.close();
    return frames.length;
  }

  #frames(room: number): FuzzFrame[] {
    if (this.#random() * TANTRUM_ROUNDS < 1) return Array.from({ length: Math.min(room, TANTRUM) }, () => RUBBISH);
    const length = Math.min(room, BATCHES[Math.floor(this.#random() * BATCHES.length)]!);
    const first = this.#model.next;
    const now = Date.now();
    return Array.from({ length }, (_, at) => this.#mutator.next(first + at, now));
  }

  async close(): Promise<void> {
    this.fates = addFates(this.fates, this.#model.fates);
    this.#model = new Model();
    const ws = this.#ws;
    this.#ws = undefined;
    if (!ws || ws.readyState === ws.CLOSED) return;
    ws.close();
    await once(ws, 'close');
  }

  async #judge(frames: FuzzFrame[]): Promise<void> {
    const answers = this.#answers.slice(0, -1);
    this.#answers = [];
    const model = this.#model;
    model.judge(frames, answers);
    const since = performance.now();
    const isSettled = () => model.isSettled(performance.now() - since > SETTLE_MS);
    await this.#until(isSettled, `frame ${model.next - 1} is not acknowledged, only ${model.acked}`);
    const flow = answers.findLast(({ type }) => type === 'flow');
    if (flow && model.isHeld) await sleep(Math.min(Number(flow.retryAfterMs), 1_000));
  }

  #judgeClosed(frames: FuzzFrame[], code: number): void {
    this.closes[code] = (this.closes[code] ?? 0) + 1;
    this.#model.judgeClosed(frames, code);
  }

  #isAt(barrier: string): boolean {
    const last = this.#answers.at(-1);
    return this.#closedWith !== undefined || (last?.type === 'error' && String(last.message).includes(`"${barrier}"`));
  }

  async #until(isTrue: () => boolean, complaint: string): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (!isTrue()) {
      if (this.#fault) throw this.#fault;
      if (performance.now() > until) throw new Error(complaint);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 1_000).unref();
      });
    }
  }

  async #connected(): Promise<WebSocket> {
    if (this.#ws?.readyState === WebSocket.OPEN) return this.#ws;
    await this.close();
    this.#answers = [];
    this.#closedWith = undefined;
    const { url, ca, token } = this.#options;
    const headers = { authorization: `Bearer ${token}` };
    const ws = new WebSocket(url, 'telemetry-hub.v1', { ca, headers, perMessageDeflate: false });
    this.#ws = ws;
    await once(ws, 'open');
    ws.on('error', () => {});
    ws.on('message', (data) => this.#heard(data.toString()));
    ws.on('close', (code) => {
      this.#closedWith = code;
      this.#wake();
    });
    return ws;
  }

  #heard(text: string): void {
    try {
      const answer = JSON.parse(text) as Answer;
      if (!KNOWN.has(answer.type)) throw new Error(`the hub said ${text}`);
      if (answer.type === 'ack') this.#model.ack(Number(answer.seq));
      else if (answer.type === 'command') this.#model.commands.add(String(answer.id));
      else if (answer.type !== 'result-ack') this.#answers.push(answer);
    } catch (error) {
      this.#fault = error as Error;
    }
    this.#wake();
  }
}
