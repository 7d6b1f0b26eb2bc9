/** Turns what a person asks about telemetry into a question to the store, or into the list of what is wrong with it. */
import type { Catalog, Stream } from '../../schemas/index.ts';
import type { Question } from '../telemetry/ask.ts';
import type { Fill } from '../telemetry/fill.ts';
import { columnsAsked } from '../telemetry/series.ts';
import type { WindowFunction } from '../telemetry/store.ts';
import { MistakenRequest } from './problem.ts';
import { DURATION_FORMS, parseDuration, parseTime, TIME_FORMS } from './time.ts';

/** Rows of one series in an answer. */
export const MAX_ROWS = 1_000_000;
/** Points of a chart; no screen has more columns. */
export const MAX_POINTS = 10_000;
/** What stands for a window without readings, for messages. */
export const FILL_FORMS = 'none, null, previous (the window before), or a number';

/** How the length of a window is written, for messages. */
export const WINDOW_FORMS = `${DURATION_FORMS}, or milliseconds`;

type Asked = Record<string, string | number | undefined>;
type Report = (name: string, message: string) => void;

/** What was asked, of whichever device. */
export interface Checked {
  stream: Stream;
  question: Omit<Question, 'device'>;
}

/** Checks everything before it complains. `asked` fits the route's schema. Throws `MistakenRequest`. */
export function questionOf(asked: Asked, catalog: Catalog, now: number): Checked {
  const errors: { in: 'query'; path: string; message: string }[] = [];
  const report: Report = (name, message) => errors.push({ in: 'query', path: `/${name}`, message });
  const stream = catalog.streams.get(String(asked.stream));
  if (!stream) report('stream', `must be one of ${[...catalog.streams.keys()].join(', ')}`);
  const fields = stream && fieldsOf(stream, asked.fields, report);
  const from = timeOf('from', asked.from ?? '-1h', now, report);
  const to = timeOf('to', asked.to ?? 'now', now, report);
  if (from >= to) report('from', 'must be before to');
  const windows = { ...windowsOf(asked, report), ...pointsOf(asked, report) };
  if (windows.points !== undefined || windows.buckets?.fn === 'envelope') checkEnvelope(stream, fields, report);
  else if (stream && windows.buckets) checkNumbers(stream, { ...(fields && { fields }), ...windows }, report);
  if (errors.length > 0) throw new MistakenRequest(errors);
  const range = { from, to, limit: Number(asked.limit ?? 100), descending: asked.order !== 'asc' };
  return { stream: stream!, question: { stream: stream!.name, ...range, ...(fields && { fields }), ...windows } };
}

function fieldsOf({ name: stream, fields: known }: Stream, asked: Asked[string], report: Report) {
  if (asked === undefined) return undefined;
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

function windowsOf(asked: Asked, report: Report): Pick<Question, 'buckets' | 'fill'> {
  const { every, fn, fill } = asked;
  if (every === undefined) {
    for (const name of ['fn', 'fill'])
      if (asked[name] !== undefined) report(name, 'needs every: the length of the windows');
    return {};
  }
  const everyMs = /^\d{1,16}$/.test(String(every)) ? Number(every) : parseDuration(String(every));
  if (everyMs === undefined || everyMs < 1 || !Number.isInteger(everyMs)) report('every', `must be ${WINDOW_FORMS}`);
  const stand = fillOf(fill, report);
  if (stand === 'previous' && asked.order !== 'asc')
    report('fill', 'previous needs order=asc: it is the window before in time');
  return {
    buckets: { everyMs: everyMs ?? 0, fn: (fn ?? 'mean') as WindowFunction },
    ...(stand !== undefined && { fill: stand }),
  };
}

function fillOf(asked: Asked[string], report: Report): Fill | undefined {
  if (asked === undefined || asked === 'none') return undefined;
  if (asked === 'null' || asked === 'previous') return asked;
  const value = Number(asked);
  if (String(asked).trim() === '' || !Number.isFinite(value)) report('fill', `must be ${FILL_FORMS}`);
  return value;
}

function pointsOf({ points, every }: Asked, report: Report): Pick<Question, 'points'> {
  if (points === undefined) return {};
  if (every !== undefined) report('points', 'chooses the windows itself: leave out every');
  return { points: Number(points) };
}

/** An envelope has three columns of a number, and none may have the name of another. */
function checkEnvelope(stream: Stream | undefined, fields: string[] | undefined, report: Report): void {
  const names = new Set(fields ?? stream?.fields.keys());
  const twice = [...names].find((name) => names.has(`${name}_min`) || names.has(`${name}_max`));
  if (twice === undefined) return;
  report('fields', `of "${twice}" come ${twice}_min and ${twice}_max too: ask for these fields apart`);
}

/** Of a field that is no number there is no mean, so windows of nothing else would look like windows without readings. */
function checkNumbers(stream: Stream, asked: Pick<Question, 'fields' | 'buckets'>, report: Report): void {
  const { fields = [...stream.fields.keys()], buckets } = asked;
  if (!fields.every((name) => stream.fields.has(name)) || columnsAsked(stream, asked).length > 0) return;
  const names = fields.map((name) => `"${name}"`).join(', ');
  const verdict = fields.length === 1 ? 'is no number' : 'are no numbers';
  report('fn', `${buckets!.fn} is of numbers, and ${names} ${verdict}: ask for first, last or count`);
}
