/** Port: the readings that were refused for good, kept so that somebody can look at them and send them again. */
import type { QuarantineStatus } from './quarantine-room.ts';
import type { Frame } from './reading.ts';
import type { Refused, Sink } from './store.ts';

export interface QuarantinedReading {
  /** Grows with each reading; for `before` and `after`. */
  id: number;
  device: string;
  stream: string;
  epoch: string;
  seq: number;
  /** Unix milliseconds. */
  receivedAt: number;
  /** Place in the frame as the device sent it; unknown for what a store refused. */
  index?: number;
  /** JSON pointer. */
  path: string;
  /** A keyword of JSON Schema or a word of the table of refusals; `store` when the telemetry store refused it. */
  code: string;
  message: string;
  /** As it was sent. Beyond 16 KiB of JSON only the beginning, as a text. */
  reading: unknown;
  /** Its time by the hub's clock, when it came without one. Unix milliseconds. */
  ts?: number;
  /** When it was last tried again, in vain; path, code and message are of then. Unix milliseconds. */
  triedAt?: number;
}

/** Which readings; without a property all are meant. */
export interface QuarantineFilter {
  ids?: readonly number[];
  device?: string;
  stream?: string;
  code?: string;
  /** `from` ≤ arrival < `to`, Unix milliseconds. */
  from?: number;
  to?: number;
}

/** A page: the newest of those with a smaller id than `before`, or the oldest of those with a larger one than `after`. */
export type QuarantinePage = QuarantineFilter & { limit: number } & ({ before?: number } | { after: number });

/** Why a reading that was tried again stays. */
export type Reason = Pick<QuarantinedReading, 'id' | 'path' | 'code' | 'message'>;

/** A sink of the journal that takes what ingest rejected (`frame.rejected`); frames without cost nothing. */
export interface Quarantine extends Sink {
  /** Whether so many refused readings of a device can be kept. Cheap. */
  admits(device: string, readings: number): boolean;
  /** Counts readings that were not kept, as their device was told. */
  drop(readings: number): void;
  /** These frames are durable in the journal, and will be written. */
  expect(frames: readonly Frame[]): void;
  /**
   * Durable when it resolves; adding the same again changes nothing. Throws `Unavailable`, stalled when there is no room
   * even for what a store refused: it was acknowledged, so it is not dropped.
   */
  add(refused: readonly Refused[]): Promise<void>;
  /** The newest first; with `after` the oldest. Throws `Unavailable`. */
  list(page: QuarantinePage): Promise<QuarantinedReading[]>;
  get(id: number): Promise<QuarantinedReading | undefined>;
  /** Durable when it resolves, to how many there were. Throws `Unavailable`. */
  remove(filter: QuarantineFilter): Promise<number>;
  /** New reasons for readings that were tried again at `now`. Throws `Unavailable`. */
  amend(reasons: readonly Reason[], now: number): Promise<void>;
  /** Calls back when readings have left: what was stalled for want of room may be tried again. */
  onRoom(listener: () => void): void;
  status(): QuarantineStatus;
}
