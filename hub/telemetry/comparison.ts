/**
 * Compares, minute by minute and field by field, how many values the journal has and how many the store has, and writes
 * again what the store lacks: the net below the replay, for losses that no restart announced.
 */
import { setImmediate } from 'node:timers/promises';
import { Unavailable } from '../kit/errors.ts';
import type { Journal, Offset } from './journal.ts';
import type { Frame } from './reading.ts';
import type { Refused, TelemetryStore } from './store.ts';
import { type Differences, differencesOf, type Gap, MINUTE_MS, minuteOf, Tally } from './tally.ts';

export interface ComparisonDeps {
  journal: Pick<Journal, 'read' | 'status' | 'onCommit'>;
  store: Pick<TelemetryStore, 'name' | 'write'> & Required<Pick<TelemetryStore, 'countByMinute'>>;
  onRefused(refused: Refused[]): Promise<void>;
  /** While the store is being filled again there is nothing to compare. */
  isReplaying(): boolean;
  log: Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;
}

export interface ComparisonOptions {
  /** How far ahead of its arrival a reading may be dated. */
  clockAheadMs: number;
  /** A minute is compared when it has been over for this long. */
  settleMs: number;
  now?: () => number;
}

/** Values since the hub started; a reading has one for each of its fields. */
export interface ComparisonStatus {
  /** Everything dated earlier was compared, from the start of the hub on. Unix milliseconds. */
  upTo: number;
  compared: number;
  /** Those that the store lacked, and how many of them it has again. */
  missing: number;
  restored: number;
  /** Those that the store has and the journal does not. */
  surplus: number;
  /** Why the last comparison was not possible. */
  lastError?: string;
}

export interface Comparison {
  /**
   * Compares the minutes that have settled since it last did, up to an hour's worth; resolves to how many values the
   * store lacked, or undefined when it was not the time for it (the store is behind, away, or being filled again).
   */
  run(): Promise<number | undefined>;
  status(): ComparisonStatus;
}

const BATCH_READINGS = 2_000;
const MAX_MINUTES = 60;
/** About 32 MB while it compares. */
const MAX_VALUES = 4_000_000;
/** A comparison begins to read the journal at the last of these marks before its window. */
const MARK_MS = 10_000;

export function createComparison(deps: ComparisonDeps, options: ComparisonOptions): Comparison {
  return new StoreComparison(deps, options);
}

class StoreComparison implements Comparison {
  readonly #deps: ComparisonDeps;
  readonly #settleMs: number;
  readonly #clockAheadMs: number;
  readonly #now: () => number;
  /** What was committed before a time; the oldest is before the window that is next. */
  readonly #marks: { at: number; next: Offset }[] = [];
  readonly #status: ComparisonStatus;

