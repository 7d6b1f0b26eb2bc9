/** Sessions of browsers over their table: what survives a restart, what does not, and where there is no more room. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane, Table } from '../../hub/backplane/backplane.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { createBrowserSessions, type SessionRow } from '../../hub/operators/browser-sessions.ts';
import { createOperators } from '../../hub/operators/operators.ts';

let backplane: Backplane;
let table: Table<SessionRow>;
let now = 1_000_000;
beforeEach(() => {
  backplane = openBackplane(':memory:');
  table = backplane.table('browser-sessions');
});
afterEach(() => backplane.close());

const HOUR_MS = 3_600_000;

async function setUp(rows = table) {
  const operators = createOperators(backplane.table('operators'), { now: () => now });
  const { token } = await operators.add('vera', 'viewer');
  const open = () => createBrowserSessions({ operators, table: rows, now: () => now });
  return { operators, token, open, sessions: open() };
}

describe('over a restart', () => {
  it('a session goes on, with the same csrf', async () => {
    const { sessions, open, token } = await setUp();
    const { secret, session } = sessions.openByToken(token);
    await expect.poll(() => table.size).toBe(1);
    expect(open().find(secret)).toEqual(session);
  });

  it('one that was ended stays ended', async () => {
    const { sessions, open, token } = await setUp();
    const { secret } = sessions.openByToken(token);
    await sessions.end(secret);
    expect([sessions.find(secret), open().find(secret), table.size]).toEqual([undefined, undefined, 0]);
  });

  it('a link does not work any more', async () => {
    const { sessions, open } = await setUp();
    const { link } = sessions.makeLink('vera', 'key');
    expect(() => open().openByLink(link)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });
});

it('nothing of the secret or the csrf is in the table', async () => {
  const { sessions, token } = await setUp();
  const { secret, session } = sessions.openByToken(token);
  await expect.poll(() => table.size).toBe(1);
  const stored = JSON.stringify([...table.values()]);
  for (const hidden of [secret, session.csrf, token]) expect(stored).not.toContain(hidden);
});

it('a session ends after twelve hours, and its row goes', async () => {
  const { sessions, token } = await setUp();
  const { secret } = sessions.openByToken(token);
  now += 12 * HOUR_MS - 1;
  expect(sessions.find(secret)).toBeDefined();
  now += 1;
  expect(sessions.find(secret)).toBeUndefined();
  await expect.poll(() => table.size).toBe(0);
});

it('a link dies after ten minutes', async () => {
  const { operators, sessions, token } = await setUp();
  const keyId = token.split('_')[1]!;
  expect(operators.holderOf('vera', keyId, now)).toBeDefined();
  const { link, expiresAt } = sessions.makeLink('vera', keyId);
  expect(expiresAt - now).toBe(600_000);
  now = expiresAt;
  expect(() => sessions.openByLink(link)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
});

it('who signs in while the disk is full comes in; signing out then says that it may not last', async () => {
  const full = () => Promise.reject(new Unavailable('the disk is full'));
  const { sessions, token } = await setUp({ ...table, set: full, delete: full });
  const { secret } = sessions.openByToken(token);
  expect(sessions.find(secret)).toBeDefined();
  await expect(sessions.end(secret)).rejects.toThrow('the disk is full');
  expect(sessions.find(secret)).toBeUndefined();
});

it('two thousand sessions are enough: the next operator is refused', async () => {
  const { operators, sessions } = await setUp();
  for (let n = 0; n < 40; n++) {
    const { token } = await operators.add(`o${n}`, 'viewer');
    for (let own = 0; own < 50; own++) sessions.openByToken(token);
  }
  const { token } = await operators.add('late', 'admin');
  expect(() => sessions.openByToken(token)).toThrow(expect.objectContaining({ code: 'full' }));
});
