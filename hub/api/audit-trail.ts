/** Turns a request that changes something, or that was not let in, into its line of the audit log: never a body or a token. */
import type { AuditEvent, RecordEvent } from '../audit/audit.ts';
import { keyIdOf } from '../devices/token.ts';
import type { Operator } from '../operators/operators.ts';
import { tokenIn } from './identify.ts';
import type { Route } from './route.ts';

/** What is known of a request by the time its answer leaves. */
export interface Attempt {
  /** Absent when nobody could be recognised. */
  operator?: Operator;
  /** Header `Authorization`; only the public part of its token is told. */
  authorization?: string | undefined;
  /** When it came, Unix milliseconds. */
  at?: number;
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
  /**
   * Resolves when the line is on the disk; for strangers and for refused readers at once, and of theirs only some are kept.
   * Never rejects.
   */
  add(route: Asked, attempt: Attempt): Promise<void>;
}

/** What was asked for; a request that reached no route has a method all the same. */
type Asked = Pick<Route, 'path' | 'tag'> & { method: string };

/** Methods that change nothing. */
const LOOKS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** `record` for changes by operators; `recordStranger` for whoever was not let in to look, and for all without a good token. */
export function createAuditTrail(record: RecordEvent, recordStranger: RecordEvent): AuditTrail {
  return {
    async add(route, attempt) {
      const isLook = LOOKS.has(route.method);
      if (isLook && !isRefusedToken(attempt)) return;
      const event = eventOf(route, attempt);
      if (attempt.operator && !isLook) await record(event);
      else void recordStranger(event);
    },
  };
}

/** A token that did not open what it should: who looks without any has only mistaken the door. */
function isRefusedToken({ refusal, authorization }: Attempt): boolean {
  return (refusal === 'unauthorized' || refusal === 'forbidden') && tokenIn(authorization) !== undefined;
}

function eventOf({ method, path, tag }: Asked, attempt: Attempt): AuditEvent {
  const { operator, at, from, params, answer, refusal = 'ok' } = attempt;
  const [inPath = '', ...more] = Object.values(params);
  const idOf = tag === 'operators' ? nameIn : idIn;
  const made = idOf(answer);
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
    target: inPath || made || (idOf(attempt.body) ?? ''),
    result: refusal,
    from,
    ...(at !== undefined && { at }),
    ...(detail !== '' && { detail }),
  };
}

/** The public part of a token that opens nothing, if it has one: whose it was can be looked up. */
function keyOf(authorization = ''): string[] {
  const token = tokenIn(authorization) ?? '';
  const keyId = keyIdOf('operator', token) ?? keyIdOf('device', token);
  return keyId === undefined ? [] : [`key ${keyId}`];
}

function idIn(answer: unknown): string | undefined {
  const { id, keyId } = (answer ?? {}) as Record<string, unknown>;
  return [id, keyId].find((each) => typeof each === 'string') as string | undefined;
}

/** An operator is named by its name; elsewhere a name is that of a command. */
function nameIn(answer: unknown): string | undefined {
  const { name } = (answer ?? {}) as Record<string, unknown>;
  return typeof name === 'string' ? name : undefined;
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
