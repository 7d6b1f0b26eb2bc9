/** A small line without axes: how something went in the last minutes. */

interface SparklineProps {
  /** Oldest first. */
  points: readonly { ts: number; value: number }[];
  /** The right edge, Unix milliseconds. */
  to: number;
  /** The most that is shown. It begins with the first point, so that the line fills its place from the start. */
  spanMs: number;
  label: string;
  /** Fills the ground below the line, from 0 up. */
  filled?: boolean;
  hue?: number;
}

const WIDTH = 100;
const HEIGHT = 30;
const EDGE = 2;
/** Two points a second apart would look like a history otherwise. */
const LEAST_SPAN_MS = 10_000;

/** As wide as its place. */
export function Sparkline({ points, to, spanMs, label, filled = false, hue = 1 }: SparklineProps) {
  const from = Math.max(to - spanMs, Math.min(points[0]?.ts ?? to, to - LEAST_SPAN_MS));
  const line = pathOf(points, from, to, filled);
  return (
    <svg
      class={`sparkline hue-${hue}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {filled && line && <path class="ground" d={`${line.path}L${line.lastX} ${HEIGHT}L${line.firstX} ${HEIGHT}Z`} />}
      {line && <path class="line" d={line.path} />}
    </svg>
  );
}

function pathOf(points: SparklineProps['points'], from: number, to: number, filled: boolean) {
  const seen = points.filter(({ ts }) => ts >= from && ts <= to);
  if (seen.length < 2) return undefined;
  const values = seen.map(({ value }) => value);
  const least = filled ? 0 : Math.min(...values);
  const size = Math.max(...values) - least || 1;
  const x = (ts: number) => (((ts - from) / (to - from)) * WIDTH).toFixed(2);
  const y = (value: number) => (HEIGHT - EDGE - ((value - least) / size) * (HEIGHT - 2 * EDGE)).toFixed(2);
  const path = seen.map(({ ts, value }, index) => `${index === 0 ? 'M' : 'L'}${x(ts)} ${y(value)}`).join('');
  return { path, firstX: x(seen[0]!.ts), lastX: x(seen.at(-1)!.ts) };
}
