/** Which frames of a device are taken now, what it is told of the others, and how long the hub bears with it. */
import type { Downlink, Flow } from '../../schemas/types.gen.ts';
import type { RefusalCode } from '../kit/errors.ts';
import type { NotTaken } from '../telemetry/journal.ts';
import type { Allowance } from './rate.ts';
import type { Road } from './road.ts';
import type { Sequence } from './sequence.ts';

/** Who is told: one session. */
interface Listener {
  send(frame: Downlink): void;
  close(code: RefusalCode, detail: string): void;
}

const RETRY_WINDOW_MS = 200;
const RETRY_DISK_MS = 5_000;
/** The disk works, only more came than it takes: what waits for it is written within moments. */
const RETRY_BUSY_MS = 500;
/** So many windows of frames may be refused or ignored in a row before the device is taken for one that does not listen. */
const PATIENCE = 4;
/**
 * Answers to commands may come though readings have used up the rate: twice as many as a device has commands under way.
 * They are charged all the same, so readings wait for answers and not answers for readings.
 */
const ANSWERS_AHEAD = 400;

export class FlowControl {
  readonly #listener: Listener;
  readonly #road: Road;
  readonly #allowance: Allowance;
  /** Frames in a row of which nothing was taken. */
  #strikes = 0;
  /** The last `flow` with a number, which is told once more to a device that goes on elsewhere after the wait. `until`: monotonic. */
  #held: { reason: Flow['reason']; until: number } | undefined;

  constructor(listener: Listener, road: Road, allowance: Allowance) {
    this.#listener = listener;
    this.#road = road;
    this.#allowance = allowance;
  }

  /** Whether the frame of this number is taken if there is room for it; the device is told if not. `now`: Unix milliseconds. */
  isNext(seq: number, bytes: number, sequence: Sequence, now: number): boolean {
    const { waitingFor } = sequence;
    if (seq <= sequence.accepted) this.#again(seq, bytes, sequence, now);
    else if (waitingFor !== undefined && seq !== waitingFor) this.#ignore(waitingFor, sequence);
    else if (sequence.inFlight >= this.#road.limits.window) this.#hold('window', RETRY_WINDOW_MS, seq, sequence);
    else return true;
    return false;
  }

  /** Whether a frame is within the rates of the device; it is told if not. `seq` 0: the frame has no number. */
  allowsFrame(readings: number, bytes: number, seq: number, sequence: Sequence, now: number): boolean {
    const waitMs = this.#allowance.takeFrame(readings, bytes, now);
    if (waitMs > 0) this.#hold('rate', waitMs, seq, sequence);
    return waitMs === 0;
  }

  /** Whether an answer to a command is within the rate of the device; it is told if not. */
  allowsAnswer(now: number): boolean {
    const waitMs = this.#allowance.takeAnswer(now, ANSWERS_AHEAD);
    if (waitMs > 0) this.#refuse('rate', waitMs);
    return waitMs === 0;
  }

  /** The journal does not take a frame now. */
  notTaken(why: NotTaken, seq: number, sequence: Sequence): void {
    if (why === 'busy') this.#hold('overload', RETRY_BUSY_MS, seq, sequence);
    else this.#hold('disk', RETRY_DISK_MS, seq, sequence);
  }

  /** More was refused in a row than can have been under way when the device was told to wait: it does not listen. */
  get isDeaf(): boolean {
    return this.#strikes > this.#road.limits.window;
  }

  /** A frame was taken: patience begins anew. */
  taken(): void {
    this.#strikes = 0;
  }

  /** One more frame of which nothing was taken; a device that sends nothing else is sent away. */
  strike(code: RefusalCode, detail: string): void {
    if (++this.#strikes > PATIENCE * this.#road.limits.window) this.#listener.close(code, detail);
  }

  /** A frame that was taken before: durable ones are acknowledged again, others will be soon. */
  #again(seq: number, bytes: number, sequence: Sequence, now: number): void {
    this.#road.counts.duplicates++;
    // It costs the hub what another frame costs, and needs no patience: the ack is all it can wait for.
    if (this.#allowance.takeFrame(0, bytes, now) > 0) this.strike('flood', 'the same frames again and again');
    if (seq <= sequence.acked) this.#listener.send({ type: 'ack', seq: sequence.acked });
  }

  /** The device was told to begin again with `from` and may not have read it yet; later it is told once more. */
  #ignore(from: number, sequence: Sequence): void {
    const { reason = 'overload', until = 0 } = this.#held ?? {};
    if (this.#road.monotonicMs() >= until) this.#hold(reason, RETRY_WINDOW_MS, from, sequence);
    else this.strike('flood', 'flow frames were ignored');
  }

  /** Nothing of the sequence is taken until the frame of this number comes again. */
  #hold(reason: Flow['reason'], retryAfterMs: number, seq: number, sequence: Sequence): void {
    if (seq === 0) return this.#refuse(reason, retryAfterMs);
    this.#held = { reason, until: this.#road.monotonicMs() + retryAfterMs };
    sequence.waitingFor = seq;
    this.#refuse(reason, retryAfterMs, { from: seq });
  }

  #refuse(reason: Flow['reason'], retryAfterMs: number, begin: { from?: number } = {}): void {
    this.#road.counts.flows++;
    this.#allowance.traffic.flows++;
    this.strike('flood', 'flow frames were ignored');
    this.#listener.send({ type: 'flow', reason, ...begin, retryAfterMs });
  }
}
