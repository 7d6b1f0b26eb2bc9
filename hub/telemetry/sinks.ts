/** Leads each sink along the journal at its own pace: read, write, move the cursor; none holds up another. */
import { backoffMs } from '../kit/backoff.ts';
import { Unavailable } from '../kit/errors.ts';
import { pause } from '../kit/pause.ts';
import type { Journal, Offset } from './journal.ts';
import type { Frame } from './reading.ts';
import type { Refused, Sink } from './store.ts';

export interface SinksOptions {
  /** Readings written at a time, about. */
  batchReadings: number;
  log: Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;
  /**
   * Keeps what a sink will never take; the cursor moves when it has resolved. May throw `Unavailable`: then the same
   * frames are written again.
   */
  onRefused(refused: Refused[], sink: string): Promise<void>;
  /** Every frame before `offset` was taken by the sink (or refused for good). */
  onAdvance?(sink: string, offset: Offset): void;
  random?: () => number;
}

/**
 * `ok`: writing. `waiting`: has read everything. `retrying`: the sink is not available, the same frames are tried again.
 * `stalled`: the same, slowly, because an operator must act first.
 */
export type SinkState = 'ok' | 'waiting' | 'retrying' | 'stalled';

export interface SinkStatus {
  name: string;
  state: SinkState;
  /** Unix milliseconds at which the state began. */
  since: number;
  /** Readings the sink has taken, and those it will never take, since the hub started. */
  written: number;
  refused: number;
  /** Why it last was not available; absent when all is well. */
  lastError?: string;
}

export interface Sinks {
  status(): SinkStatus[];
  /** What made a sink wait may be over: those that wait to try again do so now. */
  nudge(): void;
  /**
   * Lets each sink finish what is in the journal, for at most `drainMs`, then stops; what is left is written after the
   * next start. Closes neither the sinks nor the journal. Idempotent.
   */
  close(options: { drainMs: number }): Promise<void>;
}

const STALLED_RETRY_MS = 30_000;
const GIVEN_UP = Symbol('given up');

/** Starts at once. An error of a sink that is not `Unavailable` is a bug and ends the process as an unhandled rejection. */
export function createSinks(journal: Journal, sinks: readonly Sink[], options: SinksOptions): Sinks {
  const course = new Course();
  journal.onCommit(() => course.wake());
  const followers = sinks.map((sink) => new Follower(sink, journal, course, options));
  const runs = followers.map((follower) => follower.run());
  let closing: Promise<void> | undefined;

  async function close(drainMs: number): Promise<void> {
    const timer = setTimeout(() => course.stop(), drainMs);
    course.drain();
    await Promise.race([Promise.all(runs), course.stopped]);
    clearTimeout(timer);
    course.stop();
  }

  return {
    status: () => followers.map((follower) => follower.status()),
    nudge: () => course.nudge(),
    close({ drainMs }) {
      closing ??= close(drainMs);
      return closing;
    },
  };
}

/** What all followers listen to: new frames in the journal, the wish to finish, the end. */
class Course {
  #next = Promise.withResolvers<void>();
  #nudging = new AbortController();
  readonly #draining = new AbortController();
  readonly #stopping = new AbortController();
  readonly stopped = new Promise<void>((resolve) => {
    this.#stopping.signal.addEventListener('abort', () => resolve());
  });

  get isDraining(): boolean {
    return this.#draining.signal.aborted;
  }

  get isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Resolves at the next commit, or when it is time to finish. Ask for it before looking, or a commit is missed. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  wake(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }

  nudge(): void {
    this.#nudging.abort();
    this.#nudging = new AbortController();
  }

  drain(): void {
    this.#draining.abort();
    this.wake();
  }

  stop(): void {
    this.#stopping.abort();
    this.wake();
  }

