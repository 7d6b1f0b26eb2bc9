/** Token buckets: a sustained rate with room for some seconds' worth at once, and what a device may send by three of them. */
import { Traffic } from './traffic.ts';

export interface Bucket {
  /**
   * Takes `count`, or says in how many milliseconds to try again (and takes nothing). 0: taken. `now`: milliseconds.
   * `credit`: so much more than there is may be taken; it is missing later.
   */
  take(count: number, now: number, credit?: number): number;
  /** The same, but takes nothing in any case. */
  waitFor(count: number, now: number, credit?: number): number;
  /** Whether it is as good as new. */
  isFull(now: number): boolean;
}

const BURST_SECONDS = 10;

class TokenBucket implements Bucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #level: number;
  #filledAt: number;

  constructor(perSecond: number, now: number, burstSeconds: number) {
    this.#perMs = perSecond / 1000;
    this.#capacity = perSecond * burstSeconds;
    this.#level = this.#capacity;
    this.#filledAt = now;
  }

  take(count: number, now: number, credit = 0): number {
    const waitMs = this.waitFor(count, now, credit);
    if (waitMs === 0) this.#level -= count;
    return waitMs;
  }

  waitFor(count: number, now: number, credit = 0): number {
    this.#fill(now);
    // More than the bucket can ever hold is let through when it is full, or it would wait for ever.
    const needed = Math.min(count, this.#capacity) - credit;
    return this.#level >= needed ? 0 : Math.ceil((needed - this.#level) / this.#perMs);
  }

  isFull(now: number): boolean {
    this.#fill(now);
    return this.#level >= this.#capacity;
  }

  /** A clock that steps back adds nothing; one that leaps ahead fills the bucket, no more. */
  #fill(now: number): void {
    this.#level = Math.min(this.#capacity, this.#level + Math.max(0, now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
  }
}

/** `burstSeconds`: how many seconds' worth may come at once. */
export function createBucket(perSecond: number, now: number, burstSeconds = BURST_SECONDS): Bucket {
  return new TokenBucket(perSecond, now, burstSeconds);
}

/** What one device may send in a second. */
export interface Rates {
  framesPerSecond: number;
  readingsPerSecond: number;
  bytesPerSecond: number;
}

/** What one device may send, over all its connections. Times are in milliseconds. */
export class Allowance {
  /** What it did send: as its rates, over all its connections. */
  readonly traffic = new Traffic();
  readonly #frames: Bucket;
  readonly #readings: Bucket;
  readonly #bytes: Bucket;

  constructor({ framesPerSecond, readingsPerSecond, bytesPerSecond }: Rates, now: number) {
    this.#frames = createBucket(framesPerSecond, now);
    this.#readings = createBucket(readingsPerSecond, now);
    this.#bytes = createBucket(bytesPerSecond, now);
  }

  /** Takes a frame with so many readings, or says in how many milliseconds to try again (and takes nothing). */
  takeFrame(readings: number, bytes: number, now: number): number {
    const waitMs = Math.max(
      this.#frames.waitFor(1, now),
      this.#readings.waitFor(readings, now),
      this.#bytes.waitFor(bytes, now),
    );
    if (waitMs > 0) return waitMs;
    this.#frames.take(1, now);
    this.#readings.take(readings, now);
    this.#bytes.take(bytes, now);
    return 0;
  }

  /** Takes an answer to a command; `ahead`: so many may come although readings have used up the rate. */
  takeAnswer(now: number, ahead: number): number {
    return this.#readings.take(1, now, ahead);
  }

  /** Whether it is as good as new. */
  isFull(now: number): boolean {
    return this.#frames.isFull(now) && this.#readings.isFull(now) && this.#bytes.isFull(now);
  }
}
