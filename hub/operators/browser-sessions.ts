/** Sessions of browsers: a secret in a cookie stands for an operator's token, for a while and never longer than the token itself. */
import { hash, randomBytes } from 'node:crypto';
import type { Table } from '../backplane/backplane.ts';
import { keyIdOf } from '../devices/token.ts';
import { RefusedError } from '../kit/errors.ts';
import type { Operator, Operators } from './operators.ts';

/** A session as the hub keeps it: nothing in it opens anything. Times are Unix milliseconds. */
export interface SessionRow {
  operator: string;
  /** The public part of the token it was opened with. */
  keyId: string;
  createdAt: number;
  expiresAt: number;
}

/** Who sits before the browser, and what its page has to know. */
export interface BrowserSession {
  operator: Operator;
  keyId: string;
  /** What requests that change something must carry, which only pages of this address can read. */
  csrf: string;
  /** Unix milliseconds. */
  expiresAt: number;
}

export interface BrowserSessions {
  /** `secret` is for the cookie, told here and never again. Throws `RefusedError` (unauthorized, full). */
  openByToken(token: string): { secret: string; session: BrowserSession };
  /** Spends a link. Throws `RefusedError` (unauthorized, full). */
  openByLink(link: string): { secret: string; session: BrowserSession };
  /** A code that opens one session for whoever holds the token now; it dies unused after ten minutes. */
  makeLink(operator: string, keyId: string): { link: string; expiresAt: number };
  /** The session of a cookie; undefined when it ended, expired, or its token opens nothing any more. Synchronous. */
  find(secret: string): BrowserSession | undefined;
  /** Durable when it resolves; in this process it has ended at once. Rejects with `Unavailable`. */
  end(secret: string): Promise<void>;
}

export interface BrowserSessionDeps {
  operators: Pick<Operators, 'authenticate' | 'holderOf'>;
  /** Sessions by the hash of their secret, so that a restart of the hub signs nobody out. */
  table: Table<SessionRow>;
  now?: () => number;
}

const SESSION_MS = 12 * 3_600_000;
const LINK_MS = 10 * 60_000;
/** Policy beyond it: the oldest of the same operator ends. */
const PER_OPERATOR = 50;
/** Policy beyond it: nobody else comes in. */
const MAX_SESSIONS = 2_000;
/** Policy beyond it: the oldest is forgotten. */
const MAX_LINKS = 100;

export function createBrowserSessions({ operators, table, now = Date.now }: BrowserSessionDeps): BrowserSessions {
  const store = keepIn(table);
  /** By the hash of their code, the oldest first. */
  const links = new Map<string, SessionRow>();

  /** The operator of a row that still holds. */
  function holder({ operator, keyId, expiresAt }: SessionRow): Operator | undefined {
    return now() < expiresAt ? operators.holderOf(operator, keyId, now()) : undefined;
  }

  function makeRoom(operator: string): void {
    const own: [string, SessionRow][] = [];
    let others = 0;
    for (const [key, row] of [...store.entries()]) {
      if (!holder(row)) store.drop(key);
      else if (row.operator === operator) own.push([key, row]);
      else others += 1;
    }
    own.sort(([, a], [, b]) => b.createdAt - a.createdAt);
    for (const [key] of own.splice(PER_OPERATOR - 1)) store.drop(key);
    if (others + own.length >= MAX_SESSIONS)
      throw new RefusedError('full', `${MAX_SESSIONS} browsers are signed in already.`);
  }

  function open(operator: Operator, keyId: string) {
    makeRoom(operator.name);
    const secret = randomText();
    const row = { operator: operator.name, keyId, createdAt: now(), expiresAt: now() + SESSION_MS };
    store.set(keyOf(secret), row);
    return { secret, session: shown(secret, row, operator) };
  }

  return {
    openByToken(token) {
      const operator = operators.authenticate(token, now());
      if ('code' in operator) throw new RefusedError(operator.code, operator.detail);
      return open(operator, keyIdOf('operator', token)!);
    },
    openByLink(link) {
      const row = links.get(keyOf(link));
      links.delete(keyOf(link));
      const operator = row && holder(row);
      if (operator) return open(operator, row.keyId);
      throw new RefusedError('unauthorized', 'This link was used already or is too old. Make another: hub dashboard.');
    },
    makeLink(operator, keyId) {
      const link = randomText();
      const expiresAt = now() + LINK_MS;
      links.set(keyOf(link), { operator, keyId, createdAt: now(), expiresAt });
      if (links.size > MAX_LINKS) links.delete(links.keys().next().value!);
      return { link, expiresAt };
    },
    find(secret) {
      const row = store.get(keyOf(secret));
      const operator = row && holder(row);
      if (row && !operator) store.drop(keyOf(secret));
      return row && operator && shown(secret, row, operator);
    },
    end: (secret) => store.end(keyOf(secret)),
  };
}

function shown(secret: string, { keyId, expiresAt }: SessionRow, operator: Operator): BrowserSession {
  const until = Math.min(expiresAt, operator.expiresAt ?? Number.POSITIVE_INFINITY);
  return { operator, keyId, csrf: hash('sha256', `csrf ${secret}`, 'base64url'), expiresAt: until };
}

/** Memory rules: who wants in while the disk is full comes in, and is signed out by the next restart. */
function keepIn(table: Table<SessionRow>) {
  const rows = new Map([...table.values()].map(({ key, value }) => [key, value]));
  async function end(key: string): Promise<void> {
    rows.delete(key);
    await table.delete(key);
  }
  return {
    entries: () => rows.entries(),
    get: (key: string) => rows.get(key),
    set(key: string, row: SessionRow) {
      rows.set(key, row);
      table.set(key, row).catch(() => {});
    },
    /** Of a row that opens nothing any more. */
    drop: (key: string) => void end(key).catch(() => {}),
    end,
  };
}

/** 256 bits. */
const randomText = () => randomBytes(32).toString('base64url');

/** Found by its hash: how long a look-up takes tells nothing of a secret. */
const keyOf = (secret: string) => hash('sha256', secret, 'base64url');
