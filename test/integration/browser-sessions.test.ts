/** Signing in from a browser: the cookie, what protects it, and everything that ends it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../helpers/api.ts';

let hub: TestApi;
beforeEach(async () => {
  hub = await startApi();
});
afterEach(() => hub.close());

/** Requests with a cookie and no token. */
const browse = (method: string, path: string, cookie = '', more: { body?: unknown; csrf?: string } = {}) =>
  hub.call(method, path, {
    token: '',
    ...(more.body !== undefined && { body: more.body }),
    headers: { ...(cookie && { cookie }), ...(more.csrf && { 'x-csrf-token': more.csrf }) },
  });

/** Signs in; what the browser keeps and what its page knows. */
async function signIn(body: object = { token: hub.tokens.operator }) {
  const answer = await browse('POST', '/v1/session', '', { body });
  const header = answer.headers.get('set-cookie') ?? '';
  return { answer, header, cookie: header.split(';')[0]!, csrf: answer.body.csrf as string };
}

const linkOf = async (token: string) => (await hub.call('POST', '/v1/session/links', { token })).body.link as string;

describe('signing in', () => {
  it('by a token gives a cookie that no script can read and no other page can send', async () => {
    const { answer, header, cookie } = await signIn();
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      operator: 'otto',
      role: 'operator',
      csrf: expect.any(String),
      expiresAt: expect.any(Number),
    });
    expect(header).toMatch(/^hub_session_\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=4(3199|3200)$/);
    expect((await browse('GET', '/v1/session', cookie)).body).toEqual(answer.body);
    expect(await browse('GET', '/v1/devices', cookie)).toMatchObject({ status: 200, body: { devices: [] } });
  });

  it('over TLS gives one that never travels in the clear', async () => {
    await hub.close();
    hub = await startApi({}, { trustedProxies: ['127.0.0.1'] });
    const headers = { 'x-forwarded-proto': 'https' };
    const { headers: answered } = await hub.call('POST', '/v1/session', {
      body: { token: hub.tokens.viewer },
      headers,
    });
    expect(answered.get('set-cookie')).toContain('; Secure');
  });

  it('by a link works once', async () => {
    const link = await linkOf(hub.tokens.viewer);
    const { answer, cookie } = await signIn({ link });
    expect(answer.body).toMatchObject({ operator: 'vera', role: 'viewer' });
    expect((await browse('GET', '/v1/devices', cookie)).status).toBe(200);
    const again = await signIn({ link });
    expect(again.answer).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
    expect(again.header).toBe('');
  });

  it('by a link whose token was replaced meanwhile does not work', async () => {
    const link = await linkOf(hub.tokens.viewer);
    await hub.operators.replaceToken('vera');
    expect((await signIn({ link })).answer.status).toBe(401);
  });

  it.each([
    [{}, 400],
    [{ token: 'x', link: 'y' }, 400],
    [{ token: 7 }, 400],
    [{ token: 'tho_nonsense' }, 401],
    [{ link: 'never made' }, 401],
  ])('with %j is refused', async (body, status) => {
    expect((await signIn(body)).answer.status).toBe(status);
  });

  it('is throttled like any other guessing of tokens', async () => {
    await hub.close();
    hub = await startApi({}, { failedAttemptsPerMinute: 3 });
    const statuses: number[] = [];
    for (let guess = 0; guess < 5; guess++) statuses.push((await signIn({ token: `tho_${guess}` })).answer.status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await signIn()).answer.status).toBe(200);
  });

  it('is in the audit log with the name, without the secret', async () => {
    const { cookie } = await signIn();
    const entries = await hub.audit.list({ limit: 10 });
    expect(entries[0]).toMatchObject({ actor: 'operator:otto', action: 'POST /v1/session', result: 'ok' });
    const everything = JSON.stringify(entries) + hub.logged.join('');
    for (const secret of [hub.tokens.operator, cookie.split('=')[1]!]) expect(everything).not.toContain(secret);
  });

  it('keeps fifty sessions of one operator: the oldest ends', async () => {
    const first = await signIn();
    const other = await signIn({ token: hub.tokens.viewer });
    for (let more = 0; more < 50; more++) await signIn();
    expect((await browse('GET', '/v1/session', first.cookie)).body).toEqual({ operator: null });
    expect((await browse('GET', '/v1/session', other.cookie)).body).toMatchObject({ operator: 'vera' });
  });
});

