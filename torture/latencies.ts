/** How long acks took: all of them, and those that the hub could have given at once. Pure. */
import { Histogram } from '../bench/statistics.ts';
import type { Outages } from './outages.ts';

export interface Latencies {
  /** An ack came `ms` after the frame was first sent. `now`: Unix ms. */
  add(ms: number, ack: 'journaled' | 'stored', now: number): void;
  /** Milliseconds. */
  figures(): AckFigures;
}

/** `calm`: of devices that want to hear `journaled`, while the hub and its disk were there. Milliseconds. */
export interface AckFigures {
  calm: { p50: number; p99: number };
  all: { p50: number; p99: number; max: number };
}

export function createLatencies(outages: readonly Outages[]): Latencies {
  const [all, calm] = [new Histogram(), new Histogram()];
  let max = 0;
  return {
    add(ms, ack, now) {
      all.add(ms);
      max = Math.max(max, ms);
      if (ack === 'journaled' && outages.every(({ wasUp }) => wasUp(now - ms, now))) calm.add(ms);
    },
    figures: () => ({
      calm: { p50: calm.quantile(0.5), p99: calm.quantile(0.99) },
      all: { p50: all.quantile(0.5), p99: all.quantile(0.99), max },
    }),
  };
}
