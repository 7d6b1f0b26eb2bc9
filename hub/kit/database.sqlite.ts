/** A SQLite database on a thread of its own, so that neither its disk nor its questions hold up the event loop. */
import { Worker } from 'node:worker_threads';
import { Unavailable } from './errors.ts';

export type Cell = string | number | null;

/** The values of one parameter for all rows: numbers with NaN for NULL, or texts. */
export type Column = Float64Array<ArrayBuffer> | readonly (string | null)[];

/** One statement, run for each row; parameter `i` of row `r` is `columns[i][r]`. */
export interface Step {
  sql: string;
  rows: number;
  columns: readonly Column[];
}

export interface StepResult {
  /** Rows that were inserted, updated or deleted. */
  changes: number;
  /** Rows that broke a rule of the table and were left out. */
  failed: { row: number; message: string }[];
}

/** What passes between the threads. */
export type Request = { id: number } & ({ steps: readonly Step[] } | { sql: string; params: readonly Cell[] });
export type Answer = { id: number } & (
  | { value: unknown }
  | { error: { message: string; errcode: number | undefined } }
);

/** Calls are answered in their order. All throw `Unavailable` when the disk or the file is at fault. */
export interface Database {
  /** One transaction, on the disk when it resolves. Numbers are moved to the thread: the columns are empty afterwards. */
  write(steps: readonly Step[]): Promise<StepResult[]>;
  /** The rows of a SELECT, each an array of its columns. */
  all(sql: string, params?: readonly Cell[]): Promise<Cell[][]>;
  /** Finishes what was asked before. Idempotent, at most five seconds. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  file: string;
  /** The file never grows beyond this; without it the disk decides. */
  limitBytes?: number;
}

const CLOSE_MS = 5000;
/** Primary result codes: these heal with time … */
const TEMPORARY = new Map([
  [5, 'busy'],
  [6, 'locked'],
  [7, 'out of memory'],
  [10, 'input or output failed'],
  [13, 'full'],
]);
/** … and these need an operator. */
const STALLED = new Map([
  [3, 'not permitted'],
  [8, 'read-only'],
  [11, 'damaged'],
  [14, 'cannot be opened'],
  [26, 'not a database'],
]);

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Resolves when the file is open. Throws `Unavailable` when it cannot be. */
export async function openDatabase({ file, limitBytes }: DatabaseOptions): Promise<Database> {
  const workerData = { file, limitBytes };
  const worker = new Worker(new URL('./database.sqlite.worker.ts', import.meta.url), { workerData });
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let closing: Promise<void> | undefined;
  let failure: Error | undefined;

  function settle(answer: Answer): void {
    const call = pending.get(answer.id);
    pending.delete(answer.id);
    if ('error' in answer) call?.reject(errorOf(file, answer.error));
    else call?.resolve(answer.value);
  }

  function fail(error: Error): void {
    failure ??= error;
    for (const call of pending.values()) call.reject(failure);
    pending.clear();
  }

  function call<T>(request: object, transfer: ArrayBuffer[] = []): Promise<T> {
    if (failure) return Promise.reject(failure);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    pending.set(++lastId, { resolve: resolve as Pending['resolve'], reject });
    worker.postMessage({ id: lastId, ...request }, transfer);
    return promise;
  }

  worker.on('message', settle);
  worker.on('error', (error) => fail(errorOf(file, error as Error)));
  worker.on('exit', () => fail(new Unavailable(`${file} is closed`)));

  const database: Database = {
    write: (steps) => call({ steps }, buffersOf(steps)),
    all: (sql, params = []) => call({ sql, params }),
    close() {
      closing ??= closeWorker(worker, failure !== undefined);
      return closing;
    },
  };
  await database.all('SELECT 1');
  return database;
}

async function closeWorker(worker: Worker, isGone: boolean): Promise<void> {
  if (isGone) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  worker.once('exit', () => resolve());
  worker.postMessage('close');
  const timer = setTimeout(() => worker.terminate(), CLOSE_MS);
  await promise;
  clearTimeout(timer);
}

function buffersOf(steps: readonly Step[]): ArrayBuffer[] {
  return steps.flatMap(({ columns }) => columns.flatMap((column) => ('buffer' in column ? [column.buffer] : [])));
}

/** A statement that is wrong is a mistake of ours and stays a plain Error. */
function errorOf(file: string, { message, errcode = 0 }: { message: string; errcode?: number | undefined }): Error {
  const code = errcode & 0xff;
  const state = TEMPORARY.get(code) ?? STALLED.get(code);
  if (state === undefined) return new Error(`${file}: ${message}`);
  return new Unavailable(`${file} is ${state}: ${message}`, { stalled: STALLED.has(code) });
}
