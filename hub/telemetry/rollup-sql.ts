/** The roll-ups of the embedded store: for each stream and length of windows one table of counts, sums and extremes. */
import type { Stream } from '../../schemas/index.ts';
import type { Field } from '../../schemas/stream.ts';
import { columnsAsked } from './series.ts';
import {
  AGGREGATE,
  COLUMN_TYPES,
  fold,
  isAt,
  micros,
  quoted,
  type Select,
  type Table,
  valueAt,
  windowed,
} from './sql.ts';
import type { Aggregate, Query, Rollup } from './store.ts';

export interface RollupTable {
  /** Quoted for SQL. */
  name: string;
  rollup: Rollup;
  stream: Stream;
  columns: readonly { key: string; type: string }[];
  /** Takes a device, the start and the end of a window in microseconds: sums the window up, again if need be. */
  sum: string;
}

/** What is kept of a field in a window; of what is no number, no sum and no extremes. */
const PARTS = ['count', 'first', 'last', 'sum', 'min', 'max'] as const;
type Part = (typeof PARTS)[number];
const NUMBER_PARTS = new Set<Part>(['sum', 'min', 'max']);

/** A dot cannot occur in a field's own name. */
const keyOf = (field: Field, part: Part) => quoted(`${fold(field.name)}.${part}`);

/** Windows in which something changed since they were summed up. `ts`: the start, or `ALL`. */
export const DIRTY = [
  'CREATE TABLE IF NOT EXISTS rollup_dirty (every INTEGER NOT NULL, stream TEXT NOT NULL, device TEXT NOT NULL, ' +
    'ts INTEGER NOT NULL, PRIMARY KEY (every, stream, device, ts)) STRICT, WITHOUT ROWID',
  // Readings before this moment are gone, so that no window before it can be summed up again.
  'CREATE TABLE IF NOT EXISTS rollup_horizon (id INTEGER PRIMARY KEY CHECK (id = 1), ts INTEGER NOT NULL) STRICT',
];
/** The mark of a device whose windows all have to be summed up. */
export const ALL = Number.MIN_SAFE_INTEGER;
/** Windows summed up in one transaction, so that writes get their turn. */
const CHUNK = 200;
const HORIZON = `coalesce((SELECT ts FROM rollup_horizon), ${ALL})`;

/** Takes length, stream, device and start. */
export const MARK = 'INSERT OR IGNORE INTO rollup_dirty (every, stream, device, ts) VALUES (?, ?, ?, ?)';
/** Takes the same. */
export const UNMARK = 'DELETE FROM rollup_dirty WHERE every = ? AND stream = ? AND device = ? AND ts = ?';
/** Takes length, stream and the latest start; its answer is devices and starts. */
export const NEXT_DIRTY =
  `SELECT device, ts FROM rollup_dirty WHERE every = ? AND stream = ? AND ts <= ? ` +
  `AND (ts >= ${HORIZON} OR ts = ${ALL}) LIMIT ${CHUNK}`;
/** Takes length, stream and device; its answer is the start of the first window that is not summed up. */
export const FIRST_DIRTY = `SELECT min(ts) FROM rollup_dirty WHERE every = ? AND stream = ? AND device = ? AND (ts >= ${HORIZON} OR ts = ${ALL})`;
/** What nobody can sum up any more. */
export const FORGET_DIRTY = `DELETE FROM rollup_dirty WHERE ts > ${ALL} AND ts < ${HORIZON}`;
/** Takes the horizon, which never goes back. */
export const SET_HORIZON =
  'INSERT INTO rollup_horizon (id, ts) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET ts = max(ts, excluded.ts)';

/** Takes length, stream and device: marks all its windows. */
export const markAllOf = ({ name }: Table) =>
  'INSERT OR IGNORE INTO rollup_dirty (every, stream, device, ts) ' +
  `SELECT DISTINCT ?1, ?2, ?3, ts / CAST(?1 AS INTEGER) * CAST(?1 AS INTEGER) FROM ${name} WHERE device = ?3`;