  constructor(deps: ComparisonDeps, { clockAheadMs, settleMs, now = Date.now }: ComparisonOptions) {
    this.#deps = deps;
    this.#settleMs = settleMs;
    this.#clockAheadMs = clockAheadMs;
    this.#now = now;
    const start = now();
    this.#marks.push({ at: start, next: deps.journal.status(start).next });
    deps.journal.onCommit((frames, next) => this.#mark(next - frames.length));
    // What is dated earlier may have arrived before this process began to mark.
    const upTo = minuteOf(start + clockAheadMs) + MINUTE_MS;
    this.#status = { upTo, compared: 0, missing: 0, restored: 0, surplus: 0 };
  }

  async run(): Promise<number | undefined> {
    try {
      const { upTo } = this.#status;
      const to = Math.min(minuteOf(this.#now() - this.#settleMs), upTo + MAX_MINUTES * MINUTE_MS);
      if (to <= upTo || this.#deps.isReplaying() || this.#isBehind()) return undefined;
      const missing = await this.#compare(upTo, to);
      delete this.#status.lastError;
      return missing;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.#status.lastError = error.message;
      return undefined;
    }
  }

  status(): ComparisonStatus {
    return { ...this.#status };
  }

  #mark(next: Offset): void {
    const at = this.#now();
    if (at - this.#marks.at(-1)!.at < MARK_MS) return;
    this.#marks.push({ at, next });
    // Bound: an hour more than a window, whatever keeps it from moving on; then a comparison reads from further on.
    if (this.#marks.length > (2 * MAX_MINUTES * MINUTE_MS + this.#clockAheadMs) / MARK_MS) this.#marks.shift();
  }

  #cursor(): { offset: Offset; lagMs: number } {
    const { journal, store } = this.#deps;
    return journal.status(this.#now()).cursors[store.name] ?? { offset: 0, lagMs: 0 };
  }

  #isBehind(): boolean {
    return this.#cursor().lagMs >= this.#settleMs;
  }

  async #compare(from: number, to: number): Promise<number> {
    const [begin, end] = [this.#beginOf(from), this.#cursor().offset];
    const tally = new Tally(from, to, MAX_VALUES);
    await this.#read(
      begin,
      () => end,
      async (frames) => {
        for (const frame of frames) tally.add(frame, frame.readings);
      },
    );
    const { gaps, surplus, compared } = await this.#differences(tally);
    const missing = gaps.length === 0 ? 0 : await this.#restore(begin, tally, gaps);
    this.#status.compared += compared;
    this.#status.surplus += surplus;
    if (surplus > 0) this.#deps.log.warn({ values: surplus, ...rangeOf(tally) }, SURPLUS);
    // A minute with more values than can be counted is passed over, or nothing would ever be compared again.
    this.#status.upTo = Math.max(tally.to, from + MINUTE_MS);
    while (this.#marks.length > 1 && this.#marks[1]!.at <= this.#status.upTo - this.#clockAheadMs) this.#marks.shift();
    return missing;
  }

  #beginOf(from: number): Offset {
    const mark = this.#marks.findLast(({ at }) => at <= from - this.#clockAheadMs) ?? this.#marks[0]!;
    return mark.next;
  }

  /** Gives the loop its turn after each batch. */
  async #read(begin: Offset, end: () => Offset, visit: (frames: Frame[]) => Promise<void>): Promise<void> {
    for (let at = begin; at < end(); ) {
      const batch = await this.#deps.journal.read(at, BATCH_READINGS);
      if (!batch) return;
      await visit(batch.frames);
      at = batch.next;
      await setImmediate();
    }
  }

  async #differences(tally: Tally): Promise<Differences> {
    const all: Differences = { gaps: [], surplus: 0, compared: 0 };
    for (const stream of tally.streams()) {
      const stored = await this.#deps.store.countByMinute(stream, tally.from, tally.to);
      const { gaps, surplus, compared } = differencesOf(stream, tally.countsOf(stream), stored);
      all.gaps.push(...gaps);
      all.surplus += surplus;
      all.compared += compared;
      await setImmediate();
    }
    return all;
  }

  /**
   * Writes all readings of the minutes with gaps again, up to the newest frame: a correction that came meanwhile must
   * stay the last word. Resolves to how many values the store had lost.
   */
  async #restore(begin: Offset, { from, to }: Tally, gaps: Gap[]): Promise<number> {
    const { journal, store, onRefused, log } = this.#deps;
    const minutes = new Set(gaps.map(({ stream, minute }) => keyOf(stream, minute)));
    const taken = new Tally(from, to, MAX_VALUES);
    const newest = () => journal.status(this.#now()).next;
    await this.#read(begin, newest, async (frames) => {
      const wanted = frames.flatMap((frame) => within(frame, minutes));
      const refused = wanted.length === 0 ? [] : await store.write(wanted);
      if (refused.length > 0) await onRefused(refused);
      const gone = new Set(refused.map(({ reading }) => reading));
      for (const frame of wanted) {
        taken.add(
          frame,
          frame.readings.filter((reading) => !gone.has(reading)),
        );
      }
    });
    // What the store refuses is no loss: it was never taken, and is in the quarantine.
    const missing = sumOf(gaps) - refusedOf(gaps, taken);
    const left = sumOf((await this.#differences(taken)).gaps);
    this.#status.missing += missing;
    this.#status.restored += missing - left;
    const fields = { values: missing, restored: missing - left, ...rangeOf({ from, to }) };
    if (missing > 0) log.error(fields, left > 0 ? LOST : RESTORED);
    return missing;
  }
}

const SURPLUS = 'the store has values that the journal does not have';
const RESTORED = 'the store lacked values that it had acknowledged; they were written again';
const LOST = 'the store lacks values that it had acknowledged, and lacks them still after they were written again';

const keyOf = (stream: string, minute: number) => `${minute} ${stream}`;
const sumOf = (gaps: readonly Gap[]) => gaps.reduce((sum, { expected, stored }) => sum + expected - stored, 0);
const rangeOf = ({ from, to }: { from: number; to: number }) => ({
  from: new Date(from).toISOString(),
  to: new Date(to).toISOString(),
});

/** The frame with its readings of these minutes, if it has some. */
function within(frame: Frame, minutes: ReadonlySet<string>): Frame[] {
  const readings = frame.readings.filter(({ ts }) => minutes.has(keyOf(frame.stream, minuteOf(ts))));
  return readings.length > 0 ? [{ ...frame, readings }] : [];
}

/** How many of the values that were expected in the gaps the store has refused. */
function refusedOf(gaps: readonly Gap[], taken: Tally): number {
  const counts = new Map(taken.streams().map((stream) => [stream, taken.countsOf(stream)]));
  return gaps.reduce((sum, { stream, field, minute, expected, stored }) => {
    const kept = counts.get(stream)?.get(field)?.get(minute) ?? 0;
    return sum + Math.max(0, Math.min(expected - kept, expected - stored));
  }, 0);
}
