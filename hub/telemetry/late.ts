/** Remembers which stretches of time have to be summed up again, because readings came after their turn. */
import { floorTo } from './resolution.ts';

/** Stretches of one stream at one length of windows. */
export interface Late {
  /** Unix milliseconds. False when there is no room, and it is not remembered. */
  add(ts: number): boolean;
  /** The whole time from `from` to `to`. */
  addRange(from: number, to: number): boolean;
  /** The beginning of the oldest stretch; undefined when there is none. */
  first(): number | undefined;
  /** Forgets a stretch and returns it, the oldest first; undefined when there is none. */
  take(): { from: number; to: number } | undefined;
}

/** Windows that are summed up together: one question to the server does not grow beyond it. */
const WINDOWS = 60;
/** A year of minutes needs 8,760; where there is no more room a stretch is left out, and the caller says so. */
const MAX_STRETCHES = 50_000;

export function createLate(everyMs: number): Late {
  const stretches = new Set<number>();
  const lengthMs = everyMs * WINDOWS;

  function add(ts: number): boolean {
    const start = floorTo(ts, lengthMs);
    if (!stretches.has(start) && stretches.size >= MAX_STRETCHES) return false;
    stretches.add(start);
    return true;
  }

  function first(): number | undefined {
    let least: number | undefined;
    for (const start of stretches) if (least === undefined || start < least) least = start;
    return least;
  }

  return {
    add,
    addRange(from, to) {
      for (let ts = floorTo(from, lengthMs); ts < to; ts += lengthMs) if (!add(ts)) return false;
      return true;
    },
    first,
    take() {
      const from = first();
      if (from === undefined) return undefined;
      stretches.delete(from);
      return { from, to: from + lengthMs };
    },
  };
}
