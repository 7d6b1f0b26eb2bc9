/** Who is signed in: the session that the cookie stands for, and what its role may do. */
import { signal } from '@preact/signals';
import { call, get, HubRefusal, post, untilAnswered, useCsrf, whenSessionEnds } from './client.http.ts';

export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** So long may what was asked before delay a sign-out. */
const PATIENCE_MS = 2_000;

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

/** Finds the session that the browser still has, or spends a sign-in link. Throws `HubAway`. */
export async function findSession(link: string | undefined): Promise<void> {
  if (link !== undefined) return signIn({ link });
  try {
    begin(await get<Session>('/v1/session'));
  } catch (error) {
    if (!(error instanceof HubRefusal)) throw error;
    begin(null);
  }
}

/** Opens a session by an operator token or a one-time link. Throws `HubRefusal`, `HubAway`. */
export async function signIn(key: { token: string } | { link: string }): Promise<void> {
  begin(await post<Session>('/v1/session', key));
  signedOutBecause.value = '';
}

/** Ends the session at the hub, and here whatever the hub says. */
export async function signOut(): Promise<void> {
  // The pages go first, so that none of them asks with a session that has ended.
  session.value = undefined;
  await untilAnswered(PATIENCE_MS);
  try {
    await call('DELETE', '/v1/session');
  } finally {
    begin(null);
  }
}

whenSessionEnds(() => {
  if (!session.value) return;
  signedOutBecause.value = 'Your session has ended. Sign in again to go on where you were.';
  begin(null);
});