  /** Ends early at a nudge, when draining begins, to try once more at once, and when everything stops. */
  async sleep(ms: number): Promise<void> {
    const ending = this.isDraining ? this.#stopping : this.#draining;
    await pause(ms, AbortSignal.any([ending.signal, this.#nudging.signal]));
  }
}

/** One sink on its way along the journal. */
class Follower {
  readonly #sink: Sink;
  readonly #journal: Journal;
  readonly #course: Course;
  readonly #options: SinksOptions;
  #state: SinkState = 'waiting';
  #since = Date.now();
  #written = 0;
  #refused = 0;
  #lastError: string | undefined;
  /** Whether an operator was told of the stall that is not over. */
  #alarmed = false;

  constructor(sink: Sink, journal: Journal, course: Course, options: SinksOptions) {
    this.#sink = sink;
    this.#journal = journal;
    this.#course = course;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { name, begin } = this.#sink;
    let cursor = this.#journal.cursor(name, begin);
    while (!this.#course.isStopped) {
      const committed = this.#course.next;
      const batch = await this.#persist(() => this.#journal.read(cursor, this.#options.batchReadings));
      if (batch === GIVEN_UP) return;
      if (!batch) {
        if (this.#course.isDraining) return;
        this.#become('waiting');
        await committed;
        continue;
      }
      if (this.#state === 'waiting') this.#become('ok');
      if ((await this.#persist(() => this.#deliver(batch.frames))) === GIVEN_UP) return;
      cursor = batch.next;
      this.#journal.advance(name, cursor);
      this.#options.onAdvance?.(name, cursor);
    }
  }

  status(): SinkStatus {
    const { name } = this.#sink;
    const error = this.#lastError === undefined ? {} : { lastError: this.#lastError };
    return {
      name,
      state: this.#state,
      since: this.#since,
      written: this.#written,
      refused: this.#refused,
      ...error,
    };
  }

  /**
   * Tries until it is done. Gives up when everything stopped (after that the journal is not touched), and while
   * draining after one attempt: what is left is written after the next start.
   */
  async #persist<T>(task: () => Promise<T>): Promise<T | typeof GIVEN_UP> {
    for (let attempt = 0; !this.#course.isStopped; attempt++) {
      try {
        const done = await task();
        return this.#course.isStopped ? GIVEN_UP : done;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        if (this.#course.isStopped) return GIVEN_UP;
        this.#failed(error);
        if (this.#course.isDraining) return GIVEN_UP;
        await this.#course.sleep(this.#delayMs(error, attempt));
      }
    }
    return GIVEN_UP;
  }

  async #deliver(frames: readonly Frame[]): Promise<void> {
    const refused = await this.#sink.write(frames);
    if (refused.length > 0) await this.#options.onRefused(refused, this.#sink.name);
    this.#delivered(frames, refused);
  }

  #delivered(frames: readonly Frame[], refused: readonly Refused[]): void {
    const { log } = this.#options;
    const sink = this.#sink.name;
    this.#written -= refused.length;
    for (const frame of frames) this.#written += this.#sink.countOf?.(frame) ?? frame.readings.length;
    this.#refused += refused.length;
    if (refused.length > 0) {
      const { message: reason, frame } = refused[0]!;
      log.error({ sink, readings: refused.length, device: frame.device, reason }, 'a sink refused readings for good');
    }
    if (this.#lastError !== undefined) log.info({ sink }, 'a sink is available again');
    this.#lastError = undefined;
    this.#alarmed = false;
    this.#become('ok');
  }

  #failed(error: Unavailable): void {
    const { log } = this.#options;
    const fields = { sink: this.#sink.name, error: error.message };
    if (error.stalled && !this.#alarmed) log.error(fields, 'a sink is stalled until somebody acts');
    else if (this.#lastError === undefined)
      log.warn(fields, 'a sink is not available; its readings wait in the journal');
    this.#alarmed ||= error.stalled;
    this.#lastError = error.message;
    this.#become(error.stalled ? 'stalled' : 'retrying');
  }

  #delayMs(error: Unavailable, attempt: number): number {
    if (error.retryAfterMs !== undefined) return error.retryAfterMs;
    if (error.stalled) return STALLED_RETRY_MS;
    return backoffMs(attempt, undefined, undefined, this.#options.random);
  }

  #become(state: SinkState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = Date.now();
  }
}
