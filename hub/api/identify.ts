/** Who asks: the operator of a request by its token or its cookie, and whether the role may do what the route does. */
import { keyIdOf } from '../devices/token.ts';
import { RefusedError } from '../kit/errors.ts';
import type { BrowserSession, BrowserSessions } from '../operators/browser-sessions.ts';
import { includesRole, type Operator, type Operators } from '../operators/operators.ts';
import type { Route } from './route.ts';

/** The cookie that stands for a session of a browser, before the port of `sessionCookie`. */
export const SESSION_COOKIE = 'hub_session';

/** The headers by which somebody is recognised. */
export interface Credentials {
  authorization?: string | undefined;
  cookie?: string | undefined;
  host?: string | undefined;
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

/**
 * The name of the cookie for an address, `hub_session_8080`: browsers share cookies between the ports of a host, and two
 * hubs on it would sign each other's people out. `host` as the browser sent it.
 */
export function sessionCookie(host = ''): string {
  const port = /:(\d{1,5})$/.exec(host)?.[1];
  return port === undefined ? SESSION_COOKIE : `${SESSION_COOKIE}_${port}`;
}

/** The operator whose token is sent; without one, that of the cookie. Throws `RefusedError` (unauthorized). */
export function identify(sent: Credentials, { operators, sessions }: Recognition): Asker {
  const token = tokenIn(sent.authorization);
  if (token) {
    const operator = operators.authenticate(token, Date.now());
    if ('code' in operator) throw new RefusedError(operator.code, operator.detail);
    return { operator, keyId: keyIdOf('operator', token)! };
  }
  const secret = sent.authorization === undefined ? secretIn(sent) : undefined;
  if (secret === undefined) throw new RefusedError('unauthorized', 'Send Authorization: Bearer <operator token>.');
  const session = sessions.find(secret);
  if (!session) throw new RefusedError('unauthorized', 'Your session has ended. Sign in again.');
  return { operator: session.operator, keyId: session.keyId, browser: { secret, session } };
}

/** The same, where nobody need be known; undefined without a token when the cookie is missing or its session over. */
export function identifyIfKnown(sent: Credentials, recognition: Recognition): Asker | undefined {
  if (sent.authorization !== undefined) return identify(sent, recognition);
  const secret = secretIn(sent);
  return secret !== undefined && recognition.sessions.find(secret) ? identify(sent, recognition) : undefined;
}

function secretIn({ cookie = '', host }: Credentials): string | undefined {
  return new RegExp(`(?:^|; *)${sessionCookie(host)}=([A-Za-z0-9_-]{43})(?:;|$)`).exec(cookie)?.[1];
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
