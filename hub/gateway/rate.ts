/** A token bucket: a sustained rate with room for ten seconds' worth at once. */

export interface Bucket {
  /**
   * Takes `count`, or says in how many milliseconds to try again (and takes nothing). 0: taken. `now`: milliseconds.
   * `credit`: so much more than there is may be taken; it is missing later.
   */
  take(count: number, now: number, credit?: number): number;
  /** Whether it is as good as new. */
  isFull(now: number): boolean;
}

const BURST_SECONDS = 10;

class TokenBucket implements Bucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #level: number;
  #filledAt: number;

  constructor(perSecond: number, now: number) {
    this.#perMs = perSecond / 1000;
    this.#capacity = perSecond * BURST_SECONDS;
    this.#level = this.#capacity;
    this.#filledAt = now;
  }

  take(count: number, now: number, credit = 0): number {
    this.#fill(now);
    // More than the bucket can ever hold is let through when it is full, or it would wait for ever.
    const needed = Math.min(count, this.#capacity) - credit;
    if (this.#level >= needed) {
      this.#level -= count;
      return 0;
    }
    return Math.ceil((needed - this.#level) / this.#perMs);
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

export function createBucket(perSecond: number, now: number): Bucket {
  return new TokenBucket(perSecond, now);
}
