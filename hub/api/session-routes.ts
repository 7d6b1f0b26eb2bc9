/** The routes of sessions: signing in from a browser by a token or a one-time link, and signing out. */
import { RefusedError } from '../kit/errors.ts';
import type { BrowserSession, BrowserSessions } from '../operators/browser-sessions.ts';
import { ROLES } from '../operators/operators.ts';
import { type Asker, SESSION_COOKIE, sessionCookie } from './identify.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface SessionRouteDeps {
  browserSessions: BrowserSessions;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const ASKER: Record<string, Schema> = {
  operator: { type: 'string', description: 'Name of the operator.', examples: ['vera'] },
  role: { type: 'string', enum: [...ROLES] },
  csrf: {
    type: 'string',
    description: 'For the header `x-csrf-token` of requests by cookie that change something.',
    examples: ['Z5mXkW0o2c'],
  },
  expiresAt: { ...TIME, description: 'When the session ends, Unix milliseconds.' },
};
const COOKIE =
  `The cookie ${SESSION_COOKIE}, with _ and the port when the address names one, stands for the token: HttpOnly, ` +
  'SameSite=Strict, for 12 hours at most.';

/** Signing in needs a secret, asking needs any role. */
export function sessionRoutes({ browserSessions }: SessionRouteDeps): Route[] {
  return [signInRoute(browserSessions), whoRoute(), signOutRoute(browserSessions), linkRoute(browserSessions)];
}

function signInRoute(sessions: BrowserSessions): Route {
  return {
    method: 'POST',
    path: '/v1/session',
    role: 'anyone',
    tag: 'session',
    deed: 'sign/signed in',
    summary: 'Signs a browser in by an operator token or by a one-time link.',
    takesSecret: true,
    body: {
      ...query({
        token: { type: 'string', maxLength: 128, description: 'An operator token.' },
        link: { type: 'string', maxLength: 128, description: 'The code of a one-time link.' },
      }),
      minProperties: 1,
      maxProperties: 1,
      description: 'A token or a link.',
      examples: [{ link: 'q1fQzE0n' }],
    },
    answers: { 200: { description: COOKIE, schema: object(ASKER) } },
    handle({ body, host, isSecure = false }) {
      const { token, link = '' } = body as { token?: string; link?: string };
      const { secret, session } = token === undefined ? sessions.openByLink(link) : sessions.openByToken(token);
      const maxAgeS = Math.floor((session.expiresAt - Date.now()) / 1000);
      return { body: shown(session), headers: cookie(host, secret, maxAgeS, isSecure), operator: session.operator };
    },
  };
}

function whoRoute(): Route {
  return {
    method: 'GET',
    path: '/v1/session',
    role: 'anyone',
    asksWho: true,
    tag: 'session',
    summary: 'Who asks: the operator and the role; of a session by cookie also its csrf and its end.',
    answers: {
      200: {
        description: '`operator` is null, and all there is, without a token when there is no session or it is over.',
        schema: object({ ...ASKER, operator: { ...ASKER.operator, type: ['string', 'null'] } }, [
          ...['role', 'csrf', 'expiresAt'],
        ]),
      },
    },
    handle({ asker }) {
      if (!asker) return { body: { operator: null } };
      const { operator, browser } = asker;
      return { body: browser ? shown(browser.session) : { operator: operator.name, role: operator.role } };
    },
  };
}

function signOutRoute(sessions: BrowserSessions): Route {
  return {
    method: 'DELETE',
    path: '/v1/session',
    role: 'viewer',
    tag: 'session',
    deed: 'sign/signed out',
    summary: 'Signs the browser out: its cookie opens nothing any more. The token stays as it is.',
    answers: { 204: { description: 'Signed out.' } },
    async handle({ asker, host, isSecure = false }) {
      if (asker?.browser) await sessions.end(asker.browser.secret);
      return { status: 204, headers: cookie(host, '', 0, isSecure) };
    },
  };
}

function linkRoute(sessions: BrowserSessions): Route {
  return {
    method: 'POST',
    path: '/v1/session/links',
    role: 'viewer',
    tag: 'session',
    deed: 'make/made a sign-in link',
    summary: 'Makes a one-time code that signs a browser in as whoever asks; it holds for ten minutes.',
    // 200 and not 201: an answer that opens something is not kept for a repeated request.
    answers: {
      200: {
        description: 'Open `/#/sign-in?link=<link>` in the browser.',
        schema: object({ link: { type: 'string', examples: ['q1fQzE0n'] }, expiresAt: TIME }),
      },
    },
    handle({ asker }) {
      const { operator, keyId } = withToken(asker!);
      return { body: sessions.makeLink(operator.name, keyId) };
    },
  };
}

/** A session that could make sessions would never end. */
function withToken(asker: Asker): Asker {
  if (!asker.browser) return asker;
  throw new RefusedError(
    'forbidden',
    'A link is made with a token, not from a session. On the machine: hub dashboard.',
  );
}

function shown({ operator, csrf, expiresAt }: BrowserSession) {
  return { operator: operator.name, role: operator.role, csrf, expiresAt };
}

function cookie(host: string | undefined, secret: string, maxAgeS: number, isSecure: boolean): Record<string, string> {
  const attributes = `HttpOnly; SameSite=Strict; Path=/; Max-Age=${maxAgeS}${isSecure ? '; Secure' : ''}`;
  return { 'set-cookie': `${sessionCookie(host)}=${secret}; ${attributes}` };
}
