/** The words in which the quarantine speaks to SQLite: its table, what goes in, which rows are meant. Pure. */
import type { Cell, Column, Step } from '../kit/database.sqlite.ts';
import type { QuarantinedReading, QuarantineFilter } from './quarantine.ts';
import type { QuarantineEntry } from './quarantine-entry.ts';

/** AUTOINCREMENT: an id that was dropped is not given again, so a list that is walked meanwhile stays true. */
export const TABLES = [
  `CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, device TEXT NOT NULL, stream TEXT NOT NULL,
    epoch TEXT NOT NULL, seq INTEGER NOT NULL, receivedAt REAL NOT NULL, place INTEGER, path TEXT NOT NULL,
    code TEXT NOT NULL, message TEXT NOT NULL, reading TEXT NOT NULL, ts REAL, triedAt REAL) STRICT`,
  'CREATE INDEX IF NOT EXISTS quarantine_by_device ON quarantine (device, id)',
  'CREATE TABLE IF NOT EXISTS dropped (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at REAL NOT NULL) STRICT',
];

/** Columns that files of earlier versions lack. */
export const NEW_COLUMNS = ['ts', 'triedAt'].map((name) => {
  return { name, sql: `ALTER TABLE quarantine ADD COLUMN ${name} REAL` };
});

const COLUMNS = 'device, stream, epoch, seq, receivedAt, place, path, code, message, reading, ts';
const INSERT = `INSERT INTO quarantine (key, ${COLUMNS}) SELECT ?${', ?'.repeat(11)}
  WHERE NOT EXISTS (SELECT 1 FROM dropped WHERE key = ?1) ON CONFLICT (key) DO NOTHING`;

export const SELECT = `SELECT id, ${COLUMNS}, triedAt FROM quarantine`;

/** SQLite's word for each part of a filter. */
const PARTS = {
  device: 'device = ?',
  stream: 'stream = ?',
  code: 'code = ?',
  from: 'receivedAt >= ?',
  to: 'receivedAt < ?',
  before: 'id < ?',
  after: 'id > ?',
};

/** The condition, with its parameters. */
export function selectionOf({ ids, ...filter }: QuarantineFilter & { before?: number; after?: number }): {
  where: string;
  params: Cell[];
} {
  const parts = Object.entries(PARTS).flatMap(([name, sql]): { sql: string; value: Cell }[] => {
    const value = filter[name as keyof typeof PARTS];
    return value === undefined ? [] : [{ sql, value }];
  });
  // One text for any number of ids: statements are kept.
  if (ids !== undefined) parts.push({ sql: 'id IN (SELECT value FROM json_each(?))', value: JSON.stringify(ids) });
  return { where: ['1', ...parts.map(({ sql }) => sql)].join(' AND '), params: parts.map(({ value }) => value) };
}

/** Takes away what the filter means. The key stays: a store that is filled again refuses the same readings once more. */
export function removalOf(filter: QuarantineFilter, now: number): [remember: Step, remove: Step] {
  const { where, params } = selectionOf(filter);
  // A transaction takes the numbers of its columns away: each statement has its own.
  const columns = (cells: readonly Cell[]) =>
    cells.map((cell) => (typeof cell === 'number' ? Float64Array.of(cell) : [cell]));
  const remember = `INSERT OR REPLACE INTO dropped (at, key) SELECT ?, key FROM quarantine WHERE ${where}`;
  return [
    { sql: remember, rows: 1, columns: columns([now, ...params]) },
    { sql: `DELETE FROM quarantine WHERE ${where}`, rows: 1, columns: columns(params) },
  ];
}

/** Forgets keys of readings that were dropped before a time, and the oldest when there are more than `most`. */
export function forgettingOf(before: number, most: number): Step {
  const sql = 'DELETE FROM dropped WHERE at < ? OR id <= (SELECT max(id) FROM dropped) - ?';
  return { sql, rows: 1, columns: [Float64Array.of(before), Float64Array.of(most)] };
}

/** Adds what is not there yet, and was not dropped. */
export function insertOf(entries: readonly QuarantineEntry[]): Step {
  const texts = (name: 'key' | 'device' | 'stream' | 'epoch' | 'path' | 'code' | 'message' | 'reading') =>
    entries.map((entry) => entry[name]);
  const numbers = (name: 'seq' | 'receivedAt' | 'index' | 'ts') =>
    Float64Array.from(entries, (entry) => entry[name] ?? Number.NaN);
  const columns: Column[] = [
    ...(['key', 'device', 'stream', 'epoch'] as const).map(texts),
    ...(['seq', 'receivedAt', 'index'] as const).map(numbers),
    ...(['path', 'code', 'message', 'reading'] as const).map(texts),
    numbers('ts'),
  ];
  return { sql: INSERT, rows: entries.length, columns };
}

/** A row of `SELECT`. */
export function readingOf(cells: Cell[]): QuarantinedReading {
  const [id, device, stream, epoch, seq, receivedAt, index, path, code, message, reading, ts, triedAt] = cells;
  return {
    id: Number(id),
    device: String(device),
    stream: String(stream),
    epoch: String(epoch),
    seq: Number(seq),
    receivedAt: Number(receivedAt),
    ...(index !== null && { index: Number(index) }),
    path: String(path),
    code: String(code),
    message: String(message),
    reading: JSON.parse(String(reading)),
    ...(ts !== null && { ts: Number(ts) }),
    ...(triedAt !== null && { triedAt: Number(triedAt) }),
  };
}
