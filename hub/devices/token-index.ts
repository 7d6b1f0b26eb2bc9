/** Finds, in memory, whose token it is: an index from key id to row over any table whose rows hold tokens. */
import type { Row, Table } from '../backplane/backplane.ts';
import { keyIdOf, type StoredToken, type TokenKind, tokenMatches } from './token.ts';

export interface TokenIndex<T> {
  /** The row a token belongs to; undefined when it is malformed, unknown, revoked or expired. Synchronous. */
  find(token: string, now: number): Row<T> | undefined;
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
      const key = keyId === undefined ? undefined : rowKeys.get(keyId);
      const row = key === undefined ? undefined : table.get(key);
      const stored = row?.value.tokens.find((each) => each.keyId === keyId);
      return stored && tokenMatches(stored, token, now) ? row : undefined;
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
