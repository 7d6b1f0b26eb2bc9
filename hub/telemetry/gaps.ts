/** Port: the gap ledger. What a device has left out of its numbers is written down, so that someone can know. */
import type { Frame } from './reading.ts';
import type { Sink } from './store.ts';

/** A jump in the frame numbers of a device: it dropped these frames, or lost them. */
export interface Gap {
  /** Grows with each gap; for `before`. */
  id: number;
  device: string;
  /** Scope of the numbers. */
  epoch: string;
  /**
   * The numbers that never came, `from` ≤ seq ≤ `to`. From 1 on: the epoch began, as far as the hub remembers, with a
   * higher number.
   */
  from: number;
  to: number;
  /** When the frame after the gap arrived, Unix milliseconds. */
  at: number;
}

export interface GapFilter {
  device?: string;
  /** Only gaps noticed at or after this time, Unix milliseconds. */
  since?: number;
  limit: number;
  /** Only gaps with a smaller id: the next page. */
  before?: number;
}

/**
 * A sink of the journal that takes what frames tell of gaps (`frame.skipped`): as durable as the acknowledgement of the
 * frame after the gap. Of each device the newest are kept.
 */
export interface GapLedger extends Sink {
  /** The newest first. Throws `Unavailable`. */
  list(filter: GapFilter): Promise<Gap[]>;
  /** Forgets a removed device. Throws `Unavailable`. */
  forget(device: string): Promise<void>;
  /** Gaps that were written down since the hub started. */
  readonly noticed: number;
}

/** The gaps before frames, without the ids that the ledger gives. */
export function gapsBefore(frames: readonly Frame[]): Omit<Gap, 'id'>[] {
  const gaps: Omit<Gap, 'id'>[] = [];
  for (const { device, epoch, seq, skipped, receivedAt: at } of frames)
    if (skipped) gaps.push({ device, epoch, from: seq - skipped, to: seq - 1, at });
  return gaps;
}
