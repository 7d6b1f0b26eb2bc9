/** A table written behind: the newest values in memory at once, on disk in batches soon. For what a crash may take. */
import type { Table } from '../backplane/backplane.ts';

export interface WriteBehind<T> {
  /** The newest value, written or not. */
  get(key: string): T | undefined;
  /** Remembers a value; it is on disk within the period, and one that was replaced before is never written. */
  set(key: string, value: T): void;
  forget(key: string): void;
  /** Writes what is left. Idempotent. */
  close(): Promise<void>;
}

/** Values written in one transaction: SQLite holds up the event loop meanwhile. */
const BATCH = 500;

/** Holds at most one value for each key, so its bound is the number of keys. */
export function createWriteBehind<T>(table: Table<T>, everyMs: number): WriteBehind<T> {
  const unwritten = new Map<string, T>();

  async function writeOne([key, value]: [string, T]) {
    await table.set(key, value);
    // Until here it was read from memory: the table shows only what is durable.
    if (unwritten.get(key) === value) unwritten.delete(key);
  }

  async function write() {
    const keys = [...unwritten.keys()];
    for (let start = 0; start < keys.length; start += BATCH) {
      const batch = keys.slice(start, start + BATCH).filter((key) => unwritten.has(key));
      await Promise.all(batch.map((key) => writeOne([key, unwritten.get(key)!])));
    }
  }

  // What could not be written stays and is tried again the next time.
  const timer = setInterval(() => write().catch(() => {}), everyMs);
  timer.unref();

  return {
    get: (key) => unwritten.get(key) ?? table.get(key)?.value,
    set: (key, value) => void unwritten.set(key, value),
    forget(key) {
      unwritten.delete(key);
      table.delete(key).catch(() => {});
    },
    async close() {
      clearInterval(timer);
      await write().catch(() => {});
    },
  };
}
