/** The routes of operators: who may ask this API, in which role, until when. All of them need an admin. */
import { OPERATOR_NAME, type Operators, ROLES, type Role } from '../operators/operators.ts';
import { object, type Route, type Schema } from './route.ts';
import { EXPIRES_AT, EXPIRES_IN, NEXT_EXPIRES_IN, untilOf } from './token-life.ts';

export interface OperatorRouteDeps {
  operators: Pick<Operators, 'add' | 'list' | 'remove' | 'replaceToken'>;
  /** Told of each token that is made, so that the one of this machine's own CLI can be kept where it looks. */
  keepOperatorToken(name: string, token: string): Promise<void>;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1760000000000] };
const NAME: Schema = { type: 'string', pattern: OPERATOR_NAME.source, examples: ['vera'] };
const ROLE: Schema = {
  type: 'string',
  enum: [...ROLES],
  description: 'A viewer sees, an operator changes devices, an admin changes operators.',
  examples: ['viewer'],
};
const OPERATOR_PROPERTIES: Record<string, Schema> = {
  name: NAME,
  role: ROLE,
  createdAt: TIME,
  expiresAt: { ...EXPIRES_AT, description: 'When its token expires or expired, Unix milliseconds; absent: never.' },
};
const TOKEN: Schema = {
  type: 'string',
  description: 'Shown only here.',
  examples: [`tho_${'A'.repeat(12)}_${'B'.repeat(49)}`],
};
/** The path of one operator: any text, since a name that cannot exist is simply not found. */
const PARAMS: Schema = object({
  name: { type: 'string', maxLength: 128, description: 'Name of the operator.', examples: ['vera'] },
});

export function operatorRoutes({ operators, keepOperatorToken }: OperatorRouteDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/operators',
      role: 'admin',
      tag: 'operators',
      summary: 'All operators in the order of their names, never their tokens.',
      answers: {
        200: {
          description: 'The operators.',
          schema: object({ operators: { type: 'array', items: object(OPERATOR_PROPERTIES, ['expiresAt']) } }),
        },
      },
      handle: () => ({ body: { operators: operators.list() } }),
    },
    {
      method: 'POST',
      path: '/v1/operators',
      role: 'admin',
      tag: 'operators',
      deed: 'add/added the operator',
      summary: 'Adds an operator and makes its token, which is shown only here.',
      body: object({ name: NAME, role: ROLE, expiresInMs: EXPIRES_IN }, ['expiresInMs']),
      answers: {
        201: {
          description: 'The operator and its token.',
          schema: object({ ...OPERATOR_PROPERTIES, token: TOKEN }, ['expiresAt']),
        },
      },
      async handle({ body }) {
        const { name, role, expiresInMs } = body as { name: string; role: Role; expiresInMs?: number };
        const { operator, token } = await operators.add(name, role, untilOf(expiresInMs));
        await keepOperatorToken(name, token);
        return { status: 201, body: { ...operator, token } };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/operators/:name',
      role: 'admin',
      tag: 'operators',
      deed: 'remove/removed the operator',
      summary: 'Removes an operator and its token; the last admin stays (`last-admin`).',
      params: PARAMS,
      answers: { 204: { description: 'Removed.' } },
      async handle({ params: { name = '' } }) {
        await operators.remove(name);
        return { status: 204 };
      },
    },
    {
      method: 'POST',
      path: '/v1/operators/:name/tokens',
      role: 'admin',
      tag: 'operators',
      deed: 'replace/replaced the token of the operator',
      summary: 'Makes another token for an operator, which is shown only here; the one before dies at once.',
      params: PARAMS,
      body: object({ expiresInMs: NEXT_EXPIRES_IN }, ['expiresInMs']),
      answers: {
        201: {
          description: 'The name and the token.',
          schema: object({ name: NAME, token: TOKEN, expiresAt: EXPIRES_AT }, ['expiresAt']),
        },
      },
      async handle({ params: { name = '' }, body }) {
        const { expiresInMs } = body as { expiresInMs?: number | null };
        const { operator, token } = await operators.replaceToken(name, untilOf(expiresInMs));
        const { expiresAt } = operator;
        await keepOperatorToken(name, token);
        return { status: 201, body: { name, token, ...(expiresAt !== undefined && { expiresAt }) } };
      },
    },
  ];
}
