/** The part of time that charts show: the last minutes or days with a live edge, or a piece that somebody zoomed into. */

/** `live`: the window moves with the present. Unix milliseconds. */
export interface View {
  live: boolean;
  from: number;
  to: number;
}

export const RANGES = [
  ['5m', '5 min', 300_000],
  ['1h', '1 h', 3_600_000],
  ['6h', '6 h', 21_600_000],
  ['1d', '24 h', 86_400_000],
  ['7d', '7 d', 604_800_000],
  ['30d', '30 d', 2_592_000_000],
] as const;
export type RangeName = (typeof RANGES)[number][0];

/** Nobody zooms further in. */
const MIN_SPAN_MS = 2_000;

export const spanOf = ({ from, to }: View) => to - from;

/** The last so many milliseconds, moving on. */
export const liveView = (spanMs: number, nowMs: number): View => ({ live: true, from: nowMs - spanMs, to: nowMs });

/** The window of this moment. */
export const windowAt = (view: View, nowMs: number): [number, number] =>
  view.live ? [nowMs - spanOf(view), nowMs] : [view.from, view.to];

/** A piece that was chosen, never too small to see, never in the future. */
export function zoomed(from: number, to: number, nowMs: number): View {
  const middle = (from + to) / 2;
  const half = Math.max(to - from, MIN_SPAN_MS) / 2;
  const end = Math.min(middle + half, nowMs);
  return { live: false, from: Math.min(middle - half, end - MIN_SPAN_MS), to: end };
}

/** Half as long; of a live window the newer half. */
export function zoomedIn(view: View, nowMs: number): View {
  const [from, to] = windowAt(view, nowMs);
  const quarter = (to - from) / 4;
  if (view.live) return liveView(Math.max(2 * quarter, MIN_SPAN_MS), nowMs);
  return zoomed(from + quarter, to - quarter, nowMs);
}

/** Twice as long, around the same middle; live when it reaches the present. */
export function zoomedOut(view: View, nowMs: number): View {
  const [from, to] = windowAt(view, nowMs);
  const grown = { from: from - (to - from) / 2, to: to + (to - from) / 2 };
  return view.live || grown.to >= nowMs ? liveView(2 * (to - from), nowMs) : { live: false, ...grown };
}

/** Half a window earlier (-1) or later (1); live when it reaches the present. */
export function moved(view: View, direction: -1 | 1, nowMs: number): View {
  const [from, to] = windowAt(view, nowMs);
  const by = ((to - from) / 2) * direction;
  return to + by >= nowMs ? liveView(to - from, nowMs) : { live: false, from: from + by, to: to + by };
}
