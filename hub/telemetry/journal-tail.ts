/** The newest groups of the journal, kept in memory so that a sink that keeps up never reads the disk. */
import type { JournalBatch, Offset } from './journal.ts';
import type { Frame } from './reading.ts';

interface Group {
  base: Offset;
  frames: readonly Frame[];
  committedAt: number;
  weight: number;
  /** The part of the block that is a frame's, if all of them are of one size. */
  bytesPerFrame: number;
}

/** Several times what a reading takes that is not made to be large. */
const BYTES_OF_A_READING = 512;

/**
 * How many readings a frame stands for when memory and batches are counted; never 0, so that empty frames count too.
 * `bytes`: about as long it is in the journal. A reading that was refused may be nearly as long as a frame, and counts
 * for as many as would be in its place.
 */
export function weightOf(frame: Frame, bytes: number): number {
  return Math.max(frame.readings.length + (frame.rejected?.length ?? 0), Math.floor(bytes / BYTES_OF_A_READING), 1);
}

export class JournalTail {
  readonly #limit: number;
  /** Groups in the order of their offsets; those before `#head` are gone. */
  #groups: (Group | undefined)[] = [];
  #head = 0;
  #weight = 0;

  /** Bound: about `memoryReadings`; the oldest groups are forgotten first, for the disk has them. */
  constructor(memoryReadings: number) {
    this.#limit = memoryReadings;
  }

  /** `bytes`: of the block that the group is in the journal. */
  push(base: Offset, frames: readonly Frame[], committedAt: number, bytes: number): void {
    const bytesPerFrame = bytes / frames.length;
    let weight = 0;
    for (const frame of frames) weight += weightOf(frame, bytesPerFrame);
    this.#groups.push({ base, frames, committedAt, weight, bytesPerFrame });
    this.#weight += weight;
    while (this.#weight > this.#limit) this.#dropOldest();
  }

  /** The frames from `from` on, or undefined when memory does not reach back to it (or there is nothing yet). */
  read(from: Offset, maxReadings: number): JournalBatch | undefined {
    const first = this.#find(from);
    if (first < 0) return undefined;
    const frames: Frame[] = [];
    let { committedAt } = this.#groups[first]!;
    for (let at = first, weight = 0; at < this.#groups.length && weight < maxReadings; at++) {
      const group = this.#groups[at]!;
      committedAt = group.committedAt;
      for (let i = Math.max(0, from - group.base); i < group.frames.length && weight < maxReadings; i++) {
        const frame = group.frames[i]!;
        frames.push(frame);
        weight += weightOf(frame, group.bytesPerFrame);
      }
    }
    return { from, next: from + frames.length, frames, committedAt };
  }

  /** When the group that holds this offset was committed, if it is in memory. */
  committedAt(offset: Offset): number | undefined {
    const at = this.#find(offset);
    return at < 0 ? undefined : this.#groups[at]!.committedAt;
  }

  #dropOldest(): void {
    this.#weight -= this.#groups[this.#head]!.weight;
    this.#groups[this.#head++] = undefined;
    if (this.#head >= 64 && this.#head * 2 >= this.#groups.length) {
      this.#groups = this.#groups.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Index of the group that holds an offset, or -1. Groups in memory follow each other without a gap. */
  #find(offset: Offset): number {
    let low = this.#head;
    let high = this.#groups.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const { base, frames } = this.#groups[middle]!;
      if (offset < base) high = middle - 1;
      else if (offset >= base + frames.length) low = middle + 1;
      else return middle;
    }
    return -1;
  }
}
