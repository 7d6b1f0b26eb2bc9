/** Ports: a sink of the journal, and the telemetry store, which is a sink that can also be asked. */
import type { Frame, Reading, Value } from './reading.ts';

/** A reading that a sink will never take, with the sink's own words. */
export interface Refused {
  frame: Frame;
  reading: Reading;
  message: string;
}

export interface Sink {
  /** Name of its cursor in the journal and of its metrics. */
  readonly name: string;
  /** Where a sink begins that the journal does not know: at the first frame on disk, or with what comes next. */
  readonly begin?: 'first' | 'end';
  /**
   * Resolves when every reading of the frames was taken, except those it returns, which it will never take. Writing
   * the same readings again changes nothing. Throws `Unavailable` when trying the same frames again may help.
   */
  write(frames: readonly Frame[]): Promise<Refused[]>;
  /** How many readings of a frame it takes, for the counts; those that passed ingest when absent. */
  countOf?(frame: Frame): number;
  close(): Promise<void>;
}

export const AGGREGATES = ['mean', 'min', 'max', 'first', 'last', 'count'] as const;
export type Aggregate = (typeof AGGREGATES)[number];

/**
 * What a window becomes: one aggregate of each field, or its `envelope`, which is what a chart draws: of a number the mean
 * under its own name, beside it `<field>_min` and `<field>_max`; of anything else the last value.
 */
export type WindowFunction = Aggregate | 'envelope';

export interface Query {
  device: string;
  stream: string;
  /** Names of fields (checked against the schema by the caller); all fields when absent. */
  fields?: string[];
  /** Range in Unix milliseconds: `from` ≤ ts < `to`. */
  from: number;
  to: number;
  /** At most so many rows; the caller bounds it. */
  limit: number;
  /** Newest first instead of oldest first. */
  descending?: boolean;
  /** Aggregates each field over windows of `everyMs`, aligned to the Unix epoch; empty windows are left out. */
  buckets?: { everyMs: number; fn: WindowFunction };
  /** Reads this roll-up instead of the readings. Needs buckets whose length is a multiple of the roll-up's. */
  rollup?: Rollup;
}

/** Readings summed up over windows of a fixed length, aligned to the Unix epoch, which may be kept longer than readings. */
export interface Rollup {
  /** Length of its windows, as it was configured: `1m`. */
  name: string;
  everyMs: number;
  /** How long its windows are kept, in milliseconds; 0: for ever. */
  keepMs: number;
}

/** The roll-ups of a store. */
export interface Rollups {
  /** By the length of their windows, the shortest first; empty while the store cannot make any. */
  readonly list: readonly Rollup[];
  /** How long readings themselves are kept, in milliseconds; 0: for ever. */
  readonly rawKeepMs: number;
  /** Before this moment (Unix milliseconds) the roll-up knows all that the readings say. Throws `Unavailable`. */
  upTo(rollup: Rollup, stream: string, device: string, now: number): Promise<number>;
  /**
   * Sums up what has changed since the last time in windows that ended before `now`, and forgets what is older than it is
   * kept. Resolves to how many pieces of work were done. Throws `Unavailable`; what was not done is done next time.
   */
  roll(now: number): Promise<number>;
}

/** `ts` in milliseconds with fractions; a field that the reading did not have is absent. */
export type Row = { ts: number } & Record<string, Value>;

/** How many values: field → beginning of the minute (Unix milliseconds) → count. Without an entry there are none. */
export type MinuteCounts = Map<string, Map<number, number>>;

export interface TelemetryStore extends Sink {
  /**
   * A word that another run of the server does not share, undefined when it does not tell. Absent where a restart of
   * the store forgets nothing that it took. Throws `Unavailable`.
   */
  incarnation?(): Promise<string | undefined>;
  /** Counts the values of a stream over all devices, `from` ≤ ts < `to`. Throws `Unavailable`. */
  countByMinute?(stream: string, from: number, to: number): Promise<MinuteCounts>;
  /** Throws `Unavailable`. With buckets, `ts` is the start of the window; `mean`, `min`, `max` skip what is no number. */
  query(query: Query): Promise<Row[]>;
  /** Forgets readings older than `before` (Unix milliseconds); resolves to how many, or undefined if unknown. */
  prune(before: number): Promise<number | undefined>;
  /** Absent where nothing is summed up. */
  readonly rollups?: Rollups;
  /** Resolves to a sentence about what is wrong, or undefined when the store answers. */
  problem(): Promise<string | undefined>;
}
