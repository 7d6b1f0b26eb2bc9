/** Deletes what is older than it is kept from a table of the embedded store, a piece at a time. */
import type { Database } from '../kit/database.sqlite.ts';
import { micros, nextDeviceOf, pruneOf, type Table } from './sql.ts';

/** Resolves to how many rows were older than `before` (Unix milliseconds). Throws `Unavailable`. */
export async function pruneTable(database: Database, table: Pick<Table, 'name'>, before: number): Promise<number> {
  let deleted = 0;
  for (let device: string | undefined = ''; device !== undefined; ) {
    const changes: number = device === '' ? 0 : await pruneChunk(database, table, device, before);
    deleted += changes;
    if (changes === 0) device = await nextDevice(database, table, device);
  }
  return deleted;
}

/** The device after this one by its id, the first for an empty text; undefined after the last. Throws `Unavailable`. */
export async function nextDevice(
  database: Database,
  table: Pick<Table, 'name'>,
  device: string,
): Promise<string | undefined> {
  const [row] = await database.all(nextDeviceOf(table), [device]);
  return (row?.[0] as string | null) ?? undefined;
}

async function pruneChunk(database: Database, table: Pick<Table, 'name'>, device: string, before: number) {
  const columns = [[device], Float64Array.of(micros(before))];
  const [result] = await database.write([{ sql: pruneOf(table), rows: 1, columns }]);
  return result!.changes;
}
