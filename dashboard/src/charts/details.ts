/** How finely charts show a range: as the hub chooses, each reading, or windows of one length. */

export const DETAILS = ['auto', 'readings', '1s', '10s', '1m', '10m', '1h', '1d'] as const;
export type Detail = (typeof DETAILS)[number];

/** By the names people know. */
export const DETAIL_TITLES: Record<Detail, string> = {
  auto: 'Auto',
  readings: 'Every reading',
  '1s': '1 s',
  '10s': '10 s',
  '1m': '1 min',
  '10m': '10 min',
  '1h': '1 h',
  '1d': '1 day',
};

const WINDOWS_MS: Partial<Record<Detail, number>> = {
  '1s': 1_000,
  '10s': 10_000,
  '1m': 60_000,
  '10m': 600_000,
  '1h': 3_600_000,
  '1d': 86_400_000,
};

/** Points of a chart: about its pixels. */
const PIXELS = 600;
/** A browser draws so many without stutter, and the hub gives no more. */
export const MOST_POINTS = 10_000;
/** Fewer are no line. */
const LEAST_WINDOWS = 2;

/** Whether a range (milliseconds) can be shown so. */
export function fits(detail: Detail, spanMs: number): boolean {
  const windowMs = WINDOWS_MS[detail];
  if (windowMs === undefined) return true;
  const windows = spanMs / windowMs;
  return windows >= LEAST_WINDOWS && windows <= MOST_POINTS - 2;
}

/** The detail of that name; `auto` for any other. */
export const detailOf = (name: string | null): Detail => DETAILS.find((detail) => detail === name) ?? 'auto';

/** What is asked of the hub. */
export function askedFor(detail: Detail): Record<string, string | number> {
  if (detail === 'auto') return { points: PIXELS };
  if (detail === 'readings') return { points: MOST_POINTS };
  return { every: detail, fn: 'envelope', limit: MOST_POINTS };
}

/** Live readings that are closer than this (milliseconds) become one point. */
export function bucketFor(detail: Detail, spanMs: number): number {
  return WINDOWS_MS[detail] ?? spanMs / (detail === 'readings' ? MOST_POINTS : PIXELS);
}
