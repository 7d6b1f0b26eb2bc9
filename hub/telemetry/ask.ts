/** Answers a question about one series from the store, a page at a time, from what is best to answer it. */
import type { Stream } from '../../schemas/index.ts';
import { type Fill, type FilledRow, filled } from './fill.ts';
import { type Part, partsOf, rollupFor, sourcesOf, stepFor } from './resolution.ts';
import { columnsAsked } from './series.ts';
import type { Query, Row, TelemetryStore } from './store.ts';

export interface Question extends Omit<Query, 'rollup'> {
  descending: boolean;
  /** Needs buckets. */
  fill?: Fill;
  /**
   * For a chart of about so many points, instead of buckets: readings as they are when there are no more, otherwise the
   * envelope of windows. Rows have the columns of an envelope either way.
   */
  points?: number;
}

/** What an answer is made of. */
export interface Resolution {
  /** `raw`: readings. Otherwise the roll-up, such as `1m`; readings complete it where it does not reach. */
  source: string;
  /** Length of the windows in milliseconds; absent when rows are readings. */
  everyMs?: number;
}

export interface Answered {
  resolution: Resolution;
  /** Keys of the rows after `ts`, in order. */
  columns: string[];
  /** Pages of at most 1,000 rows, read as they are asked for. Throws `Unavailable`. */
  pages: AsyncGenerator<FilledRow[]>;
}

type Store = Pick<TelemetryStore, 'query' | 'rollups'>;

/** So much of an answer is in memory at a time. */
export const PAGE_ROWS = 1_000;
/** The least difference of two timestamps, in milliseconds. */
const MICROSECOND = 0.001;

/** `now`: Unix milliseconds. Throws `Unavailable`. */
export async function ask(store: Store, stream: Stream, question: Question, now: number): Promise<Answered> {
  const { points, fill, ...query } = question;
  if (points !== undefined) return askForChart(store, stream, { ...query, points }, now);
  const parts = await planOf(store, query, now);
  const columns = columnsAsked(stream, query);
  const rows = pagesOf(store, query, parts);
  const { buckets } = query;
  const resolution = { source: sourceOf(parts), ...(buckets && { everyMs: buckets.everyMs }) };
  const names = columns.map(({ name }) => name);
  if (fill === undefined || !buckets) return { resolution, columns: names, pages: rows };
  const numbers = columns.map(({ name, field, fn }) => ({ name, isNumber: fn === 'count' || isNumber(field.type) }));
  const whole = filled(flat(rows), { ...query, everyMs: buckets.everyMs, fill, columns: numbers });
  return { resolution, columns: names, pages: paged(whole, query.limit) };
}

const isNumber = (type: string) => type === 'number' || type === 'integer';

async function askForChart(store: Store, stream: Stream, question: Question & { points: number }, now: number) {
  const { points, ...query } = question;
  const sources = sourcesOf(store.rollups, now);
  const columns = columnsAsked(stream, { ...query, buckets: { everyMs: 1, fn: 'envelope' } });
  const names = columns.map(({ name }) => name);
  if (query.from >= sources.rawFrom) {
    const rows = await store.query({ ...query, limit: points + 1 });
    const asEnvelope = rows.map((row) => envelopeOf(row, names));
    if (rows.length <= points)
      return { resolution: { source: 'raw' }, columns: names, pages: paged(each(asEnvelope), points) };
  }
  return ask(store, stream, { ...query, ...chartWindows(store, question, now) }, now);
}

/** What a chart asks for when the readings are too many for it: windows of a round length. */
export function chartWindows(
  store: Pick<Store, 'rollups'>,
  chart: { from: number; to: number; points: number },
  now: number,
) {
  const { from, to, points } = chart;
  const everyMs = stepFor(from, to, points, sourcesOf(store.rollups, now));
  return { limit: 2 * points + 2, buckets: { everyMs, fn: 'envelope' as const } };
}

/** A reading is the lowest and the highest of itself. */
function envelopeOf(row: Row, names: readonly string[]): Row {
  const whole: Row = { ts: row.ts };
  for (const name of names) {
    const value = row[name] ?? row[name.replace(/_(min|max)$/, '')];
    if (value !== undefined) whole[name] = value;
  }
  return whole;
}

/** From the oldest to the newest. */
async function planOf({ rollups }: Store, query: Query, now: number): Promise<Part[]> {
  const { from, to, buckets, stream, device } = query;
  const sources = sourcesOf(rollups, now);
  const rollup = buckets && rollupFor(sources, buckets.everyMs);
  if (!rollup) return [{ from, to }];
  return partsOf(query, rollup, sources.rawFrom, await rollups!.upTo(rollup, stream, device, now));
}

function sourceOf(parts: readonly Part[]): string {
  return parts.find(({ rollup }) => rollup)?.rollup?.name ?? 'raw';
}

/** Each page goes on where the one before ended, so that the store keeps nothing open between them. */
async function* pagesOf(store: Store, query: Query, parts: readonly Part[]): AsyncGenerator<Row[]> {
  let left = query.limit;
  for (const { rollup, ...part } of query.descending ? parts.toReversed() : parts) {
    let range = part;
    while (left > 0 && range.from < range.to) {
      const limit = Math.min(left, PAGE_ROWS);
      const rows = await store.query({ ...query, ...range, limit, ...(rollup && { rollup }) });
      if (rows.length > 0) yield rows;
      left -= rows.length;
      if (rows.length < limit) break;
      range = restOf(range, query, rows.at(-1)!.ts);
    }
  }
}

function restOf({ from, to }: Part, { descending, buckets }: Query, last: number): Part {
  return descending ? { from, to: last } : { from: last + (buckets?.everyMs ?? MICROSECOND), to };
}

async function* flat(pages: AsyncIterable<Row[]>): AsyncGenerator<Row> {
  for await (const page of pages) yield* page;
}

async function* each(rows: readonly FilledRow[]): AsyncGenerator<FilledRow> {
  yield* rows;
}

async function* paged(rows: AsyncIterable<FilledRow>, limit: number): AsyncGenerator<FilledRow[]> {
  let page: FilledRow[] = [];
  let left = limit;
  for await (const row of rows) {
    page.push(row);
    left -= 1;
    if (page.length === PAGE_ROWS || left === 0) {
      yield page;
      page = [];
    }
    if (left === 0) return;
  }
  if (page.length > 0) yield page;
}
