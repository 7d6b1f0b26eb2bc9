/** The points of one line on a chart: history from the hub, the live edge added bucket by bucket, bounded by what is shown. */

/** A row of the hub's answer to a query with `points`. */
export type Row = { ts: number } & Record<string, unknown>;

/** Turns a stored value into a number on the axis; undefined: there is no point. */
export type ToNumber = (value: unknown) => number | undefined;

/** Columns as uPlot takes them: times in seconds, then middle, least and most. */
export type Columns = [number[], (number | null)[], (number | null)[], (number | null)[]];

interface Point {
  /** Unix milliseconds. */
  ts: number;
  mean: number;
  min: number;
  max: number;
  /** Readings in it, as far as they are known. */
  count: number;
}

/** A break in a line: no reading for this many times the usual distance. */
const GAP_FACTOR = 5;

export class Series {
  #points: Point[] = [];
  readonly #bucketMs: number;
  readonly #toNumber: ToNumber;

  /** Live points closer than `bucketMs` become one, as the history has them. */
  constructor(bucketMs: number, toNumber: ToNumber) {
    this.#bucketMs = bucketMs;
    this.#toNumber = toNumber;
  }

  /** What the hub answered, oldest first; replaces everything before its end, which is that of its last window. */
  load(rows: readonly Row[], field: string): void {
    const points: Point[] = [];
    for (const row of rows) {
      const mean = this.#toNumber(row[field]);
      if (mean === undefined) continue;
      const min = this.#toNumber(row[`${field}_min`]) ?? mean;
      const max = this.#toNumber(row[`${field}_max`]) ?? mean;
      points.push({ ts: row.ts, mean, min, max, count: 1 });
    }
    const end = points.at(-1)?.ts ?? Number.NEGATIVE_INFINITY;
    this.#points = [...points, ...this.#points.filter(({ ts }) => ts > end && ts - end >= this.#bucketMs)];
  }

  /** A live reading. One that is older than the newest bucket is left to the next load. */
  add(ts: number, value: unknown): void {
    const number = this.#toNumber(value);
    if (number === undefined) return;
    const last = this.#points.at(-1);
    if (last && ts < last.ts) return;
    if (!last || ts - last.ts >= this.#bucketMs) {
      this.#points.push({ ts, mean: number, min: number, max: number, count: 1 });
      return;
    }
    last.mean = (last.mean * last.count + number) / (last.count + 1);
    last.count += 1;
    last.min = Math.min(last.min, number);
    last.max = Math.max(last.max, number);
  }

  /** Forgets what is older, but for one point, so that the line comes in from the edge. */
  trim(fromMs: number): void {
    const first = this.#points.findIndex(({ ts }) => ts >= fromMs);
    if (first > 1) this.#points = this.#points.slice(first - 1);
  }

  get length(): number {
    return this.#points.length;
  }

  /** The line itself, oldest first. */
  get line(): { ts: number; value: number }[] {
    return this.#points.map(({ ts, mean }) => ({ ts, value: mean }));
  }

  /** The newest point. */
  get last(): { ts: number; value: number } | undefined {
    const point = this.#points.at(-1);
    return point && { ts: point.ts, value: point.mean };
  }

  /** The least and the most between two moments; undefined without a point. */
  extent(fromMs: number, toMs: number): { min: number; max: number } | undefined {
    let extent: { min: number; max: number } | undefined;
    for (const { ts, min, max } of this.#points) {
      if (ts < fromMs || ts > toMs) continue;
      extent = extent ? { min: Math.min(extent.min, min), max: Math.max(extent.max, max) } : { min, max };
    }
    return extent;
  }

  /** For drawing, with a hole where readings are missing. */
  columns(): Columns {
    const columns: Columns = [[], [], [], []];
    const gapMs = Math.max(this.#usualDistance() * GAP_FACTOR, this.#bucketMs * 3);
    let before: number | undefined;
    for (const { ts, mean, min, max } of this.#points) {
      if (before !== undefined && ts - before > gapMs) push(columns, (before + ts) / 2, null, null, null);
      push(columns, ts, mean, min, max);
      before = ts;
    }
    return columns;
  }

  #usualDistance(): number {
    const distances = this.#points.slice(1).map(({ ts }, index) => ts - this.#points[index]!.ts);
    return distances.sort((a, b) => a - b)[distances.length >> 1] ?? 0;
  }
}

/** Places of points that no line goes through: nothing stands beside them. */
export function loneIn(values: ArrayLike<number | null | undefined>): number[] {
  const lone: number[] = [];
  const isThere = (index: number) => (values[index] ?? null) !== null;
  for (let index = 0; index < values.length; index++)
    if (isThere(index) && !isThere(index - 1) && !isThere(index + 1)) lone.push(index);
  return lone;
}

function push([times, ...values]: Columns, ts: number, ...of: (number | null)[]): void {
  times.push(ts / 1_000);
  for (const [index, column] of values.entries()) column.push(of[index] ?? null);
}
