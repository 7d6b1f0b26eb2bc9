/** What a fleet counts while it runs, with a latency histogram of fixed size. */
import type { Answered } from './sending.ts';

const PER_OCTAVE = 8;
const OCTAVES = 24;
const SMALLEST_MS = 0.05;

/** Eight buckets to each doubling from 0.05 ms to 14 minutes: quantiles within 9 %, however many values. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(PER_OCTAVE * OCTAVES);
  #total = 0;
  #maxMs = 0;

  add(latencyMs: number): void {
    const bucket = Math.ceil(Math.log2(Math.max(latencyMs, SMALLEST_MS) / SMALLEST_MS) * PER_OCTAVE);
    this.#counts[Math.min(bucket, this.#counts.length - 1)]!++;
    this.#total++;
    this.#maxMs = Math.max(this.#maxMs, latencyMs);
  }

  get maxMs(): number {
    return this.#maxMs;
  }

  /** The value that this part (0 … 1) of all values does not exceed; 0 when there are none. */
  quantileMs(part: number): number {
    let missing = Math.ceil(part * this.#total);
    const bucket = this.#counts.findIndex((count) => {
      missing -= count;
      return missing <= 0;
    });
    return Math.min(this.#maxMs, SMALLEST_MS * 2 ** (bucket / PER_OCTAVE));
  }
}

/** Reasons kept apart; the rest is counted together. */
const MAX_REASONS = 20;
const OTHER = 'other reasons';

export class Statistics {
  /** Readings. */
  sent = 0;
  acked = 0;
  rejected = 0;
  /** Connections after the first of a device, `flow` frames, commands run, `error` frames. */
  reconnects = 0;
  flows = 0;
  commands = 0;
  errors = 0;
  /** Why readings were rejected and devices refused: reason → how often. */
  readonly reasons = new Map<string, number>();
  readonly latency = new LatencyHistogram();

  answered({ readings, rejected, latencyMs }: Answered): void {
    this.acked += readings - rejected;
    this.rejected += rejected;
    this.latency.add(latencyMs);
  }

  because(reason: string): void {
    const key = this.reasons.has(reason) || this.reasons.size < MAX_REASONS ? reason : OTHER;
    this.reasons.set(key, (this.reasons.get(key) ?? 0) + 1);
  }
}
