/** The quarantine in a SQLite file; when it is full it says so, and forgets nothing by itself. */
import { openDatabase, type Step } from '../kit/database.sqlite.ts';
import { Unavailable } from '../kit/errors.ts';
import type { Quarantine, Reason } from './quarantine.ts';
import { countOfRejected, entriesOfFrames, entriesOfRefused, type QuarantineEntry } from './quarantine-entry.ts';
import { QuarantineRoom, type RoomOptions } from './quarantine-room.ts';
import {
  forgettingOf,
  insertOf,
  NEW_COLUMNS,
  readingOf,
  removalOf,
  SELECT,
  selectionOf,
  TABLES,
} from './quarantine-sql.ts';

export interface QuarantineOptions extends RoomOptions {
  file: string;
  /** How long the journal may bring back what was dropped. */
  rememberMs: number;
  now?: () => number;
}

/** Keys of dropped readings that are remembered; about 100 bytes each. */
const MAX_DROPPED = 1_000_000;
const COUNT = 'SELECT device, count(*) FROM quarantine GROUP BY device';
const AMEND = 'UPDATE quarantine SET path = ?, code = ?, message = ?, triedAt = ? WHERE id = ?';

/** Opens the file; resolves when it can be used. Throws `Unavailable`. */
export async function createSqliteQuarantine(options: QuarantineOptions): Promise<Quarantine> {
  const { file, limitReadings, rememberMs, log, now = Date.now } = options;
  const database = await openDatabase({ file });
  await database.write(TABLES.map(statement));
  const columns = new Set((await database.all('PRAGMA table_info(quarantine)')).map(([, name]) => name));
  const added = NEW_COLUMNS.filter(({ name }) => !columns.has(name));
  await database.write(added.map(({ sql }) => statement(sql)));
  const listeners: (() => void)[] = [];
  const room = new QuarantineRoom({ limitReadings, log });
  await recount();

  async function recount(): Promise<void> {
    room.recount((await database.all(COUNT)).map(([device, readings]) => [String(device), Number(readings)] as const));
  }

  async function keep(entries: readonly QuarantineEntry[]): Promise<void> {
    if (entries.length === 0) return;
    if (limitReadings === 0) return room.drop(entries.length);
    if (!room.hasReserve) throw new Unavailable(OVERFULL, { stalled: true });
    const [inserted] = await database.write([insertOf(entries)]);
    if (inserted!.changes < entries.length) return recount();
    for (const { device } of entries) room.kept(device, 1);
    room.look();
  }

  return {
    name: 'quarantine',
    async write(frames) {
      await keep(entriesOfFrames(frames));
      room.arrived(frames);
      return [];
    },
    countOf: countOfRejected,
    admits: (device, readings) => room.admits(device, readings),
    drop: (readings) => room.drop(readings),
    expect: (frames) => room.expect(frames),
    add: (refused) => keep(entriesOfRefused(refused)),
    async list({ limit, ...page }) {
      const { where, params } = selectionOf(page);
      const order = 'after' in page ? 'ASC' : 'DESC';
      const rows = await database.all(`${SELECT} WHERE ${where} ORDER BY id ${order} LIMIT ?`, [...params, limit]);
      return rows.map(readingOf);
    },
    async get(id) {
      const [row] = await database.all(`${SELECT} WHERE id = ?`, [id]);
      return row && readingOf(row);
    },
    async remove(filter) {
      const forgetting = forgettingOf(now() - rememberMs, MAX_DROPPED);
      const [, removed] = await database.write([...removalOf(filter, now()), forgetting]);
      await recount();
      for (const listener of listeners) listener();
      return removed!.changes;
    },
    amend: async (reasons, now) => void (await database.write([amendmentOf(reasons, now)])),
    onRoom: (listener) => void listeners.push(listener),
    status: () => room.status(),
    close: () => database.close(),
  };
}

const OVERFULL =
  'the quarantine is full beyond its limit, and what a store refuses has no place: ' +
  'hub quarantine replay or drop, or raise limits.quarantineReadings';

const statement = (sql: string): Step => ({ sql, rows: 1, columns: [] });

function amendmentOf(reasons: readonly Reason[], now: number): Step {
  const texts = (name: 'path' | 'code' | 'message') => reasons.map((reason) => reason[name]);
  const times = new Float64Array(reasons.length).fill(now);
  const ids = Float64Array.from(reasons, ({ id }) => id);
  return { sql: AMEND, rows: reasons.length, columns: [texts('path'), texts('code'), texts('message'), times, ids] };
}
