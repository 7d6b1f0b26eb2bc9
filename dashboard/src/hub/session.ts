/** Who is signed in: the session that the cookie stands for, and what its role may do. */
import { signal } from '@preact/signals';
import { call, get, HubAway, HubRefusal, post, untilAnswered, useCsrf, whenSessionEnds } from './client.http.ts';

export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** So long may what was asked before delay a sign-out. */
const PATIENCE_MS = 2_000;
/** A sign-out that the hub has not heard of yet is tried again this often. */
const SETTLE_MS = 2_000;
/** In the browser's storage as long as it owes the hub a sign-out, so that closing the page does not forget it. */
const OWED = 'telemetry-hub.sign-out';
const NOT_YET_BUT = 'You are not signed out yet.';
const NOT_YET = `${NOT_YET_BUT} The hub does not answer; it is told as soon as it does. If you close this page: at the next visit.`;

export interface Session {
  operator: string;
  role: Role;
  csrf: string;
  /** Unix milliseconds. */
  expiresAt: number;
}

/** Undefined while nobody knows yet; null: nobody is signed in. */
export const session = signal<Session | null | undefined>(undefined);
/** Why the person must sign in again, when there is a reason. */
export const signedOutBecause = signal('');

/** Whether the one who is signed in has this role or a higher one. */
export function may(role: Role): boolean {
  const own = session.value?.role;
  return own !== undefined && ROLES.indexOf(own) >= ROLES.indexOf(role);
}

function begin(next: Session | null): void {
  useCsrf(next?.csrf ?? '');
  session.value = next;
}

/** Throws `HubRefusal`, `HubAway`. */
async function whoAsks(): Promise<Session | null> {
  const told = await get<Session | { operator: null }>('/v1/session');
  return told.operator === null ? null : told;
}

/** Finds the session that the browser still has, or spends a sign-in link. Throws `HubAway`. */
export async function findSession(link: string | undefined): Promise<void> {
  if (link !== undefined) return signIn({ link });
  if (owesSignOut()) {
    await settle();
    if (owesSignOut()) return begin(null);
  }
  try {
    begin(await whoAsks());
  } catch (error) {
    if (!(error instanceof HubRefusal)) throw error;
    begin(null);
  }
}

/** Whether the session is still there; when it is not, the person is asked to sign in. Throws `HubRefusal`, `HubAway`. */
export async function isStillSignedIn(): Promise<boolean> {
  const found = await whoAsks();
  if (!found) end();
  else if (session.value) begin(found);
  return found !== null;
}

/** Opens a session by an operator token or a one-time link. Throws `HubRefusal`, `HubAway`. */
export async function signIn(key: { token: string } | { link: string }): Promise<void> {
  await payOff();
  begin(await post<Session>('/v1/session', key));
  signedOutBecause.value = '';
}

/** Ends the session here, and at the hub as soon as it answers. */
export async function signOut(): Promise<void> {
  // The pages go first, so that none of them asks with a session that has ended.
  session.value = undefined;
  await untilAnswered(PATIENCE_MS);
  localStorage.setItem(OWED, 'owed');
  await settle();
  begin(null);
}

const owesSignOut = () => localStorage.getItem(OWED) !== null;

/** Tells the hub of a sign-out that it has not heard of. Throws `HubRefusal`, `HubAway`. */
async function payOff(): Promise<void> {
  if (!owesSignOut()) return;
  const left = await whoAsks();
  if (left) {
    useCsrf(left.csrf);
    await call('DELETE', '/v1/session');
  }
  localStorage.removeItem(OWED);
  if (signedOutBecause.value.startsWith(NOT_YET_BUT)) signedOutBecause.value = '';
}

/** The same until it is done; resolves after the first attempt. */
async function settle(): Promise<void> {
  try {
    await payOff();
  } catch (error) {
    signedOutBecause.value = error instanceof HubAway ? NOT_YET : `${NOT_YET_BUT} ${(error as Error).message}`;
    setTimeout(settle, SETTLE_MS);
  }
}

function end(): void {
  if (!session.value) return;
  signedOutBecause.value = 'Your session has ended. Sign in again to go on where you were.';
  begin(null);
}

whenSessionEnds(end);
