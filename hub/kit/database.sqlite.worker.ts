/** The thread of a SQLite database: one message, one transaction or one question, in the order they came. */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { Answer, Cell, Column, Request, Step, StepResult } from './database.sqlite.ts';

const port = parentPort!;
const { file, limitBytes } = workerData as { file: string; limitBytes?: number };
/** SQLITE_CONSTRAINT, SQLITE_MISMATCH and SQLITE_TOOBIG are about one row; any other error is about the database. */
const ROW_ERRORS = new Set([19, 20, 18]);

const database = open();
/** Statements that write are few, and used again for each batch. */
const statements = new Map<string, StatementSync>();

function open(): DatabaseSync {
  // For the hub's eyes only; SQLite gives its -wal and -shm the same mode.
  closeSync(openSync(file, 'a', 0o600));
  const opened = new DatabaseSync(file, { timeout: 5000 });
  // FULL: a transaction is on the disk when it is answered, since the journal forgets what a sink has taken.
  opened.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864');
  if (limitBytes !== undefined) {
    const { page_size: pageSize } = opened.prepare('PRAGMA page_size').get() as { page_size: number };
    opened.exec(`PRAGMA max_page_count = ${Math.ceil(limitBytes / pageSize)}`);
  }
  return opened;
}

function write(steps: readonly Step[]): StepResult[] {
  database.exec('BEGIN IMMEDIATE');
  try {
    const results = steps.map(run);
    database.exec('COMMIT');
    return results;
  } catch (error) {
    // SQLite has rolled back by itself after the worst errors, such as a full disk.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function run({ sql, rows, columns }: Step): StepResult {
  const statement = statements.get(sql) ?? database.prepare(sql);
  statements.set(sql, statement);
  const result: StepResult = { changes: 0, failed: [] };
  const cells: Cell[] = new Array(columns.length);
  for (let row = 0; row < rows; row++) {
    for (let index = 0; index < columns.length; index++) cells[index] = cellOf(columns[index]!, row);
    try {
      result.changes += Number(statement.run(...cells).changes);
    } catch (error) {
      const { errcode = 0, message } = error as Error & { errcode?: number };
      if (!ROW_ERRORS.has(errcode & 0xff)) throw error;
      result.failed.push({ row, message });
    }
  }
  return result;
}

function cellOf(column: Column, row: number): Cell {
  const value = column[row]!;
  return Number.isNaN(value) ? null : value;
}

function all(sql: string, params: readonly Cell[]): Cell[][] {
  const statement = database.prepare(sql);
  statement.setReturnArrays(true);
  return statement.all(...params) as unknown as Cell[][];
}

function answer(request: Request): Answer {
  const { id } = request;
  try {
    return { id, value: 'steps' in request ? write(request.steps) : all(request.sql, request.params) };
  } catch (error) {
    const { message, errcode } = error as Error & { errcode?: number };
    return { id, error: { message, errcode } };
  }
}

port.on('message', (request: Request | 'close') => {
  if (request !== 'close') return port.postMessage(answer(request));
  database.close();
  port.close();
});
