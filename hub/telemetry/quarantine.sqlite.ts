/** The quarantine in a SQLite file; beyond its limit the oldest readings go, and are counted. */
import { type Cell, type Column, openDatabase, type Step } from '../kit/database.sqlite.ts';
import {
  countOfRejected,
  entriesOfFrames,
  entriesOfRefused,
  type Quarantine,
  type QuarantinedReading,
  type QuarantineEntry,
} from './quarantine.ts';

export interface QuarantineOptions {
  file: string;
  /** Readings kept; 0 keeps none. */
  limitReadings: number;
}

const TABLE = `CREATE TABLE IF NOT EXISTS quarantine (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, device TEXT NOT NULL, stream TEXT NOT NULL, epoch TEXT NOT NULL,
  seq INTEGER NOT NULL, receivedAt REAL NOT NULL, place INTEGER, path TEXT NOT NULL, code TEXT NOT NULL,
  message TEXT NOT NULL, reading TEXT NOT NULL) STRICT`;
const BY_DEVICE = 'CREATE INDEX IF NOT EXISTS quarantine_by_device ON quarantine (device, id)';

const COLUMNS = 'device, stream, epoch, seq, receivedAt, place, path, code, message, reading';
const INSERT = `INSERT INTO quarantine (key, ${COLUMNS}) VALUES (?${', ?'.repeat(10)}) ON CONFLICT (key) DO NOTHING`;
// Ids have no gaps: SQLite gives the highest + 1, a conflict takes none, and only the lowest are deleted.
const COUNT = 'SELECT coalesce(max(id) - min(id) + 1, 0) FROM quarantine';
const TRIM = 'DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?';

/** Opens the file; resolves when it can be used. Throws `Unavailable`. */
export async function createSqliteQuarantine({ file, limitReadings }: QuarantineOptions): Promise<Quarantine> {
  const database = await openDatabase({ file });
  await database.write([TABLE, BY_DEVICE].map((sql) => ({ sql, rows: 1, columns: [] })));
  let dropped = 0;

  async function keep(entries: readonly QuarantineEntry[]): Promise<void> {
    if (entries.length === 0) return;
    if (limitReadings === 0) {
      dropped += entries.length;
      return;
    }
    const trim: Step = { sql: TRIM, rows: 1, columns: [Float64Array.of(limitReadings)] };
    const [, trimmed] = await database.write([insertOf(entries), trim]);
    dropped += trimmed!.changes;
  }

  return {
    name: 'quarantine',
    async write(frames) {
      await keep(entriesOfFrames(frames));
      return [];
    },
    countOf: countOfRejected,
    add: (refused) => keep(entriesOfRefused(refused)),
    async list({ device, limit, before = Number.MAX_SAFE_INTEGER }) {
      const [where, params] = device === undefined ? ['', []] : ['device = ? AND', [device]];
      const text = `SELECT id, ${COLUMNS} FROM quarantine WHERE ${where} id < ? ORDER BY id DESC LIMIT ?`;
      return (await database.all(text, [...params, before, limit])).map(readingOf);
    },
    async count() {
      const [row] = await database.all(COUNT);
      return { readings: Number(row![0]), dropped };
    },
    close: () => database.close(),
  };
}

function insertOf(entries: readonly QuarantineEntry[]): Step {
  const texts = (name: 'key' | 'device' | 'stream' | 'epoch' | 'path' | 'code' | 'message' | 'reading') =>
    entries.map((entry) => entry[name]);
  const numbers = (name: 'seq' | 'receivedAt' | 'index') =>
    Float64Array.from(entries, (entry) => entry[name] ?? Number.NaN);
  const columns: Column[] = [
    ...(['key', 'device', 'stream', 'epoch'] as const).map(texts),
    ...(['seq', 'receivedAt', 'index'] as const).map(numbers),
    ...(['path', 'code', 'message', 'reading'] as const).map(texts),
  ];
  return { sql: INSERT, rows: entries.length, columns };
}

function readingOf(cells: Cell[]): QuarantinedReading {
  const [id, device, stream, epoch, seq, receivedAt, index, path, code, message, reading] = cells;
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
  };
}