export function rollupTableOf(stream: Stream, table: Table, rollup: Rollup): RollupTable {
  const name = quoted(`rollup_${rollup.everyMs}_${fold(stream.name)}`);
  const kept = table.fields.flatMap((field) => partsOf(field).map((part) => ({ field, part })));
  const keys = kept.map(({ field, part }) => keyOf(field, part));
  const values = kept.map(({ field, part }) => summed(table, quoted(fold(field.name)), part));
  const sum =
    `INSERT INTO ${name} (device, ts, ${keys.join(', ')}) SELECT ?1, ?2, ${values.join(', ')} FROM ${table.name} ` +
    `WHERE ${WINDOW} HAVING count(*) > 0 ` +
    `ON CONFLICT (device, ts) DO UPDATE SET ${keys.map((key) => `${key} = excluded.${key}`).join(', ')}`;
  const columns = kept.map(({ field, part }) => ({ key: keyOf(field, part), type: typeOf(field, part) }));
  return { name, rollup, stream, columns, sum };
}

const WINDOW = 'device = ?1 AND ts >= ?2 AND ts < ?3';

function partsOf({ type }: Field): Part[] {
  const isNumber = type === 'number' || type === 'integer';
  return PARTS.filter((part) => isNumber || !NUMBER_PARTS.has(part));
}

function typeOf({ type }: Field, part: Part): string {
  if (part === 'count') return 'INTEGER';
  return part === 'sum' ? 'REAL' : COLUMN_TYPES[type];
}

function summed({ name }: Table, key: string, part: Part): string {
  const at = (order: string) =>
    `(SELECT ${key} FROM ${name} WHERE ${WINDOW} AND ${key} IS NOT NULL ORDER BY ts ${order} LIMIT 1)`;
  const parts: Record<Part, string> = {
    count: `nullif(count(${key}), 0)`,
    first: at('ASC'),
    last: at('DESC'),
    // sum() of integers can overflow, total() cannot.
    sum: `CASE WHEN count(${key}) > 0 THEN total(${key}) END`,
    min: `min(${key})`,
    max: `max(${key})`,
  };
  return parts[part];
}

/** `known`: the columns that the table has already, none when there is no table. */
export function rollupDefinitionOf({ name, columns }: RollupTable, known: ReadonlySet<string>): string[] {
  const cells = columns.map(({ key, type }) => `${key} ${type}`);
  if (known.size === 0) {
    const key = 'device TEXT NOT NULL, ts INTEGER NOT NULL';
    return [`CREATE TABLE ${name} (${key}, ${cells.join(', ')}, PRIMARY KEY (device, ts)) STRICT, WITHOUT ROWID`];
  }
  const isMissing = (_: string, index: number) => !known.has(columns[index]!.key.slice(1, -1));
  return cells.filter(isMissing).map((cell) => `ALTER TABLE ${name} ADD COLUMN ${cell}`);
}

/** Asks the roll-up; undefined when no field can be in the answer. */
export function rollupSelectOf({ name, stream }: RollupTable, query: Query): Select | undefined {
  const columns = columnsAsked(stream, query);
  if (columns.length === 0) return undefined;
  const counts = [...new Set(columns.map(({ field }) => keyOf(field, 'count')))];
  const where = `device = ?1 AND ts >= ?2 AND ts < ?3 AND coalesce(${counts.join(', ')}, NULL) IS NOT NULL`;
  const inner = columns.map(({ field, fn }, index) => `${FROM_PARTS[fn!](field)} AS a${index}`);
  const outer = columns.map(({ field, fn }, index) =>
    isAt(fn) ? valueAt(name, keyOf(field, fn as 'first' | 'last'), index) : `a${index}`,
  );
  const text = windowed(`FROM ${name} WHERE ${where}`, outer, inner, query.descending ? 'DESC' : 'ASC');
  const everyMs = query.buckets!.everyMs;
  return { text, params: [query.device, ...[query.from, query.to].map(micros), query.limit, micros(everyMs)], columns };
}

const FROM_PARTS: Record<Aggregate, (field: Field) => string> = {
  mean: (field) => `sum(${keyOf(field, 'sum')}) / sum(${keyOf(field, 'count')})`,
  min: (field) => `min(${keyOf(field, 'min')})`,
  max: (field) => `max(${keyOf(field, 'max')})`,
  first: (field) => AGGREGATE.first(keyOf(field, 'first')),
  last: (field) => AGGREGATE.last(keyOf(field, 'last')),
  count: (field) => `sum(${keyOf(field, 'count')})`,
};
