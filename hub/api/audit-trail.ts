/** Turns a request that changes something into its line of the audit log: names and numbers, never a body or a token. */
import type { AuditEvent, RecordEvent } from '../audit/audit.ts';
import { keyIdOf } from '../devices/token.ts';
import type { Operator } from '../operators/operators.ts';
import type { Route } from './route.ts';

/** What is known of a request by the time its answer leaves. */
export interface Attempt {
  /** Absent when nobody could be recognised. */
  operator?: Operator;
  /** Header `Authorization`; only the public part of its token is told. */
  authorization?: string | undefined;
  /** Client address. */
  from: string;
  /** Decoded parameters of the path. */
  params: Record<string, string>;
  /** The body, once it was found to fit the route's schema. */
  body?: unknown;
  /** What the handler answered. */
  answer?: unknown;
  /** It answered what an earlier request with the same Idempotency-Key had made. */
  repeated?: boolean;
  /** The word of the refusal; absent when it was done. */
  refusal?: string;
}

export interface AuditTrail {
  /** Resolves when the line is on the disk; for strangers at once, and of them only some are kept. Never rejects. */
  add(route: Route, attempt: Attempt): Promise<void>;
}

/** `record` for operators; `recordStranger` for those whose token is missing or wrong. */
export function createAuditTrail(record: RecordEvent, recordStranger: RecordEvent): AuditTrail {
  return {
    async add(route, attempt) {
      if (route.method === 'GET') return;
      const event = eventOf(route, attempt);
      if (attempt.operator) await record(event);
      else void recordStranger(event);
    },
  };
}

function eventOf({ method, path }: Route, attempt: Attempt): AuditEvent {
  const { operator, from, params, answer, refusal = 'ok' } = attempt;
  const [inPath = '', ...more] = Object.values(params);
  const made = idIn(answer);
  const others = [...more, ...(inPath !== '' && made !== undefined && made !== inPath ? [`made ${made}`] : [])];
  const detail = [
    ...(operator ? [] : keyOf(attempt.authorization)),
    ...others,
    ...fieldsOf(attempt.body),
    ...(attempt.repeated ? ['repeated'] : []),
  ].join(' ');
  return {
    actor: operator ? `operator:${operator.name}` : 'unknown',
    action: `${method} ${path}`,
    target: inPath || made || (idIn(attempt.body) ?? ''),
    result: refusal,
    from,
    ...(detail !== '' && { detail }),
  };
}

/** The public part of a token that opens nothing, if it has one: whose it was can be looked up. */
function keyOf(authorization = ''): string[] {
  const keyId = keyIdOf('operator', /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? '');
  return keyId === undefined ? [] : [`key ${keyId}`];
}

function idIn(answer: unknown): string | undefined {
  const { id, group, keyId } = (answer ?? {}) as Record<string, unknown>;
  return [id, group, keyId].find((each) => typeof each === 'string') as string | undefined;
}

/** Texts whose values are names of the hub's own; of other texts only the field is told. */
const TOLD = new Set(['name', 'role', 'device', 'cron']);

/** `name=reboot params ttlMs=60000` */
function fieldsOf(body: unknown): string[] {
  if (typeof body !== 'object' || body === null) return [];
  const { id: _, ...fields } = body as Record<string, unknown>;
  return Object.entries(fields).map(([field, value]) => {
    const isTold = typeof value === 'number' || typeof value === 'boolean' || (TOLD.has(field) && value !== null);
    return isTold && typeof value !== 'object' ? `${field}=${value}` : field;
  });
}
