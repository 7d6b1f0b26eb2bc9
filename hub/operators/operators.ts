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
}

export interface Operators {
  /** Durable when it resolves; the token is told here and never again. Throws `RefusedError` (exists, invalid). */
  add(name: string, role: Role): Promise<{ operator: Operator; token: string }>;
  get(name: string): Operator | undefined;
  /** In the order of their names. */
  list(): Operator[];
  /** Revokes what tokens there are and makes another. Throws `RefusedError` (not-found). */
  replaceToken(name: string): Promise<string>;
  /** Whose token it is, or why not (unauthorized). Synchronous, from memory. */
  authenticate(token: string, now: number): Operator | Refusal;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/** Opens the list of operators over its table. */
export function createOperators(table: Table<OperatorRow>, { now = Date.now }: { now?: () => number } = {}): Operators {
  const index = createTokenIndex('operator', table);
  const publicOf = ({ tokens: _, ...operator }: OperatorRow): Operator => operator;

  return {
    async add(name, role) {
      if (!NAME.test(name)) throw new RefusedError('invalid', 'A name is letters, digits, or . _ @ - (64 at most).');
      const { token, stored } = createToken('operator', now());
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
    async replaceToken(name) {
      const row = table.get(name);
      if (!row) throw new RefusedError('not-found', `There is no operator "${name}".`);
      const { token, stored } = createToken('operator', now());
      await table.set(name, { ...row.value, tokens: [stored] }, row.revision);
      return token;
    },
    authenticate(token, at) {
      const row = index.find(token, at);
      return row ? publicOf(row.value) : { code: 'unauthorized', detail: 'This token opens nothing.' };
    },
  };
}
