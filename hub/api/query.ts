/** Turns what a person asks about telemetry into a query of the store, or into the list of what is wrong with it. */
import type { Catalog } from '../../schemas/index.ts';
import type { Aggregate, Query } from '../telemetry/store.ts';
import { MistakenRequest } from './problem.ts';
import { DURATION_FORMS, parseDuration, parseTime, TIME_FORMS } from './time.ts';

/** Rows of one answer. */
export const MAX_ROWS = 10_000;

type Asked = Record<string, string | number | undefined>;
type Report = (name: string, message: string) => void;

/** Checks everything before it complains. `asked` fits the route's schema. Throws `MistakenRequest`. */
export function queryOf(device: string, asked: Asked, catalog: Catalog, now: number): Query {
  const errors: { in: 'query'; path: string; message: string }[] = [];
  const report: Report = (name, message) => errors.push({ in: 'query', path: `/${name}`, message });
  const stream = String(asked.stream);
  const fields = fieldsOf(stream, asked.fields, catalog, report);
  const from = timeOf('from', asked.from ?? '-1h', now, report);
  const to = timeOf('to', asked.to ?? 'now', now, report);
  if (from >= to) report('from', 'must be before to');
  const buckets = bucketsOf(asked.every, asked.fn, report);
  if (errors.length > 0) throw new MistakenRequest(errors);
  return {
    device,
    stream,
    from,
    to,
    limit: Number(asked.limit ?? 100),
    descending: asked.order !== 'asc',
    ...(fields && { fields }),
    ...(buckets && { buckets }),
  };
}

function fieldsOf(stream: string, asked: Asked[string], catalog: Catalog, report: Report): string[] | undefined {
  const known = catalog.streams.get(stream)?.fields;
  if (!known) report('stream', `must be one of ${[...catalog.streams.keys()].join(', ')}`);
  if (!known || asked === undefined) return undefined;
  const names = [...new Set(String(asked).split(','))];
  for (const name of names) {
    if (!known.has(name)) report('fields', `"${name}" is no field of ${stream}: ${[...known.keys()].join(', ')}`);
  }
  return names;
}

function timeOf(name: string, text: string | number, now: number, report: Report): number {
  const time = parseTime(String(text), now);
  if (time === undefined) report(name, `must be ${TIME_FORMS}`);
  return time ?? Number.NaN;
}

function bucketsOf(every: Asked[string], fn: Asked[string], report: Report): Query['buckets'] {
  if (every === undefined) {
    if (fn !== undefined) report('fn', 'needs every: the length of the windows');
    return undefined;
  }
  const everyMs = parseDuration(String(every));
  if (everyMs === undefined || everyMs < 1 || !Number.isInteger(everyMs)) report('every', `must be ${DURATION_FORMS}`);
  return { everyMs: everyMs ?? 0, fn: (fn ?? 'mean') as Aggregate };
}
