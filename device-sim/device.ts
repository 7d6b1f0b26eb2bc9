/**
 * THE REFERENCE CLIENT: what a device does to deliver readings through any failure, and to answer commands. With link.ts,
 * outbox.ts and answers.ts it knows neither sockets nor files, and may be copied into any language.
 */
import type { Downlink, ErrorFrame, Flow, Hello, Reject, Uplink, Welcome } from '../schemas/types.gen.ts';
import { Answers, type Handler } from './answers.ts';
import type { Connect } from './connection.ts';
import { type DeviceState, Link } from './link.ts';
import { Outbox } from './outbox.ts';

/** `ts` in Unix milliseconds (fractions to the microsecond), and the fields of the stream. */
export type Reading = Record<string, number | string | boolean>;

/** What became of a frame. */
export interface Answered {
  seq: number;
  readings: number;
  /** Those of them that the hub refused for good. */
  rejected: number;
  /** From first sending to ack. */
  latencyMs: number;
}

export interface DeviceOptions {
  token: string;
  /** What an ack shall mean: fsynced by the hub (default), or accepted by the telemetry store. */
  ack?: 'journaled' | 'stored';
  /**
   * A device that keeps its counter over restarts hands in both: the epoch, and the last number it used in it. Without
   * the counter the epoch must be new, or new readings would bear numbers that the hub believes to have.
   */
  counter?: { epoch: string; seq: number };
  /** Readings held at most while the hub is away; beyond it the oldest are dropped. Default 10,000. */
  outboxReadings?: number;
  /** By name of the command; `*` takes those without a handler of their own. */
  commands?: Record<string, Handler>;
  firmware?: string;
  /** 0 … 1, for the jitter of the back-off. */
  random?: () => number;
}

export interface DeviceEvents {
  onState?(state: DeviceState, detail: string): void;
  onAck?(answered: Answered): void;
  onReject?(reject: Reject): void;
  onFlow?(flow: Flow): void;
  /** The token for the next connections: save it where the present one is kept. */
  onToken?(token: string): void;
  onError?(error: ErrorFrame): void;
}

const SDK = 'telemetry-hub-sim/1';
/** What is assumed until the first `welcome`. */
const LIMITS: Welcome['limits'] = { frameBytes: 131_072, readingsPerFrame: 1000, window: 256, readingsPerSecond: 5000 };
/** Room for the number in front of a frame's body. */
const HEAD_BYTES = 64;

export class Device {
  readonly #options: DeviceOptions;
  readonly #events: DeviceEvents;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #answers: Answers;
  #epoch: string;
  #limits = LIMITS;
  /** The hub's clock minus ours. */
  #clockMs = 0;
  /** On this connection: the highest number sent, and the highest acknowledged. What lies between is the window. */
  #sent = 0;
  #acked = 0;
  #resent = 0;
  /** Set while the hub has asked us to wait. */
  #flow: NodeJS.Timeout | undefined;

  constructor(connect: Connect, options: DeviceOptions, events: DeviceEvents = {}) {
    const { token, counter, outboxReadings = 10_000, commands = {}, random = Math.random } = options;
    this.#options = options;
    this.#events = events;
    this.#epoch = counter?.epoch ?? crypto.randomUUID();
    this.#outbox = new Outbox(outboxReadings, counter?.seq);
    this.#answers = new Answers(commands, (frame) => this.#say(frame));
    const received = (text: string) => this.#receive(text);
    const changed = (state: DeviceState, detail: string) => this.#changed(state, detail);
    this.#link = new Link(connect, token, { opened: () => this.#greet(), received, changed }, random);
  }

  get state(): DeviceState {
    return this.#link.state;
  }

