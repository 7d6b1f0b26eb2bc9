/**
 * THE REFERENCE CLIENT: what a device does to deliver readings through any failure, and to answer commands. With link.ts,
 * outbox.ts, sending.ts and answers.ts it knows neither sockets nor files, and may be copied into any language.
 */
import type { Downlink, ErrorFrame, Flow, Hello, Reject, Uplink, Welcome } from '../schemas/types.gen.ts';
import { Answers, type Handler } from './answers.ts';
import type { Connect } from './connection.ts';
import { type DeviceState, Link } from './link.ts';
import { Outbox } from './outbox.ts';
import { type Answered, Sending } from './sending.ts';

/** `ts` in Unix milliseconds (fractions to the microsecond), and the fields of the stream. */
export type Reading = Record<string, number | string | boolean>;

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
  readonly #sending: Sending;
  #epoch: string;
  #limits = LIMITS;
  /** The hub's clock minus ours. */
  #clockMs = 0;

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
    this.#sending = new Sending(this.#outbox, this.#link, (answered) => events.onAck?.(answered));
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
    return { held: readings, room, dropped, resent: this.#sending.resent };
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
    this.#sending.pump();
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
        this.#link.useful();
        return this.#sending.acknowledge(frame.seq);
      case 'reject':
        return this.#reject(frame);
      case 'flow':
        this.#sending.wait(frame);
        return this.#events.onFlow?.(frame);
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
    this.#sending.begin(resume, limits.window);
    this.#link.welcomed(heartbeatMs);
    this.#answers.repeat();
    this.#sending.pump();
  }

  #reject(reject: Reject): void {
    const frame = reject.seq === undefined ? undefined : this.#outbox.get(reject.seq);
    const refused = new Set(reject.errors.map(({ index }) => index));
    if (frame) frame.rejected = refused.has(undefined) ? frame.readings : refused.size;
    this.#events.onReject?.(reject);
  }

  #changed(state: DeviceState, detail: string): void {
    if (state !== 'online') {
      this.#sending.pause();
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
