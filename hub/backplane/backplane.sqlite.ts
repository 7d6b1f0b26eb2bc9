/** The backplane of a single node: tables in one SQLite file, read from memory, changed in group commits. */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Conflict, Unavailable, UserError } from '../kit/errors.ts';
import type { Backplane, Row, Table } from './backplane.ts';

/** One change that was asked for; `json` is absent when the row is to be deleted. */
interface Change {
  table: MemoryTable;
  key: string;
  json?: string;
  expected: number | undefined;
  resolve(result: Row<unknown> | boolean): void;
  reject(error: Error): void;
}

/** What a change will do once its transaction is committed: `before` and `after` are rows, or undefined for none. */
interface Staged {
  change: Change;
  before: Row<unknown> | undefined;
  after: Row<unknown> | undefined;
}

type Listener = (key: string, row: Row<unknown> | undefined) => void;

interface MemoryTable {
  name: string;
  rows: Map<string, Row<unknown>>;
  listeners: Listener[];
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS row (
    tbl TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (tbl, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

/**
 * Opens or creates the database (mode 0600; `:memory:` keeps nothing). Changes asked for in one turn of the loop are one
 * transaction; memory and listeners see them after COMMIT. When it fails, every change of that transaction is rejected with
 * `Unavailable` and nothing has changed. Throws `UserError` when the file cannot be used.
 */
export function openBackplane(file: string): Backplane {
  const database = openDatabase(file);
  const tables = loadTables(database);
  const subscribers = new Map<string, ((message: unknown) => void)[]>();
  const commit = createCommit(database);
  let pending: Change[] = [];
  let closed = false;

  function flush() {
    const changes = pending;
    pending = [];
    if (changes.length > 0) commit(changes);
  }

  function enqueue<R>(table: MemoryTable, key: string, json: string | undefined, expected: number | undefined) {
    if (closed) return Promise.reject(new Unavailable('The hub is closing its database.'));
    const { promise, resolve, reject } = Promise.withResolvers<Row<unknown> | boolean>();
    if (pending.length === 0) setImmediate(flush);
    pending.push({ table, key, expected, resolve, reject, ...(json === undefined ? {} : { json }) });
    return promise as Promise<R>;
  }

  return {
    table<T>(name: string): Table<T> {
      const table: MemoryTable = tables.get(name) ?? { name, rows: new Map(), listeners: [] };
      tables.set(name, table);
      return {
        get: (key) => table.rows.get(key) as Row<T> | undefined,
        values: () => table.rows.values() as IterableIterator<Row<T>>,
        get size() {
          return table.rows.size;
        },
        set: (key, value, expected) => enqueue<Row<T>>(table, key, JSON.stringify(value), expected),
        delete: (key, expected) => enqueue<boolean>(table, key, undefined, expected),
        onChange: (listener) => void table.listeners.push(listener as Listener),
      };
    },
    publish(subject, message) {
      // Never within the caller's turn: between nodes it could not be, so nobody may come to depend on it.
      for (const listener of subscribers.get(subject) ?? []) queueMicrotask(() => listener(message));
    },
    subscribe(subject, listener) {
      subscribers.set(subject, [...(subscribers.get(subject) ?? []), listener]);
    },
    async close() {
      if (closed) return;
      closed = true;
      flush();
      database.close();
    },
  };
}

function openDatabase(file: string): DatabaseSync {
  try {
    // The file holds hashes of tokens; SQLite gives its -wal and -shm the same mode.
    if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600));
    const database = new DatabaseSync(file);
    database.exec(SCHEMA);
    return database;
  } catch (error) {
    throw new UserError(`The hub's database ${file} cannot be used: ${(error as Error).message}`);
  }
}

function loadTables(database: DatabaseSync): Map<string, MemoryTable> {
  const tables = new Map<string, MemoryTable>();
  for (const stored of database.prepare('SELECT tbl, key, value, revision FROM row ORDER BY tbl, key').iterate()) {
    const { tbl, key, value, revision } = stored as { tbl: string; key: string; value: string; revision: number };
    const table = tables.get(tbl) ?? { name: tbl, rows: new Map(), listeners: [] };
    tables.set(tbl, table);
    table.rows.set(key, { key, value: JSON.parse(value), revision });
  }
  return tables;
}

/** The group commit: decides conflicts, writes, then tells memory, listeners and callers, in this order. */
function createCommit(database: DatabaseSync) {
  const insert = database.prepare('INSERT OR REPLACE INTO row (tbl, key, value, revision) VALUES (?, ?, ?, ?)');
  const remove = database.prepare('DELETE FROM row WHERE tbl = ? AND key = ?');
  const count = database.prepare(`INSERT OR REPLACE INTO counter (name, value) VALUES ('revision', ?)`);
  const counted = database.prepare(`SELECT value FROM counter WHERE name = 'revision'`).get();
  // Kept apart from the rows: deleting the newest row must not let its revision be given out again.
  let revision = Number(counted?.value ?? 0);

  function write({ change, after }: Staged) {
    const { table, key, json } = change;
    if (json !== undefined) insert.run(table.name, key, json, after!.revision);
    else remove.run(table.name, key);
  }

  return (changes: readonly Change[]) => {
    const { staged, conflicts, last } = stage(changes, revision);
    try {
      database.exec('BEGIN IMMEDIATE');
      for (const each of staged) write(each);
      count.run(last);
      database.exec('COMMIT');
    } catch (cause) {
      if (database.isTransaction) database.exec('ROLLBACK');
      const error = new Unavailable(`The hub's database did not take the change: ${(cause as Error).message}`, {
        cause,
      });
      for (const change of changes) change.reject(error);
      return;
    }
    revision = last;
    publishCommitted(staged);
    for (const { key, reject } of conflicts) reject(new Conflict(`"${key}" was changed by somebody else`));
  };
}

/** Sorts out which changes hold, each seen after those before it in the same transaction. */
function stage(changes: readonly Change[], revision: number) {
  const seen = new Map<MemoryTable, Map<string, Row<unknown> | undefined>>();
  const staged: Staged[] = [];
  const conflicts: Change[] = [];
  let last = revision;
  for (const change of changes) {
    const { table, key, json, expected } = change;
    const overlay = seen.get(table) ?? new Map<string, Row<unknown> | undefined>();
    seen.set(table, overlay);
    const before = overlay.has(key) ? overlay.get(key) : table.rows.get(key);
    if (expected !== undefined && expected !== (before?.revision ?? 0)) {
      conflicts.push(change);
      continue;
    }
    last += 1;
    // Parsed back, so memory holds what a restart would find and never an object that the caller still changes.
    const after = json === undefined ? undefined : { key, value: JSON.parse(json), revision: last };
    overlay.set(key, after);
    staged.push({ change, before, after });
  }
  return { staged, conflicts, last };
}

function publishCommitted(staged: readonly Staged[]) {
  for (const { change, after } of staged) {
    if (after) change.table.rows.set(change.key, after);
    else change.table.rows.delete(change.key);
  }
  for (const { change, before, after } of staged) {
    if (before || after) for (const listener of change.table.listeners) listener(change.key, after);
    change.resolve(after ?? before !== undefined);
  }
}
