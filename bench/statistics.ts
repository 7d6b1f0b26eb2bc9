/** The few statistics that the benches need. */

/** Of an odd number of values the middle one, of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const BUCKETS_PER_OCTAVE = 16;
const SMALLEST_MS = 0.001;
const OCTAVES = 26;

/** Counts durations in buckets that are 4.4 % wide, from a microsecond to a minute. */
export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS_PER_OCTAVE * OCTAVES);
  #total = 0;

  add(ms: number): void {
    const bucket = Math.log2(Math.max(ms, SMALLEST_MS) / SMALLEST_MS) * BUCKETS_PER_OCTAVE;
    const index = Math.min(Math.floor(bucket), this.#counts.length - 1);
    this.#counts[index] = this.#counts[index]! + 1;
    this.#total++;
  }

  /** Milliseconds that the given share of all durations did not exceed; 0 when there were none. */
  quantile(share: number): number {
    let left = share * this.#total;
    for (let index = 0; index < this.#counts.length && this.#total > 0; index++) {
      left -= this.#counts[index]!;
      if (left <= 0) return SMALLEST_MS * 2 ** ((index + 1) / BUCKETS_PER_OCTAVE);
    }
    return 0;
  }
}
