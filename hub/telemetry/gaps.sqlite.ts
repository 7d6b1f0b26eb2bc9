/** The gap ledger in a SQLite file; of each device the newest gaps are kept. */
import { type Cell, openDatabase, type Step } from '../kit/database.sqlite.ts';
import { type Gap, type GapFilter, type GapLedger, gapsBefore } from './gaps.ts';

export interface GapOptions {
  file: string;
  /** Gaps kept of one device; 200. Policy: the oldest go. */
  limitPerDevice?: number;
}

const TABLES = [
  `CREATE TABLE IF NOT EXISTS gaps (
    id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, epoch TEXT NOT NULL, first REAL NOT NULL,
    last REAL NOT NULL, at REAL NOT NULL, UNIQUE (device, epoch, first, last, at)) STRICT`,
  'CREATE INDEX IF NOT EXISTS gaps_by_device ON gaps (device, id)',
];
const INSERT = 'INSERT INTO gaps (device, epoch, first, last, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING';
const TRIM = `DELETE FROM gaps WHERE device = ?1
  AND id <= (SELECT id FROM gaps WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`;
const FORGET = 'DELETE FROM gaps WHERE device = ?';
const SELECT = 'SELECT id, device, epoch, first, last, at FROM gaps';

/** Opens the file; resolves when it can be used. Throws `Unavailable`. */
export async function createSqliteGaps({ file, limitPerDevice = 200 }: GapOptions): Promise<GapLedger> {
  const database = await openDatabase({ file });
  await database.write(TABLES.map((sql) => ({ sql, rows: 1, columns: [] })));
  let noticed = 0;
  return {
    name: 'gaps',
    async write(frames) {
      const gaps = gapsBefore(frames);
      if (gaps.length === 0) return [];
      const devices = [...new Set(gaps.map(({ device }) => device))];
      const limits = new Float64Array(devices.length).fill(limitPerDevice);
      const trim: Step = { sql: TRIM, rows: devices.length, columns: [devices, limits] };
      const [inserted] = await database.write([insertOf(gaps), trim]);
      noticed += inserted!.changes;
      return [];
    },
    countOf: ({ skipped }) => (skipped ? 1 : 0),
    async list({ limit, ...filter }) {
      const { where, params } = selectionOf(filter);
      const rows = await database.all(`${SELECT} WHERE ${where} ORDER BY id DESC LIMIT ?`, [...params, limit]);
      return rows.map(gapOf);
    },
    async forget(device) {
      await database.write([{ sql: FORGET, rows: 1, columns: [[device]] }]);
    },
    get noticed() {
      return noticed;
    },
    close: () => database.close(),
  };
}

function insertOf(gaps: readonly Omit<Gap, 'id'>[]): Step {
  const numbers = (name: 'from' | 'to' | 'at') => Float64Array.from(gaps, (gap) => gap[name]);
  const columns = [gaps.map(({ device }) => device), gaps.map(({ epoch }) => epoch)];
  return { sql: INSERT, rows: gaps.length, columns: [...columns, numbers('from'), numbers('to'), numbers('at')] };
}

function selectionOf({ device, since = 0, before = Number.MAX_SAFE_INTEGER }: Omit<GapFilter, 'limit'>) {
  const where = `${device === undefined ? '' : 'device = ? AND '}at >= ? AND id < ?`;
  const params: Cell[] = [...(device === undefined ? [] : [device]), since, before];
  return { where, params };
}

function gapOf([id, device, epoch, from, to, at]: Cell[]): Gap {
  return {
    id: Number(id),
    device: String(device),
    epoch: String(epoch),
    from: Number(from),
    to: Number(to),
    at: Number(at),
  };
}
