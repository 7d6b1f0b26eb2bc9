/** How much a count has grown within a window of time, from a bounded number of samples. Pure. */

const SAMPLES = 60;

export class Growth {
  readonly #windowMs: number;
  /** The oldest first; the first may be older than the window. */
  #samples: { at: number; count: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Takes the count as it is now; returns by how much it grew, counted from the last sample before the window. */
  add(now: number, count: number): number {
    const last = this.#samples.at(-1);
    // A clock that was put back would keep old samples for ever.
    if (last && now < last.at) this.#samples = [];
    if (this.#samples.length === 0 || now - this.#samples.at(-1)!.at >= this.#windowMs / SAMPLES)
      this.#samples.push({ at: now, count });
    while (this.#samples.length > 1 && this.#samples[1]!.at <= now - this.#windowMs) this.#samples.shift();
    return count - this.#samples[0]!.count;
  }
}
