/** The people and programs that run the hub, each with a role and a token of the operator API. */
import type { Table } from '../backplane/backplane.ts';
import { createToken, hasExpired, type StoredToken } from '../devices/token.ts';
import { createTokenIndex, type TokenFault } from '../devices/token-index.ts';
import { Conflict, type Refusal, RefusedError, RefusedMember } from '../kit/errors.ts';

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
  /**
   * Revokes the token there is and makes another, which holds as long as that was made to hold unless `expiresAt` says
   * otherwise (`null`: for ever). Throws `RefusedError` (not-found), `Conflict`.
   */
  replaceToken(name: string, expiresAt?: number | null): Promise<{ operator: Operator; token: string }>;
  /** Its tokens die with it. Throws `RefusedError` (not-found; last-admin: nobody else could change operators). */
  remove(name: string): Promise<void>;
  /** Whose token it is, or why not (unauthorized). Synchronous, from memory. */
  authenticate(token: string, now: number): Operator | Refusal;
  /** The operator, if the token with this key id is still its own and holds. For who has shown the token before. */
  holderOf(name: string, keyId: string, now: number): Operator | undefined;
  /** Called after each durable change of any operator or token; expiry is none. */
  onChange(listener: () => void): void;
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
    role === 'admin' && tokens.some((token) => !hasExpired(token, now()));

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
        if (error instanceof Conflict)
          throw new RefusedMember('exists', '/name', `There is an operator "${name}" already.`);
        throw error;
      }
    },
    get: (name) => {
      const row = table.get(name);
      return row && publicOf(row.value);
    },
    list: () => [...table.values()].map((row) => publicOf(row.value)).sort((a, b) => (a.name < b.name ? -1 : 1)),
    async replaceToken(name, expiresAt) {
      const { value, revision } = rowOf(table, name);
      const until = expiresAt === undefined ? inherited(value, now()) : (expiresAt ?? undefined);
      const { token, stored } = createToken('operator', now(), until);
      const row = await table.set(name, { ...value, tokens: [stored] }, revision);
      return { operator: publicOf(row.value), token };
    },
    remove(name) {
      const removed = removals.then(() => remove(name));
      removals = removed.catch(() => {});
      return removed;
    },
    isHeldBy(name, keyId, at) {
      const token = table.get(name)?.value.tokens.find((each) => each.keyId === keyId);
      return token !== undefined && at < (token.expiresAt ?? Number.POSITIVE_INFINITY);
    },
    authenticate(token, at) {
      const row = index.find(token, at);
      return 'why' in row ? { code: 'unauthorized', detail: sentenceOf(row) } : publicOf(row.value);
    },
    holderOf(name, keyId, at) {
      const row = table.get(name)?.value;
      const token = row?.tokens.find((each) => each.keyId === keyId);
      return row && token && !hasExpired(token, at) ? publicOf(row) : undefined;
    },
    onChange: (listener) => table.onChange(() => listener()),
  };
}

function rowOf(table: Table<OperatorRow>, name: string) {
  const row = table.get(name);
  if (!row) throw new RefusedError('not-found', `There is no operator "${name}".`);
  return row;
}

/** When a token made now would expire if it held as long as the one before; undefined: never. */
function inherited({ tokens: [token] }: OperatorRow, now: number): number | undefined {
  return token?.expiresAt === undefined ? undefined : now + token.expiresAt - token.createdAt;
}

function sentenceOf(fault: TokenFault): string {
  if (fault.why === 'malformed') return 'This token opens nothing: it is cut off or mistyped.';
  if (fault.why === 'kind')
    return 'This is a token of a device (thd_…); this API takes a token of an operator (tho_…).';
  if (fault.why === 'unknown') return 'This token opens nothing: it is not known here, or was revoked or replaced.';
  return `This token expired at ${new Date(fault.at).toISOString()}; an admin can make another one.`;
}

/** The one token is kept when it has expired, so that whoever still uses it is told so. */
function publicOf({ tokens: [token], name, role, createdAt }: OperatorRow): Operator {
  return { name, role, createdAt, ...(token?.expiresAt !== undefined && { expiresAt: token.expiresAt }) };
}
