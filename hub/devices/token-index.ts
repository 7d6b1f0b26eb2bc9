/** Finds, in memory, whose token it is: an index from key id to row over any table whose rows hold tokens. */
import type { Row, Table } from '../backplane/backplane.ts';
import { keyIdOf, type StoredToken, type TokenKind, tokenMatches } from './token.ts';

export interface TokenIndex<T> {
  /** The row a token belongs to; undefined when it is malformed, unknown, revoked or expired. Synchronous. */
  find(token: string, now: number): Row<T> | undefined;
}

/** Follows the table from here on; what is in it already is indexed at once. */
export function createTokenIndex<T extends { tokens: StoredToken[] }>(kind: TokenKind, table: Table<T>): TokenIndex<T> {
  const rowKeys = new Map<string, string>();
  const keyIds = new Map<string, string[]>();

  function index(key: string, row: Row<T> | undefined) {
    for (const keyId of keyIds.get(key) ?? []) rowKeys.delete(keyId);
    keyIds.delete(key);
    if (!row || row.value.tokens.length === 0) return;
    const ids = row.value.tokens.map((token) => token.keyId);
    keyIds.set(key, ids);
    for (const keyId of ids) rowKeys.set(keyId, key);
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
  };
}