describe('a session', () => {
  it('may do what its role may', async () => {
    const { cookie, csrf } = await signIn();
    const made = await browse('POST', '/v1/devices', cookie, { csrf, body: { id: 'a' } });
    expect([made.status, made.body.id]).toEqual([201, 'a']);
    expect((await browse('GET', '/v1/operators', cookie)).body.code).toBe('forbidden');
    const entries = await hub.audit.list({ limit: 1 });
    expect(entries[0]).toMatchObject({ actor: 'operator:otto', action: 'POST /v1/devices', target: 'a' });
  });

  it('changes nothing without its csrf, and the attempt is in the audit log', async () => {
    const { cookie } = await signIn();
    const other = await signIn();
    for (const csrf of ['', 'wrong', other.csrf]) {
      const answer = await browse('POST', '/v1/devices', cookie, { csrf, body: { id: 'a' } });
      expect(answer).toMatchObject({ status: 403, body: { code: 'csrf' } });
    }
    expect(hub.devices.size).toBe(0);
    const entries = await hub.audit.list({ limit: 1 });
    expect(entries[0]).toMatchObject({ actor: 'operator:otto', result: 'csrf' });
  });

  it('is nothing to a page of another address', async () => {
    const { cookie, csrf } = await signIn();
    const headers = { cookie, 'x-csrf-token': csrf, origin: 'https://evil.example' };
    expect((await hub.call('GET', '/v1/devices', { token: '', headers })).body.code).toBe('origin');
  });

  it('does not stand in for a token that was sent and is wrong', async () => {
    const { cookie } = await signIn();
    expect((await hub.call('GET', '/v1/devices', { token: 'tho_wrong', headers: { cookie } })).status).toBe(401);
  });

  it('ends by signing out, here and on the disk, and the cookie goes', async () => {
    const { cookie, csrf } = await signIn();
    const out = await browse('DELETE', '/v1/session', cookie, { csrf });
    expect(out.status).toBe(204);
    expect(out.headers.get('set-cookie')).toMatch(/^hub_session_\d+=; .*Max-Age=0/);
    expect((await browse('GET', '/v1/devices', cookie)).status).toBe(401);
    expect((await hub.call('GET', '/v1/devices', { token: hub.tokens.operator })).status).toBe(200);
  });

  it.each([
    ['its token is replaced', () => hub.operators.replaceToken('otto')],
    ['its operator is removed', () => hub.operators.remove('otto')],
  ])('ends when %s', async (_, change) => {
    const { cookie } = await signIn();
    await change();
    expect((await browse('GET', '/v1/devices', cookie)).status).toBe(401);
  });

  it('ends with its token, and its page is told when', async () => {
    const expiresAt = Date.now() + 400;
    const { token } = await hub.operators.add('brief', 'viewer', expiresAt);
    const { cookie, answer } = await signIn({ token });
    expect(answer.body.expiresAt).toBe(expiresAt);
    await expect.poll(async () => (await browse('GET', '/v1/devices', cookie)).status).toBe(401);
  });

  it('cannot make links, which would make it last for ever', async () => {
    const { cookie, csrf } = await signIn();
    expect((await browse('POST', '/v1/session/links', cookie, { csrf })).status).toBe(403);
  });

  it('carries a live stream, which ends with it', async () => {
    const { cookie, csrf } = await signIn();
    const response = await fetch(`${hub.api.url}/v1/live`, { headers: { cookie } });
    expect(response.status).toBe(200);
    await browse('DELETE', '/v1/session', cookie, { csrf });
    expect(await response.text()).toContain(': live');
  });
});

it('tells a program with a token who it is', async () => {
  expect((await hub.call('GET', '/v1/session', { token: hub.tokens.viewer })).body).toEqual({
    operator: 'vera',
    role: 'viewer',
  });
});

it('tells a page that nobody is signed in, without calling that a mistake', async () => {
  const { cookie, csrf } = await signIn();
  await browse('DELETE', '/v1/session', cookie, { csrf });
  for (const sent of ['', cookie, 'hub_session=nonsense'])
    expect(await browse('GET', '/v1/session', sent)).toMatchObject({ status: 200, body: { operator: null } });
  expect((await hub.call('GET', '/v1/session', { token: 'tho_wrong' })).status).toBe(401);
});

it('throttles who guesses tokens by asking who they are', async () => {
  await hub.close();
  hub = await startApi({}, { failedAttemptsPerMinute: 2 });
  const statuses: number[] = [];
  for (let guess = 0; guess < 4; guess++)
    statuses.push((await hub.call('GET', '/v1/session', { token: `tho_${guess}` })).status);
  expect(statuses).toEqual([401, 401, 429, 429]);
});

it('does not sign out who is signed in at another hub of the same host', async () => {
  const other = await startApi();
  try {
    const here = await signIn();
    const there = await other.call('POST', '/v1/session', { token: '', body: { token: other.tokens.viewer } });
    const second = there.headers.get('set-cookie')!.split(';')[0]!;
    // A browser keeps one cookie of each name for a host, whatever the port.
    const jar = Object.fromEntries([here.cookie, second].map((each) => each.split('=') as [string, string]));
    const sent = Object.entries(jar).map((each) => each.join('='));
    expect((await browse('GET', '/v1/session', sent.join('; '))).body.operator).toBe('otto');
    const told = await other.call('GET', '/v1/session', { token: '', headers: { cookie: sent.join('; ') } });
    expect(told.body.operator).toBe('vera');
  } finally {
    await other.close();
  }
});
