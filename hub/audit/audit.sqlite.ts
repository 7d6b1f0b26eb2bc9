/** The audit log in a SQLite file of its own, written in batches on a thread; beyond its limit the oldest entries go. */
import { type Cell, type Column, openDatabase, type Step } from '../kit/database.sqlite.ts';
import { redact } from '../kit/redact.ts';
import type { Audit, AuditEntry, AuditEvent } from './audit.ts';

export interface AuditOptions {
  file: string;
  /** Entries kept; 1,000,000. Policy: the oldest go. */
  limitEntries?: number;
  /** Events that wait for a disk that fails; 10,000. Policy: the newest are lost, and `onTrouble` tells how many. */
  limitWaiting?: number;
  /** A batch could not be written, or events were lost. */
  onTrouble?(error: unknown, lost: number): void;
  now?(): number;
}

/** An event with the time at which it happened. */
interface Waiting {
  at: number;
  event: AuditEvent;
}

const TABLE = `CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,
  result TEXT NOT NULL, address TEXT, detail TEXT) STRICT`;
const RULES = [
  'CREATE INDEX IF NOT EXISTS audit_by_target ON audit (target, id)',
  'CREATE INDEX IF NOT EXISTS audit_by_actor ON audit (actor, id)',
  `CREATE TRIGGER IF NOT EXISTS audit_is_append_only BEFORE UPDATE ON audit
   BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
];
const COLUMNS = 'at, actor, action, target, result, address, detail';
const INSERT = `INSERT INTO audit (${COLUMNS}) VALUES (?${', ?'.repeat(6)})`;
// Ids have no gaps: SQLite gives the highest + 1, and only the lowest are deleted.
const TRIM = 'DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?';

const RETRY_MS = 1_000;
const OPTIONAL = new Set(['from', 'detail']);
/** What came from outside is cut, so that an entry stays a line. */
const MAX_TEXT = 512;

/** Opens the file; resolves when it can be used. Throws `Unavailable`. */
export async function createSqliteAudit(options: AuditOptions): Promise<Audit> {
  const { file, limitEntries = 1_000_000, limitWaiting = 10_000, onTrouble = () => {}, now = Date.now } = options;
  const database = await openDatabase({ file });
  await database.write([TABLE, ...RULES].map((sql) => ({ sql, rows: 1, columns: [] })));
  let waiting: Waiting[] = [];
  /** Resolves when what waited at its beginning was tried. */
  let underWay: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let retry: NodeJS.Timeout | undefined;
  let failing = false;
  /** Since the last batch that was written, and since the start. */
  let lost = 0;
  let lostAll = 0;
  let closing: Promise<void> | undefined;

  async function write(): Promise<void> {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    try {
      await database.write([insertOf(batch), { sql: TRIM, rows: 1, columns: [Float64Array.of(limitEntries)] }]);
      if (lost > 0) onTrouble(undefined, lost);
      lost = 0;
      failing = false;
    } catch (error) {
      failing = true;
      waiting = [...batch, ...waiting];
      onTrouble(error, lost);
      if (!closing) retry ??= setTimeout(tryAgain, RETRY_MS);
    }
  }

  function tryAgain(): void {
    retry = undefined;
    void flush();
  }

  /** One transaction at a time; what comes meanwhile shares the one after it. */
  function flush(): Promise<void> {
    if (next) return next;
    if (underWay) {
      next = underWay.then(() => {
        next = undefined;
        return flush();
      });
      return next;
    }
    // Everything of this turn of the loop is one transaction.
    underWay = Promise.resolve()
      .then(write)
      .finally(() => {
        underWay = undefined;
      });
    return underWay;
  }

  return {
    async record(event) {
      if (closing || waiting.length >= limitWaiting) {
        lost += 1;
        lostAll += 1;
        return;
      }
      waiting.push({ at: now(), event });
      // While the disk fails nobody waits for it.
      if (!retry) await flush();
    },
    status: () => ({ failing, waiting: waiting.length, lost: lostAll }),
    async list({ target, actor, limit, before = Number.MAX_SAFE_INTEGER }) {
      const where = ['id < ?', ...(target === undefined ? [] : ['target = ?']), ...(actor ? ['actor IN (?, ?)'] : [])];
      const params = [
        before,
        ...(target === undefined ? [] : [target]),
        ...(actor ? [actor, `operator:${actor}`] : []),
      ];
      const sql = `SELECT id, ${COLUMNS} FROM audit WHERE ${where.join(' AND ')} ORDER BY id DESC LIMIT ?`;
      return (await database.all(sql, [...params, limit])).map(entryOf);
    },
    close() {
      closing ??= finish();
      return closing;
    },
  };

  async function finish(): Promise<void> {
    clearTimeout(retry);
    await flush();
    await database.close();
  }
}

function insertOf(batch: readonly Waiting[]): Step {
  const texts = (name: 'actor' | 'action' | 'target' | 'result' | 'from' | 'detail') =>
    batch.map(({ event }) => redact(event[name] ?? '').slice(0, MAX_TEXT) || (OPTIONAL.has(name) ? null : ''));
  const columns: Column[] = [
    Float64Array.from(batch, ({ at }) => at),
    ...(['actor', 'action', 'target', 'result', 'from', 'detail'] as const).map(texts),
  ];
  return { sql: INSERT, rows: batch.length, columns };
}

function entryOf([id, at, actor, action, target, result, from, detail]: Cell[]): AuditEntry {
  return {
    id: Number(id),
    at: Number(at),
    actor: String(actor),
    action: String(action),
    target: String(target),
    result: String(result),
    ...(from !== null && { from: String(from) }),
    ...(detail !== null && { detail: String(detail) }),
  };
}
