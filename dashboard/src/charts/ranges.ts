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
  ['24h', '24 h', 86_400_000],
  ['7d', '7 d', 604_800_000],
  ['30d', '30 d', 2_592_000_000],
] as const;
export type RangeName = (typeof RANGES)[number][0];

/** The share of a window that is left free behind a moment. */
const ROOM_AFTER = 0.1;
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

/** As long as now, with a moment in it near its end, and readings before it. */
export function around(atMs: number, spanMs: number, nowMs: number): View {
  const after = spanMs * ROOM_AFTER;
  return zoomed(atMs + after - spanMs, Math.min(atMs + after, nowMs), nowMs);
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

/** What is shown first. */
export const FIRST_RANGE = RANGES[0];

/** A view as parts of an address: `range` is a duration such as `6h`, or milliseconds, `from` and `to` are Unix milliseconds. */
export function queryOf(view: View): { range?: string; from?: string; to?: string } {
  if (!view.live) return { from: `${Math.round(view.from)}`, to: `${Math.round(view.to)}` };
  if (spanOf(view) === FIRST_RANGE[2]) return {};
  return { range: RANGES.find(([, , ms]) => ms === spanOf(view))?.[0] ?? `${Math.round(spanOf(view))}` };
}

/** The view of an address; the first range when it has none, or no sense. */
export function viewOf(query: URLSearchParams, nowMs: number): View {
  const [from, to] = [wholeOf(query.get('from')), wholeOf(query.get('to'))];
  if (from !== undefined && to !== undefined && from < to && from < nowMs) return zoomed(from, to, nowMs);
  const spanMs = durationOf(query.get('range') ?? '');
  return liveView(spanMs >= MIN_SPAN_MS && spanMs <= nowMs ? spanMs : FIRST_RANGE[2], nowMs);
}

const UNITS_MS: Record<string, number> = { '': 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90s`, `15m`, `24h`, `7d` as people and the CLI write them, or of a bare number; NaN: it is none. */
function durationOf(text: string): number {
  const [, amount, unit = ''] = /^(\d+)(ms|s|m|h|d)?$/.exec(text) ?? [];
  return Number(amount) * UNITS_MS[unit]!;
}

/** Times beyond these are no dates. */
const LAST_DATE_MS = 8.64e15;

function wholeOf(text: string | null): number | undefined {
  const value = text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
  return value !== undefined && value <= LAST_DATE_MS ? value : undefined;
}
