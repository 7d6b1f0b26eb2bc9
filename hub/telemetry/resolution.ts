/** Decides what a question is answered from: readings, a roll-up, or a roll-up with readings at both of its ends. */
import type { Query, Rollup, Rollups } from './store.ts';

/** A stretch of time that one query of the store answers. */
export interface Part {
  /** Unix milliseconds, `from` ≤ ts < `to`. */
  from: number;
  to: number;
  /** Absent: from readings. */
  rollup?: Rollup;
}

/** What the store can be asked at this moment. */
export interface Sources {
  list: readonly Rollup[];
  /** Readings before this moment (Unix milliseconds) may be gone. */
  rawFrom: number;
}

/** Where nothing is summed up, and readings are kept for ever. */
const RAW_ONLY: Sources = { list: [], rawFrom: Number.NEGATIVE_INFINITY };

export function sourcesOf(rollups: Rollups | undefined, now: number): Sources {
  if (!rollups) return RAW_ONLY;
  const { list, rawKeepMs } = rollups;
  return { list, rawFrom: rawKeepMs === 0 ? Number.NEGATIVE_INFINITY : now - rawKeepMs };
}

/** The roll-up for windows of this length: the longest that divides it; undefined when readings must do. */
export function rollupFor({ list }: Sources, everyMs: number): Rollup | undefined {
  return list.findLast((rollup) => everyMs % rollup.everyMs === 0);
}

/**
 * The parts of a question from the oldest to the newest. Borders between them are borders of windows, so that the answers
 * only need to be put one after the other. While readings are there, they answer for the windows that begin before `from`
 * or are not summed up yet (`upTo`), which makes the answer the same as from readings alone; when they are gone, the
 * range grows to whole windows of the roll-up.
 */
export function partsOf(query: Pick<Query, 'from' | 'to' | 'buckets'>, rollup: Rollup, rawFrom: number, upTo: number) {
  const { from, to, buckets } = query;
  const { everyMs } = buckets!;
  const hasHead = from >= rawFrom;
  const start = hasHead ? ceilTo(from, everyMs) : floorTo(from, rollup.everyMs);
  const known = floorTo(Math.min(to, upTo), everyMs);
  // Where the end is older than every reading, nobody but the roll-up can answer for the last window.
  const end = to < rawFrom ? ceilTo(to, rollup.everyMs) : known;
  if (end <= start) return [{ from, to }];
  const parts: Part[] = [{ from: start, to: end, rollup }];
  if (from < start) parts.unshift({ from, to: start });
  if (end < to) parts.push({ from: end, to });
  return parts;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Lengths of windows that a person reads easily; each that is longer than a minute is a multiple of it. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 28].map((count) => count * DAY),
];

/**
 * The length of windows (milliseconds) for a chart of at most about `points` of them. Where readings are gone it is one
 * that a roll-up can answer.
 */
export function stepFor(from: number, to: number, points: number, sources: Sources): number {
  const ideal = (to - from) / points;
  const step = STEPS.find((each) => each >= ideal) ?? ceilTo(ideal, DAY);
  const [finest] = sources.list;
  if (!finest || from >= sources.rawFrom || rollupFor(sources, step)) return step;
  return STEPS.find((each) => each >= ideal && rollupFor(sources, each)) ?? ceilTo(Math.max(ideal, 1), finest.everyMs);
}

export function floorTo(value: number, step: number): number {
  return Math.floor(value / step) * step;
}

export function ceilTo(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
