/** The people and programs that run the hub, each with a role and a token of the operator API. */
import type { Table } from '../backplane/backplane.ts';
import { createToken, type StoredToken } from '../devices/token.ts';
import { createTokenIndex } from '../devices/token-index.ts';
import { Conflict, type Refusal, RefusedError } from '../kit/errors.ts';

/** From the least to the most: a viewer sees, an operator changes devices, an admin changes operators. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** Whether a role includes what another may do. */
export function includesRole(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** An operator as stored. */
export interface OperatorRow {
  name: string;
  role: Role;
  createdAt: number;
  tokens: StoredToken[];
}

/** An operator as others see it. */
export interface Operator {
  name: string;
  role: Role;
  /** Unix milliseconds. */
  createdAt: number;
  /** When its token expires, Unix milliseconds; absent: never. */
  expiresAt?: number;
}

export interface Operators {
  /**
   * Durable when it resolves; the token is told here and never again. `expiresAt`: of the token, Unix milliseconds. Throws
   * `RefusedError` (exists, invalid).
   */
  add(name: string, role: Role, expiresAt?: number): Promise<{ operator: Operator; token: string }>;
  get(name: string): Operator | undefined;
  /** In the order of their names. */
  list(): Operator[];
  /** Revokes what tokens there are and makes another. Throws `RefusedError` (not-found). */
  replaceToken(name: string, expiresAt?: number): Promise<string>;
  /** Its tokens die with it. Throws `RefusedError` (not-found; last-admin: nobody else could change operators). */
  remove(name: string): Promise<void>;
  /** Drops expired tokens; resolves to how many. Their operators stay, and may get another. */
  forgetExpired(now: number): Promise<number>;
  /** Whose token it is, or why not (unauthorized). Synchronous, from memory. */
  authenticate(token: string, now: number): Operator | Refusal;
  /** Whether the token of this key id is still this operator's and has not expired. Synchronous, from memory. */
  isHeldBy(name: string, keyId: string, now: number): boolean;
}

export const OPERATOR_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/** Opens the list of operators over its table. */
export function createOperators(table: Table<OperatorRow>, { now = Date.now }: { now?: () => number } = {}): Operators {
  const index = createTokenIndex('operator', table);
  /** One after the other, or each of two last admins would see the other one stay. */
  let removals: Promise<unknown> = Promise.resolve();

  const isAdminNow = ({ role, tokens }: OperatorRow) =>
    role === 'admin' && tokens.some(({ expiresAt = Number.POSITIVE_INFINITY }) => now() < expiresAt);

  async function remove(name: string): Promise<void> {
    const row = rowOf(table, name);
    const others = [...table.values()].filter(({ key }) => key !== name);
    if (row.value.role === 'admin' && !others.some(({ value }) => isAdminNow(value)))
      throw new RefusedError('last-admin', `"${name}" is the last admin with a valid token: add another one first.`);
    await table.delete(name);
  }

  return {
    async add(name, role, expiresAt) {
      if (!OPERATOR_NAME.test(name))
        throw new RefusedError('invalid', 'A name is letters, digits, or . _ @ - (64 at most).');
      const { token, stored } = createToken('operator', now(), expiresAt);
      try {
        const row = await table.set(name, { name, role, createdAt: now(), tokens: [stored] }, 0);
        return { operator: publicOf(row.value), token };
      } catch (error) {
        if (error instanceof Conflict) throw new RefusedError('exists', `There is an operator "${name}" already.`);
        throw error;
      }
    },
    get: (name) => {
      const row = table.get(name);
      return row && publicOf(row.value);
    },
    list: () => [...table.values()].map((row) => publicOf(row.value)).sort((a, b) => (a.name < b.name ? -1 : 1)),
    async replaceToken(name, expiresAt) {
      const row = rowOf(table, name);
      const { token, stored } = createToken('operator', now(), expiresAt);
      await table.set(name, { ...row.value, tokens: [stored] }, row.revision);
      return token;
    },
    remove(name) {
      const removed = removals.then(() => remove(name));
      removals = removed.catch(() => {});
      return removed;
    },
    async forgetExpired(at) {
      const over = index.expired(at);
      for (const { key, keyId } of over) {
        const { value, revision } = rowOf(table, key);
        await table.set(key, { ...value, tokens: value.tokens.filter((each) => each.keyId !== keyId) }, revision);
      }
      return over.length;
    },
    isHeldBy(name, keyId, at) {
      const token = table.get(name)?.value.tokens.find((each) => each.keyId === keyId);
      return token !== undefined && at < (token.expiresAt ?? Number.POSITIVE_INFINITY);
    },
    authenticate(token, at) {
      const row = index.find(token, at);
      return row ? publicOf(row.value) : { code: 'unauthorized', detail: 'This token opens nothing.' };
    },
  };
}

function rowOf(table: Table<OperatorRow>, name: string) {
  const row = table.get(name);
  if (!row) throw new RefusedError('not-found', `There is no operator "${name}".`);
  return row;
}

/** An expired token is told with its time until it is dropped; then there is none, and it says 0. */
function publicOf({ tokens: [token], name, role, createdAt }: OperatorRow): Operator {
  const expiresAt = token ? token.expiresAt : 0;
  return { name, role, createdAt, ...(expiresAt !== undefined && { expiresAt }) };
}
