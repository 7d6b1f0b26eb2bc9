/** The tables of the embedded store and its statements: one table for each stream, one column for each field. */
import type { Stream } from '../../schemas/index.ts';
import type { Field, FieldType } from '../../schemas/stream.ts';
import { type Column, columnsAsked } from './series.ts';
import type { Aggregate, Query, Row } from './store.ts';

export type Cell = string | number | null;

export interface Table {
  /** Quoted for SQL. */
  name: string;
  /** In the order of the parameters of `upsert`, after device and microseconds. */
  fields: readonly Field[];
  upsert: string;
}

export interface Select {
  text: string;
  params: Cell[];
  /** What the columns after the microseconds are. */
  columns: readonly Column[];
}

/** Tables are STRICT: a value of another type is refused, as InfluxDB would, instead of stored. */
export const COLUMN_TYPES: Record<FieldType, string> = {
  number: 'REAL',
  integer: 'INTEGER',
  boolean: 'INTEGER',
  string: 'TEXT',
};

/** Readings deleted at a time, so that writes get their turn. */
const PRUNE_CHUNK = 5_000;

/** SQLite folds case and schemas do not: a capital is written as `$` and its small letter. */
export const fold = (name: string) => name.replace(/[A-Z]/g, (letter) => `$${letter.toLowerCase()}`);
export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
const column = (field: Field) => quoted(fold(field.name));

export function tableOf(stream: Stream): Table {
  const name = quoted(`stream_${fold(stream.name)}`);
  const fields = [...stream.fields.values()];
  const columns = fields.map(column);
  const upsert =
    `INSERT INTO ${name} (device, ts, ${columns.join(', ')}) VALUES (?, ?${', ?'.repeat(fields.length)}) ` +
    `ON CONFLICT (device, ts) DO UPDATE SET ` +
    columns.map((key) => `${key} = coalesce(excluded.${key}, ${key})`).join(', ');
  return { name, fields, upsert };
}

/** `known`: the columns that the table has already, none when there is no table. */
export function definitionOf({ name, fields }: Table, known: ReadonlySet<string>): string[] {
  if (known.size === 0) {
    const columns = fields.map((field) => `, ${column(field)} ${COLUMN_TYPES[field.type]}`).join('');
    const key = 'device TEXT NOT NULL, ts INTEGER NOT NULL';
    return [`CREATE TABLE ${name} (${key}${columns}, PRIMARY KEY (device, ts)) STRICT, WITHOUT ROWID`];
  }
  const missing = fields.filter((field) => !known.has(fold(field.name)));
  return missing.map((field) => `ALTER TABLE ${name} ADD COLUMN ${column(field)} ${COLUMN_TYPES[field.type]}`);
}

/** Its answer has the name of a column in second place. */
export const columnsOf = ({ name }: Pick<Table, 'name'>) => `PRAGMA table_info(${name})`;

/** Undefined when no field can be in the answer. */
export function selectOf(stream: Stream, table: Table, query: Query): Select | undefined {
  const columns = columnsAsked(stream, query);
  if (columns.length === 0) return undefined;
  const keys = [...new Set(columns.map(({ field }) => column(field)))];
  const params = [query.device, micros(query.from), micros(query.to), query.limit];
  const { buckets } = query;
  const order = query.descending ? 'DESC' : 'ASC';
  // With one argument coalesce() is an error, hence the NULL.
  const where = `device = ?1 AND ts >= ?2 AND ts < ?3 AND coalesce(${keys.join(', ')}, NULL) IS NOT NULL`;
  if (!buckets) {
    const text = `SELECT ts, ${keys.join(', ')} FROM ${table.name} WHERE ${where} ORDER BY ts ${order} LIMIT ?4`;
    return { text, params, columns };
  }
  const outer = columns.map(({ field, fn }, index) =>
    isAt(fn) ? valueAt(table.name, column(field), index) : `a${index}`,
  );
  const inner = columns.map(({ field, fn }, index) => `${AGGREGATE[fn!](column(field))} AS a${index}`);
  const text = windowed(`FROM ${table.name} WHERE ${where}`, outer, inner, order);
  return { text, params: [...params, micros(buckets.everyMs)], columns };
}

/** Takes device, from, to, limit and the length of windows as ?1 to ?5. `outer` may look up what `inner` names `a<index>`. */
export function windowed(source: string, outer: string[], inner: string[], order: string): string {
  return (
    `SELECT start, ${outer.join(', ')} FROM (SELECT ts / CAST(?5 AS INTEGER) * CAST(?5 AS INTEGER) AS start, ` +
    `${inner.join(', ')} ${source} GROUP BY start ORDER BY start ${order} LIMIT ?4) ORDER BY start ${order}`
  );
}

/** `first` and `last` find the time of a value; the value itself is looked up for each window. */
export const AGGREGATE: Record<Aggregate, (key: string) => string> = {
  mean: (key) => `avg(${key})`,
  min: (key) => `min(${key})`,
  max: (key) => `max(${key})`,
  first: (key) => `min(CASE WHEN ${key} IS NOT NULL THEN ts END)`,
  last: (key) => `max(CASE WHEN ${key} IS NOT NULL THEN ts END)`,
  count: (key) => `nullif(count(${key}), 0)`,
};

/** Whether `AGGREGATE` gives the time of the value instead of the value. */
export const isAt = (fn: Aggregate | undefined) => fn === 'first' || fn === 'last';

export const valueAt = (table: string, key: string, index: number) =>
  `(SELECT ${key} FROM ${table} WHERE device = ?1 AND ts = a${index})`;

export function rowOf([ts, ...cells]: Cell[], { columns }: Select): Row {
  const row: Row = { ts: Number(ts) / 1000 };
  for (const [index, cell] of cells.entries()) {
    const { name, field, fn } = columns[index]!;
    if (cell !== null) row[name] = field.type === 'boolean' && fn !== 'count' ? cell === 1 : cell;
  }
  return row;
}

/** Takes a device; its answer is the next one, in the order of their names. */
export const nextDeviceOf = ({ name }: Pick<Table, 'name'>) => `SELECT min(device) FROM ${name} WHERE device > ?`;

/** Takes a device and microseconds; deletes some of what is older. */
export const pruneOf = ({ name }: Pick<Table, 'name'>) =>
  `DELETE FROM ${name} WHERE (device, ts) IN ` +
  `(SELECT device, ts FROM ${name} WHERE device = ? AND ts < ? ORDER BY ts LIMIT ${PRUNE_CHUNK})`;

export const micros = (ms: number) => Math.round(ms * 1000);
