/** Signs of life of devices: the newest in memory, written in batches once a minute. */
import type { Table } from '../backplane/backplane.ts';

const SEEN_EVERY_MS = 60_000;
/** Signs of life written in one transaction: SQLite holds up the event loop meanwhile. */
const SEEN_BATCH = 1_000;

/** Losing the last minute in a crash harms nobody. `close` is idempotent. */
export function createLastSeen(table: Table<number>) {
  let unwritten = new Map<string, number>();

  async function write() {
    const batch = [...unwritten];
    unwritten = new Map();
    for (let start = 0; start < batch.length; start += SEEN_BATCH) {
      await Promise.all(batch.slice(start, start + SEEN_BATCH).map(([id, at]) => table.set(id, at)));
    }
  }

  // A failed write is forgotten: the next sign of life says it again.
  const timer = setInterval(() => write().catch(() => {}), SEEN_EVERY_MS);
  timer.unref();

  return {
    at: (id: string) => unwritten.get(id) ?? table.get(id)?.value,
    touch: (id: string, at: number) => void unwritten.set(id, at),
    forget(id: string) {
      unwritten.delete(id);
      table.delete(id).catch(() => {});
    },
    async close() {
      clearInterval(timer);
      await write().catch(() => {});
    },
  };
}
