/** Writes the rows of an answer as JSON, NDJSON or CSV, all at once when they are few and as a stream when they are many. */
import { PAGE_ROWS, type Resolution } from '../telemetry/ask.ts';
import type { FilledRow } from '../telemetry/fill.ts';
import type { Answer, Outlet, Writing } from './route.ts';

export const FORMATS = ['json', 'ndjson', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

export interface Table {
  /** What the JSON object says before `rows`. */
  head: Record<string, unknown>;
  /** Of all rows. Without a source, each row says its own. */
  resolution: Partial<Resolution>;
  /** The columns of CSV. */
  columns: readonly string[];
  pages: AsyncIterator<FilledRow[]>;
  /** Whether the rows that were read end at their limit: there may be more. */
  isLimited(): boolean;
}

const TYPES: Record<Format, string> = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
};

/** By `format`, or by the Accept header: its weights first, then what it names itself, then its order. */
export function formatOf(asked: unknown, accept: string): Format {
  if (asked !== undefined) return asked as Format;
  const ranges = accept.toLowerCase().split(',').map(rangeOf);
  const wishes = FORMATS.flatMap((format) => {
    const [group] = TYPES[format].split('/');
    // The narrowest that means it is the one that counts.
    const places = [TYPES[format], `${group}/*`, '*/*'].map((name) => ranges.findIndex((range) => range.name === name));
    const width = places.findIndex((place) => place !== -1);
    const place = places[width];
    return place === undefined ? [] : [{ format, width, place, weight: ranges[place]!.weight }];
  });
  const [best] = wishes
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight || a.width - b.width || a.place - b.place);
  return best?.format ?? 'json';
}

function rangeOf(text: string): { name: string; weight: number } {
  const [name = '', ...parameters] = text.split(';').map((part) => part.trim());
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  return { name, weight: weight === undefined ? 1 : Number(weight) || 0 };
}

interface Writer {
  type: string;
  before(table: Table): string;
  /** `isFirst`: no row came before these. */
  rows(rows: readonly FilledRow[], table: Table, isFirst: boolean): string;
  after(table: Table): string;
}

const WRITERS: Record<Format, Writer> = {
  json: {
    type: `${TYPES.json}; charset=utf-8`,
    before: ({ head, resolution }) => `${JSON.stringify({ ...head, resolution }).slice(0, -1)},"rows":[`,
    rows: (rows, _table, isFirst) => (isFirst ? '' : ',') + JSON.stringify(rows).slice(1, -1),
    after: (table) => `]${table.isLimited() ? ',"limited":true' : ''}}`,
  },
  ndjson: {
    type: TYPES.ndjson,
    before: () => '',
    rows: (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
    after: () => '',
  },
  csv: {
    type: `${TYPES.csv}; charset=utf-8`,
    before: ({ columns }) => `${columns.join(',')}\r\n`,
    rows: (rows, { columns }) =>
      rows.map((row) => `${columns.map((name) => cellOf(row[name])).join(',')}\r\n`).join(''),
    after: () => '',
  },
};

/** An answer of more pages is long, however few rows they hold: each of them is a question to the store. */
const BEGIN_PAGES = 100;

/**
 * Reads what fits in memory, so that a store which does not answer is a refusal and no torn answer; what is longer becomes a
 * stream that `admit` lets in. Throws `Unavailable`, and what `admit` throws.
 */
export async function answerOf(table: Table, format: Format, admit: (stream: Writing) => Writing): Promise<Answer> {
  const { head, resolution, pages } = table;
  const begin: FilledRow[] = [];
  let isWhole = false;
  for (let page = 0; !isWhole && begin.length <= PAGE_ROWS && page <= BEGIN_PAGES; page += 1) {
    const { done, value } = await pages.next();
    if (done) isWhole = true;
    else begin.push(...value);
  }
  const { type, before, rows, after } = WRITERS[format];
  const headers = headersOf(resolution);
  if (!isWhole) return { type, headers, stream: admit((outlet) => streamOf(table, format, begin, outlet)) };
  if (format === 'json')
    return { headers, body: { ...head, resolution, rows: begin, ...(table.isLimited() && { limited: true }) } };
  return { type, headers, body: before(table) + rows(begin, table, true) + after(table) };
}

async function streamOf(table: Table, format: Format, begin: FilledRow[], { signal, write }: Outlet) {
  const { before, rows, after } = WRITERS[format];
  const { pages } = table;
  try {
    let isFirst = begin.length === 0;
    await write(before(table) + rows(begin, table, true));
    for (let page = await pages.next(); !page.done; page = await pages.next()) {
      // Where there is nothing to write, nobody else would notice that the reader has gone.
      signal.throwIfAborted();
      if (page.value.length === 0) continue;
      await write(rows(page.value, table, isFirst));
      isFirst = false;
    }
    const end = after(table);
    if (end !== '') await write(end);
  } finally {
    await pages.return?.();
  }
}

/** What NDJSON and CSV have no room for. */
function headersOf({ source, everyMs }: Table['resolution']): Record<string, string> {
  return {
    ...(source !== undefined && { 'x-resolution': source }),
    ...(everyMs !== undefined && { 'x-every-ms': String(everyMs) }),
  };
}

/** A cell by RFC 4180; null is empty. */
function cellOf(value: unknown): string {
  const text = value === undefined || value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
