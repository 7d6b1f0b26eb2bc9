/** Finds, in memory, whose token it is: an index from key id to row over any table whose rows hold tokens. */
import type { Row, Table } from '../backplane/backplane.ts';
import { hasExpired, keyIdOf, type StoredToken, type TokenKind, tokenMatches } from './token.ts';

/**
 * Why a token opens nothing, as far as its bearer may know: nobody learns that a key id exists without the secret to it.
 * `kind`: it is a good token for another door; `malformed`: its checksum is wrong; `unknown`: never made, revoked or
 * dropped; `expired`: the right secret, `at` Unix milliseconds.
 */
export type TokenFault = { why: 'kind' } | { why: 'malformed' } | { why: 'unknown' } | { why: 'expired'; at: number };

export interface TokenIndex<T> {
  /** The row a token belongs to, or why there is none. Synchronous. */
  find(token: string, now: number): Row<T> | TokenFault;
  /** The tokens that have expired by now and are still in their rows. Costs nothing while there is none. */
  expired(now: number): { key: string; keyId: string }[];
}

/** Follows the table from here on; what is in it already is indexed at once. */
export function createTokenIndex<T extends { tokens: StoredToken[] }>(kind: TokenKind, table: Table<T>): TokenIndex<T> {
  const rowKeys = new Map<string, string>();
  const keyIds = new Map<string, string[]>();
  /** By key id, of the tokens that expire at all. */
  const expiries = new Map<string, number>();
  let soonest = Number.POSITIVE_INFINITY;

  function index(key: string, row: Row<T> | undefined) {
    for (const keyId of keyIds.get(key) ?? []) {
      rowKeys.delete(keyId);
      expiries.delete(keyId);
    }
    keyIds.delete(key);
    if (!row || row.value.tokens.length === 0) return;
    const ids = row.value.tokens.map((token) => token.keyId);
    keyIds.set(key, ids);
    for (const { keyId, expiresAt } of row.value.tokens) {
      rowKeys.set(keyId, key);
      if (expiresAt === undefined) continue;
      expiries.set(keyId, expiresAt);
      soonest = Math.min(soonest, expiresAt);
    }
  }

  for (const row of table.values()) index(row.key, row);
  table.onChange(index);

  return {
    find(token, now) {
      const keyId = keyIdOf(kind, token);
      if (keyId === undefined) return { why: keyIdOf(otherThan(kind), token) === undefined ? 'malformed' : 'kind' };
      const row = table.get(rowKeys.get(keyId) ?? '');
      const stored = row?.value.tokens.find((each) => each.keyId === keyId);
      if (!row || !stored || !tokenMatches(stored, token)) return { why: 'unknown' };
      return hasExpired(stored, now) ? { why: 'expired', at: stored.expiresAt! } : row;
    },
    expired(now) {
      if (now < soonest) return [];
      const over: { key: string; keyId: string }[] = [];
      soonest = Infinity;
      for (const [keyId, at] of expiries) {
        soonest = Math.min(soonest, at);
        if (at <= now) over.push({ key: rowKeys.get(keyId)!, keyId });
      }
      return over;
    },
  };
}

function otherThan(kind: TokenKind): TokenKind {
  return kind === 'device' ? 'operator' : 'device';
}