  /** What a device with a lasting memory saves, beside its outbox. */
  get counter(): { epoch: string; seq: number } {
    return { epoch: this.#epoch, seq: this.#outbox.last };
  }

  /** Readings: `held` wait for their ack, `room` more fit, `dropped` were lost to a full outbox. `resent`: frames. */
  get outbox(): { held: number; room: number; dropped: number; resent: number } {
    const { readings, room, dropped } = this.#outbox;
    return { held: readings, room, dropped, resent: this.#resent };
  }

  /** Connects, and stays connected. */
  start(): void {
    this.#link.start();
  }

  /** Disconnects and keeps what is held, to be sent after another `start`. Resolves when the socket is gone. */
  stop(): Promise<void> {
    return this.#link.stop();
  }

  /**
   * Takes one frame of readings (1,000 at most) into the outbox, and sends it as soon as the hub lets us. Returns its
   * number, by which `onAck` and `onReject` refer to it within this epoch. Throws `RangeError` when it is too large.
   */
  send(stream: string, readings: Reading[]): number {
    const body = `"stream":${JSON.stringify(stream)},"readings":${JSON.stringify(readings)}}`;
    const { frameBytes, readingsPerFrame } = this.#limits;
    if (readings.length > readingsPerFrame) throw new RangeError(`a frame takes at most ${readingsPerFrame} readings`);
    if (Buffer.byteLength(body) + HEAD_BYTES > frameBytes)
      throw new RangeError(`a frame has at most ${frameBytes} bytes`);
    const seq = this.#outbox.add(body, readings.length);
    this.#pump();
    return seq;
  }

  /**
   * After a reboot, or when the counter was lost: numbers begin at 1 again, on a new connection. Frames in flight are
   * sent again under new numbers; the hub stores a reading once all the same, for its identity is its time.
   */
  beginEpoch(): void {
    this.#epoch = crypto.randomUUID();
    this.#outbox.renumber();
    this.#link.restart();
  }

  // --- what the hub says ------------------------------------------------------------------------------------------

  #receive(text: string): void {
    const frame = parse(text);
    switch (frame?.type) {
      case 'welcome':
        return this.#welcome(frame);
      case 'ack':
        return this.#ack(frame.seq);
      case 'reject':
        return this.#reject(frame);
      case 'flow':
        return this.#wait(frame);
      case 'command':
        return this.#answers.take(frame, Date.now() + this.#clockMs);
      case 'result-ack':
        this.#link.useful();
        return this.#answers.acknowledge(frame.id);
      case 'token':
        this.#link.token = frame.token;
        return this.#events.onToken?.(frame.token);
      case 'error':
        // The hub does not know the command any more; nobody waits for the answer.
        if (frame.id !== undefined) this.#answers.acknowledge(frame.id);
        return this.#events.onError?.(frame);
      // Anything else is of a newer hub, and not for us.
    }
  }

  #welcome({ resume, limits, time, heartbeatMs }: Welcome): void {
    // The hub knows higher numbers of this epoch than we do: our counter was lost, and must not be continued.
    if (resume > this.#outbox.last) return this.beginEpoch();
    this.#limits = limits;
    this.#clockMs = time - Date.now();
    this.#release(resume);
    this.#sent = this.#acked = this.#outbox.first - 1;
    this.#link.welcomed(heartbeatMs);
    this.#answers.repeat();
    this.#pump();
  }

  #ack(seq: number): void {
    this.#link.useful();
    this.#acked = Math.max(this.#acked, seq);
    this.#release(seq);
    this.#pump();
  }

  #release(upTo: number): void {
    let seq = this.#outbox.first;
    const now = performance.now();
    for (const { readings, rejected, sentAt = now } of this.#outbox.release(upTo)) {
      this.#events.onAck?.({ seq: seq++, readings, rejected, latencyMs: now - sentAt });
    }
  }

  #reject(reject: Reject): void {
    const frame = reject.seq === undefined ? undefined : this.#outbox.get(reject.seq);
    const refused = new Set(reject.errors.map(({ index }) => index));
    if (frame) frame.rejected = refused.has(undefined) ? frame.readings : refused.size;
    this.#events.onReject?.(reject);
  }

  #wait(flow: Flow): void {
    const { from, retryAfterMs } = flow;
    if (from !== undefined) this.#sent = Math.min(this.#sent, from - 1);
    clearTimeout(this.#flow);
    this.#flow = setTimeout(() => {
      this.#flow = undefined;
      // The full outbox has dropped meanwhile what the hub waits for; only a new connection makes the hub move on.
      if (from !== undefined && from < this.#outbox.first) return this.#link.restart();
      this.#pump();
    }, retryAfterMs);
    this.#events.onFlow?.(flow);
  }

  #changed(state: DeviceState, detail: string): void {
    if (state !== 'online') {
      clearTimeout(this.#flow);
      this.#flow = undefined;
      this.#answers.pause();
    }
    this.#events.onState?.(state, detail);
  }

  // --- what we say ------------------------------------------------------------------------------------------------

  #greet(): void {
    const { ack = 'journaled', firmware } = this.#options;
    const hello: Hello = { type: 'hello', epoch: this.#epoch, ack, sdk: SDK };
    this.#say(firmware === undefined ? hello : { ...hello, firmware });
  }

  /** Sends what the window allows. */
  #pump(): void {
    if (this.#link.state !== 'online' || this.#flow) return;
    while (this.#sent - this.#acked < this.#limits.window) {
      const seq = Math.max(this.#sent + 1, this.#outbox.first);
      const frame = this.#outbox.get(seq);
      if (!frame) return;
      this.#link.send(`{"type":"telemetry","seq":${seq},${frame.body}`);
      this.#sent = seq;
      if (frame.sentAt === undefined) frame.sentAt = performance.now();
      else this.#resent++;
    }
  }

  #say(frame: Uplink): void {
    this.#link.send(JSON.stringify(frame));
  }
}

function parse(text: string): Downlink | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
