/** Turns a query into InfluxQL, and InfluxDB's answer into rows. */
import type { Stream } from '../../schemas/index.ts';
import type { Field } from '../../schemas/stream.ts';
import { storedKey } from './line-protocol.ts';
import type { Value } from './reading.ts';
import { type Column, columnsAsked } from './series.ts';
import type { MinuteCounts, Query, Row } from './store.ts';

export interface Select {
  /** Without its end, LIMIT and OFFSET. */
  text: string;
  /** Bound parameters. */
  placeholders: { device: string };
  /** What the columns after `time` are. */
  columns: Column[];
}

/** A row of InfluxDB's answer: microseconds, then a value or null for each column. */
export type InfluxRow = [number, ...(Value | null)[]];

/** Undefined when no field can be in the answer. The measurement is looked up in the retention policy of the call. */
export function selectOf(stream: Stream, query: Query): Select | undefined {
  const columns = columnsAsked(stream, query);
  if (columns.length === 0) return undefined;
  const { buckets, descending, rollup } = query;
  const list = columns.map(rollup ? partExpressionOf : expressionOf);
  const range = `time >= ${micros(query.from)}u AND time < ${micros(query.to)}u`;
  const group = buckets ? ` GROUP BY time(${micros(buckets.everyMs)}u) fill(none)` : '';
  const order = descending ? 'DESC' : 'ASC';
  const text =
    `SELECT ${list.join(', ')} FROM ${identifier(stream.name)} ` +
    `WHERE device = $device AND ${range}${group} ORDER BY time ${order}`;
  return { text, placeholders: { device: query.device }, columns };
}

function expressionOf({ field, fn }: Column): string {
  const key = identifier(storedKey(field));
  return fn ? `${fn.toUpperCase()}(${key})` : key;
}

const NUMBER_PARTS = ['count', 'first', 'last', 'sum', 'min', 'max'] as const;
const OTHER_PARTS = ['count', 'first', 'last'] as const;
type Part = (typeof NUMBER_PARTS)[number];

/** The key of what a roll-up keeps of a field. */
const partKey = (field: Field, part: Part) => identifier(`${storedKey(field)}.${part}`);

/** The same from the parts that a roll-up keeps. */
function partExpressionOf({ field, fn }: Column): string {
  const count = `SUM(${partKey(field, 'count')})`;
  if (fn === 'count') return count;
  if (fn === 'mean') return `SUM(${partKey(field, 'sum')}) / ${count}`;
  return `${fn!.toUpperCase()}(${partKey(field, fn!)})`;
}

/** Where the readings are, and where windows of this length go to. */
export interface RollupPlace {
  database: string;
  retentionPolicy: string;
  rollupPolicy: string;
  everyMs: number;
}

/** Sums a stream up over windows for each device; without a range, as a continuous query says it. Unix milliseconds. */
export function rollupInto(stream: Stream, place: RollupPlace, range?: { from: number; to: number }): string {
  const { database, retentionPolicy, rollupPolicy, everyMs } = place;
  const list = [...stream.fields.values()].flatMap((field) => {
    const isNumber = field.type === 'number' || field.type === 'integer';
    const parts: readonly Part[] = isNumber ? NUMBER_PARTS : OTHER_PARTS;
    return parts.map((part) => `${part.toUpperCase()}(${identifier(storedKey(field))}) AS ${partKey(field, part)}`);
  });
  const at = (policy: string) => [database, policy, stream.name].map(identifier).join('.');
  const where = range ? ` WHERE time >= ${micros(range.from)}u AND time < ${micros(range.to)}u` : '';
  return (
    `SELECT ${list.join(', ')} INTO ${at(rollupPolicy)} FROM ${at(retentionPolicy)}${where} ` +
    `GROUP BY time(${everyMs}ms), device`
  );
}

/** Finds the oldest reading of a stream; its time is in the first column. */
export function oldestOf(stream: Stream): string {
  const keys = Array.from(stream.fields.values(), (field) => identifier(storedKey(field)));
  return `SELECT ${keys.join(', ')} FROM ${identifier(stream.name)} ORDER BY time ASC LIMIT 1`;
}

/**
 * Adds an answer to the rows by time. Two answers at one time are one reading of which a tag differs (see
 * line-protocol.ts) and merge. A count of nothing is as absent as any other value.
 */
export function mergeRows(rows: Map<number, Row>, answer: InfluxRow[], { columns }: Select): void {
  for (const [time, ...values] of answer) {
    const row: Row = rows.get(time) ?? { ts: time / 1000 };
    for (const [index, value] of values.entries()) {
      const { name, fn } = columns[index]!;
      if (value !== null && !(fn === 'count' && value === 0)) row[name] = value;
    }
    rows.set(time, row);
  }
}

const MINUTE_MICROS = 60_000_000;

/** Counts the values of each field in each minute, over all devices; its columns are the fields of the stream. */
export function countOf(stream: Stream, from: number, to: number): string {
  const list = Array.from(stream.fields.values(), (field) => `COUNT(${identifier(storedKey(field))})`);
  return (
    `SELECT ${list.join(', ')} FROM ${identifier(stream.name)} ` +
    `WHERE time >= ${micros(from)}u AND time < ${micros(to)}u GROUP BY time(${MINUTE_MICROS}u) fill(none)`
  );
}

/** By field and the beginning of the minute (Unix milliseconds); a count of 0 is absent. */
export function countsByMinute(answer: InfluxRow[], stream: Stream): MinuteCounts {
  const names = [...stream.fields.keys()];
  const counts: MinuteCounts = new Map(names.map((name) => [name, new Map()]));
  for (const [time, ...values] of answer) {
    for (const [index, value] of values.entries()) {
      if (typeof value === 'number' && value > 0) counts.get(names[index]!)!.set(time / 1000, value);
    }
  }
  return counts;
}

const micros = (ms: number) => String(BigInt(Math.round(ms * 1000)));

/** Names from schemas hold letters, digits, `_`, `-` and `.` only; whatever else came would stay inside the quotes. */
export function identifier(name: string): string {
  return `"${name.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}
