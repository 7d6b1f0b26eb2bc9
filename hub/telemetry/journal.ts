/** Port: the durable log between the gateway and the sinks. What it has acknowledged survives a crash. */
import type { JournalSpace } from './journal-space.ts';
import type { Frame } from './reading.ts';

/** A position in the journal: the number of frames before it since the journal began. Never reused. */
export type Offset = number;

/** What the hub holds durably of a device: the highest frame number of its latest epoch. */
export interface Held {
  epoch: string;
  seq: number;
}

/** Consecutive frames, `from` ≤ offset < `next`. Frames that damage destroyed are missing from `frames`. */
export interface JournalBatch {
  from: Offset;
  next: Offset;
  frames: Frame[];
  /** Wall time at which the last frame was committed, Unix milliseconds. */
  committedAt: number;
}

export interface JournalStatus {
  bytes: number;
  limitBytes: number;
  segments: number;
  /** First offset still on disk, and the offset the next frame will get. */
  first: Offset;
  next: Offset;
  /** Offsets of each sink's cursor, and how long its oldest unread frame has waited (0 when it has read all). */
  cursors: Record<string, { offset: Offset; lagFrames: number; lagMs: number }>;
  /** What it may still grow, and the alarm that stands. */
  space: JournalSpace;
  /** True when the last write failed and no frame can be taken now. */
  failing: boolean;
  /** Damage found so far, at start and while reading: file, byte offset and what was wrong. */
  damage: { file: string; at: number; what: string }[];
}

/**
 * Why a frame was not taken: the journal has reached its limit and nothing in it may go; the last write failed and the
 * disk takes nothing yet; the disk is slow and as much as may wait for it waits; the journal was closed.
 */
export type NotTaken = 'full' | 'failing' | 'busy' | 'closed';

export interface Journal {
  /**
   * Adds a frame to the open group. Synchronous and cheap; durability is told later through `frame.owner`, and
   * through `onCommit`. Returns undefined when it was taken, else why not. `asSent` is the text of the device's frame,
   * given when its `readings` are exactly those of `frame`: it saves encoding them again.
   */
  append(frame: Frame, asSent?: string): NotTaken | undefined;
  /** Calls back once for each group, after its fdatasync returned and its owners were told. */
  onCommit(listener: (frames: readonly Frame[], next: Offset) => void): void;
  /** The highest durable `seq` of a device's latest epoch, restored at start from checkpoint and blocks. */
  held(device: string): Held | undefined;
  /** Forgets a removed device, until the next start. */
  forget(device: string): void;
  /** Forgets what an earlier run of the hub restored of devices that were removed since. */
  forgetAllBut(isKnown: (device: string) => boolean): void;
  /**
   * Up to about `maxReadings` readings from `from` on, from memory when recent and from disk when not; resolves to
   * undefined when there is nothing yet. Waiting is the caller's (see `onCommit`).
   */
  read(from: Offset, maxReadings: number): Promise<JournalBatch | undefined>;
  /**
   * The cursor of a sink; a new name begins at the first offset on disk, or with the next frame (`end`). Every sink asks
   * at start: when the journal is full, only those that did hold up the deletion of segments.
   */
  cursor(sink: string, begin?: 'first' | 'end'): Offset;
  /** Moves a cursor forward. Written to disk within a second, at `close`, and before a segment is deleted. */
  advance(sink: string, to: Offset): void;
  /**
   * Resolves when the cursors are on disk, or when that failed, which is logged. A cursor that begins at the end must be
   * there before frames come, or a crash would make it begin later.
   */
  saveCursors(): Promise<void>;
  /** Deletes the segments that all cursors have passed and that are older than the replay window. */
  sweep(now: number): Promise<number>;
  status(now: number): JournalStatus;
  /** Commits what is open, persists cursors, releases the lock. Idempotent. */
  close(): Promise<void>;
}
