/** Who asks: the operator of a request by its token or its cookie, and whether the role may do what the route does. */
import { keyIdOf } from '../devices/token.ts';
import { RefusedError } from '../kit/errors.ts';
import type { BrowserSession, BrowserSessions } from '../operators/browser-sessions.ts';
import { includesRole, type Operator, type Operators } from '../operators/operators.ts';
import type { Route } from './route.ts';

/** The cookie that stands for a session of a browser. */
export const SESSION_COOKIE = 'hub_session';

/** The headers by which somebody is recognised. */
export interface Credentials {
  authorization?: string | undefined;
  cookie?: string | undefined;
  'x-csrf-token'?: string | string[] | undefined;
}

/** Whoever asks, and how that is known. */
export interface Asker {
  operator: Operator;
  /** The public part of the token, be it sent or behind the session. */
  keyId: string;
  /** Absent when a token was sent. */
  browser?: { secret: string; session: BrowserSession };
}

export interface Recognition {
  operators: Pick<Operators, 'authenticate'>;
  sessions: Pick<BrowserSessions, 'find'>;
}

/** The token in an `Authorization` header; undefined when there is none. */
export function tokenIn(authorization = ''): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1];
}

/** The operator whose token is sent; without one, that of the cookie. Throws `RefusedError` (unauthorized). */
export function identify(sent: Credentials, { operators, sessions }: Recognition): Asker {
  const token = tokenIn(sent.authorization);
  if (token) {
    const operator = operators.authenticate(token, Date.now());
    if ('code' in operator) throw new RefusedError(operator.code, operator.detail);
    return { operator, keyId: keyIdOf('operator', token)! };
  }
  const secret = sent.authorization === undefined ? secretIn(sent.cookie) : undefined;
  if (secret === undefined) throw new RefusedError('unauthorized', 'Send Authorization: Bearer <operator token>.');
  const session = sessions.find(secret);
  if (!session) throw new RefusedError('unauthorized', 'Your session has ended. Sign in again.');
  return { operator: session.operator, keyId: session.keyId, browser: { secret, session } };
}

function secretIn(cookie = ''): string | undefined {
  return new RegExp(`(?:^|; *)${SESSION_COOKIE}=([A-Za-z0-9_-]{43})(?:;|$)`).exec(cookie)?.[1];
}

/** A browser adds its cookie to whatever any page asks, so a change has to show what only our page can know. */
export function demandCsrf(method: Route['method'], sent: Credentials, { browser }: Asker): void {
  if (method === 'GET' || !browser || sent['x-csrf-token'] === browser.session.csrf) return;
  throw new RefusedError('csrf', 'Send the csrf of GET /v1/session in the header x-csrf-token.');
}

/** Throws `RefusedError` (forbidden) when the operator's role is less than the route's. */
export function demand(role: Route['role'], operator: Operator): void {
  if (role === 'anyone' || includesRole(operator.role, role)) return;
  throw new RefusedError('forbidden', `This needs the role ${role}; "${operator.name}" is ${operator.role}.`);
}
