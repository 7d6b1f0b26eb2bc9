/** The operator API over HTTP: who may do what, devices, telemetry, and how it says no. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { routesOf } from '../../hub/api/routes.ts';
import { createApi } from '../../hub/api/server.http.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { ensureAdmin } from '../../hub/operators/admin-token.file.ts';
import { ROLES } from '../../hub/operators/operators.ts';
import { REFUSED, startApi, type TestApi } from '../helpers/api.ts';

let hub: TestApi;
beforeEach(async () => {
  hub = await startApi();
});
afterEach(() => hub.close());

const routesHere = () => routesOf({ ...hub.deps, openapi: () => ({}) });
const concrete = (path: string) => path.replace(':id', 'nobody');

describe('every route', () => {
  it('names its role, and only health, signing in and asking who one is need none', () => {
    const routes = routesHere();
    expect(routes.length).toBeGreaterThan(14);
    for (const { role } of routes) expect([...ROLES, 'anyone']).toContain(role);
    const open = routes.filter(({ role }) => role === 'anyone').map(({ method, path }) => `${method} ${path}`);
    expect(open).toEqual(['GET /healthz', 'GET /readyz', 'POST /v1/session', 'GET /v1/session']);
  });

  it('that changes something has a deed for the audit log, and no other has one', () => {
    for (const { method, path, deed } of routesHere())
      expect([method, path, /^[a-z]+\/[a-z]+ [a-z -]+$/.test(deed ?? '')]).toEqual([method, path, method !== 'GET']);
  });

  it('answers 401 without a token, with a wrong one, an expired one, a removed one, and with a device token', async () => {
    const { token } = await hub.devices.add('meter-7');
    const { token: expired } = await hub.operators.add('eve', 'admin', Date.now() - 1);
    const { token: removed } = await hub.operators.add('rita', 'admin');
    await hub.operators.remove('rita');
    const wrong = hub.tokens.admin.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
    for (const { method, path, role, asksWho } of routesHere()) {
      if (role === 'anyone' && !asksWho) continue;
      for (const bad of [...(asksWho ? [] : ['']), wrong, expired, removed, token]) {
        const answer = await hub.call(method, concrete(path), { token: bad });
        expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 401, 'unauthorized']);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
  });

  it('answers 403 to a role below its own', async () => {
    for (const { method, path, role } of routesHere()) {
      for (const lower of ROLES.slice(0, Math.max(0, ROLES.indexOf(role as 'viewer')))) {
        const answer = await hub.call(method, concrete(path), { token: hub.tokens[lower] });
        expect([method, path, lower, answer.status]).toEqual([method, path, lower, 403]);
      }
    }
  });

  it('is in the OpenAPI 3.1 document, with its role and its answers', async () => {
    const { body: document } = await hub.call('GET', '/openapi.json', { token: hub.tokens.viewer });
    expect(document).toMatchObject({
      openapi: '3.1.0',
      info: { title: expect.any(String), version: '0.0.0' },
      components: { securitySchemes: { operator: { type: 'http', scheme: 'bearer' } } },
    });
    const routes = routesHere();
    for (const { method, path, role, asksWho, answers, params, query } of routes) {
      const operation = document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
      expect(operation, `${method} ${path}`).toMatchObject({ 'x-role': role, summary: expect.any(String) });
      const some = [...(asksWho ? [{}] : []), { operator: [] }, { session: [] }];
      expect(operation.security).toEqual(role === 'anyone' && !asksWho ? [] : some);
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(Object.keys(answers)));
      // The one header there is, Idempotency-Key, has a test of its own.
      const parameters = (operation.parameters ?? []) as { name: string; in: string }[];
      const named = parameters.flatMap((each) => (each.in === 'header' ? [] : [each.name])).sort();
      const properties = { ...(params?.properties as object), ...(query?.properties as object) };
      expect(named).toEqual(Object.keys(properties).sort());
    }
    const listed = Object.values(document.paths as Record<string, object>).flatMap((path) => Object.keys(path));
    expect(listed).toHaveLength(routes.length);
  });
});

describe('health', () => {
  it('needs no token and says why the hub is not ready', async () => {
    expect(await hub.call('GET', '/healthz', { token: '' })).toMatchObject({ status: 200, body: { ok: true } });
    expect(await hub.call('GET', '/readyz', { token: '' })).toMatchObject({ status: 200, body: { ready: true } });
    Object.assign(hub.state, { ready: false, reasons: ['the hub is draining'] });
    expect(await hub.call('GET', '/readyz', { token: '' })).toMatchObject({
      status: 503,
      body: { ready: false, reasons: ['the hub is draining'] },
    });
  });
});

describe('a method', () => {
  it('HEAD is answered where GET is, with the same headers and no body', async () => {
    for (const [path, token] of [
      ['/healthz', ''],
      ['/readyz', ''],
      ['/v1/devices', hub.tokens.viewer],
      ['/v1/devices', ''],
      ['/v1/devices/nobody', hub.tokens.viewer],
    ]) {
      const headers = { ...(token && { authorization: `Bearer ${token}` }) };
      const [got, head] = await Promise.all(
        ['GET', 'HEAD'].map((method) => fetch(hub.api.url + path, { method, headers })),
      );
      expect([path, head!.status]).toEqual([path, got!.status]);
      for (const name of ['content-type', 'content-length', 'cache-control'])
        expect([path, head!.headers.get(name)]).toEqual([path, got!.headers.get(name)]);
      expect(await head!.text()).toBe('');
    }
  });

  it.each([
    ['POST', '/healthz', 'GET, HEAD'],
    ['HEAD', '/v1/live', 'GET'],
    ['HEAD', '/v1/devices/a/telemetry', 'GET'],
    ['PUT', '/v1/devices/a?x=1', 'GET, HEAD, PATCH, DELETE'],
  ])('%s %s is told what the path takes', async (method, path, allow) => {
    const response = await fetch(hub.api.url + path, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    if (method !== 'HEAD') expect(await response.json()).toMatchObject({ status: 405, code: 'method' });
  });

  it('says of a path that is none that there is none', async () => {
    expect(await hub.call('POST', '/v1/devices/a/nothing')).toMatchObject({ status: 404, body: { code: 'not-found' } });
    expect(await hub.call('POST', '/v1/devices/')).toMatchObject({ status: 404 });
  });
});

describe('metrics', () => {
  it('are text for Prometheus with the numbers of the hub', async () => {
    const { status, type, text } = await hub.call('GET', '/metrics');
    expect([status, type]).toEqual([200, expect.stringMatching(/^text\/plain; version=0\.0\.4/)]);
    for (const line of [
      'hub_readings_total{outcome="accepted"} 42',
      'hub_readings_total{outcome="quarantined"} 1',
      'hub_frames_total{kind="telemetry"} 40',
      'hub_sessions 3',
      'hub_devices{state="offline"} 0',
      'hub_journal_bytes 2048',
      'hub_journal_limit_bytes 1073741824',
      'hub_sink_lag_frames{sink="store"} 7',
      'hub_sink_lag_seconds{sink="store"} 1.5',
      'hub_sink_written_total{sink="store"} 42',
      'hub_sink_refused_total{sink="store"} 1',
      'hub_ack_latency_seconds_count 0',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toContain('nodejs_eventloop_lag_seconds');
  });

  it('do not grow with the number of scrapes', async () => {
    await hub.call('GET', '/metrics');
    expect((await hub.call('GET', '/metrics')).text).toContain('hub_readings_total{outcome="accepted"} 42\n');
  });
});

describe('devices', () => {
  it('are added with a token that works, and shown without it', async () => {
    const added = await hub.call('POST', '/v1/devices', { body: { id: 'meter-7', tags: { room: '12' } } });
    expect(added).toMatchObject({
      status: 201,
      body: { id: 'meter-7', tags: { room: '12' }, enabled: true, online: false },
    });
    expect(hub.devices.authenticate(added.body.token, Date.now())).toMatchObject({ id: 'meter-7' });
    const shown = await hub.call('GET', '/v1/devices/meter-7', { token: hub.tokens.viewer });
    expect(shown.body).toMatchObject({ id: 'meter-7', last: {} });
    expect(shown.text).not.toMatch(/sha256|thd_/);
  });

  it('show whether they are online, when they were seen, and their last readings', async () => {
    await hub.devices.add('meter-7');
    hub.devices.touch('meter-7', 1_760_000_000_000);
    hub.presence.opened({ id: 's', device: 'meter-7', address: '::1', connectedAt: 1 });
    hub.live.update([
      { device: 'meter-7', stream: 'power', epoch: 'e', seq: 1, receivedAt: 0, readings: [{ ts: 5, power: 3 }] },
    ]);
    expect((await hub.call('GET', '/v1/devices/meter-7')).body).toMatchObject({
      online: true,
      lastSeenAt: 1_760_000_000_000,
      last: { power: { ts: 5, power: 3 } },
    });
  });

  it('are asked for by presence, tags and the beginning of the id', async () => {
    for (const id of ['a1', 'a2', 'b1']) await hub.devices.add(id, { tags: { end: id[1]!, all: 'yes' } });
    hub.presence.opened({ id: 's', device: 'a1', address: '::1', connectedAt: 1 });
    const ids = async (asked: string) => {
      const { body } = await hub.call('GET', `/v1/devices?${asked}`);
      return body.devices.map(({ id }: { id: string }) => id);
    };
    expect(await ids('presence=online')).toEqual(['a1']);
    expect(await ids('presence=offline')).toEqual(['a2', 'b1']);
    expect(await ids('presence=silent')).toEqual([]);
    expect(await ids('tag=end%3D1,all%3Dyes')).toEqual(['a1', 'b1']);
    expect(await ids('tag=end%3D1&presence=offline')).toEqual(['b1']);
    expect(await ids('prefix=a')).toEqual(['a1', 'a2']);
    expect(await hub.call('GET', '/v1/devices?tag=x')).toMatchObject({
      status: 400,
      body: { code: 'invalid', errors: [{ in: 'query', path: '/tag' }] },
    });
    expect((await hub.call('GET', '/v1/devices?presence=away')).status).toBe(400);
  });

  it('tell their presence and their sessions, also before the first', async () => {
    await hub.devices.add('a');
    const { createdAt } = hub.devices.get('a')!;
    const never = { state: 'offline', since: createdAt, reason: 'never connected' };
    expect((await hub.call('GET', '/v1/devices/a')).body).toMatchObject({ online: false, presence: never });
    hub.presence.opened({ id: 's', device: 'a', address: '::1', connectedAt: 5 });
    hub.presence.ended({ id: 's', device: 'a' }, { at: 9, reason: 'lost', closeCode: 1006 });
    expect((await hub.call('GET', '/v1/devices/a')).body.presence).toEqual({
      state: 'offline',
      since: 9,
      reason: 'lost',
      closeCode: 1006,
    });
    const { status, body } = await hub.call('GET', '/v1/devices/a/sessions', { token: hub.tokens.viewer });
    expect([status, body.sessions]).toEqual([200, [expect.objectContaining({ id: 's', connectedAt: 5, endedAt: 9 })]]);
    expect((await hub.call('GET', '/v1/devices/b/sessions')).status).toBe(404);
  });

  it('take an expected interval, and lose it by null', async () => {
    const body = { id: 'a', expectedIntervalMs: 5_000 };
    expect((await hub.call('POST', '/v1/devices', { body })).body.expectedIntervalMs).toBe(5_000);
    const patch = (expectedIntervalMs: unknown) => hub.call('PATCH', '/v1/devices/a', { body: { expectedIntervalMs } });
    expect((await patch(60_000)).body.expectedIntervalMs).toBe(60_000);
    expect((await patch(null)).body).not.toHaveProperty('expectedIntervalMs');
    expect((await patch('5m')).status).toBe(400);
  });

  it('come in pages', async () => {
    await Promise.all(['a', 'b', 'c'].map((id) => hub.devices.add(id)));
    const first = await hub.call('GET', '/v1/devices?limit=2');
    expect(first.body.devices.map(({ id }: { id: string }) => id)).toEqual(['a', 'b']);
    const second = await hub.call('GET', `/v1/devices?limit=2&cursor=${first.body.next}`);
    expect(second.body).toMatchObject({ devices: [{ id: 'c' }] });
    expect(second.body.next).toBeUndefined();
  });

  it('are changed, revoked and removed', async () => {
    const { token } = await hub.devices.add('a');
    const body = { enabled: false, description: 'x' };
    expect((await hub.call('PATCH', '/v1/devices/a', { body })).body).toMatchObject(body);
    expect(hub.devices.authenticate(token, Date.now())).toMatchObject({ code: 'device-disabled' });
    expect((await hub.call('DELETE', '/v1/devices/a/tokens')).status).toBe(204);
    expect(hub.devices.get('a')?.tokens).toEqual([]);
    expect((await hub.call('DELETE', '/v1/devices/a')).status).toBe(204);
    expect((await hub.call('DELETE', '/v1/devices/a')).status).toBe(404);
  });

  it('that exist are refused with 409', async () => {
    await hub.devices.add('a');
    const answer = await hub.call('POST', '/v1/devices', { body: { id: 'a' } });
    expect(answer).toMatchObject({ status: 409, type: expect.stringContaining('application/problem+json') });
    expect(answer.body).toEqual({
      type: 'about:blank',
      title: 'It exists already.',
      status: 409,
      code: 'exists',
      detail: 'There is a device "a" already.',
      errors: [{ in: 'body', path: '/id', message: 'There is a device "a" already.' }],
    });
  });
});

describe('a mistaken request', () => {
  it.each([
    [{}, [{ in: 'body', path: '/id', message: 'is missing' }]],
    [{ id: 7 }, [{ in: 'body', path: '/id', message: 'must be string' }]],
    [{ id: 'a', colour: 'red' }, [{ in: 'body', path: '/colour', message: 'is not known' }]],
    [{ id: 'a', tags: { room: 12 } }, [{ in: 'body', path: '/tags/room', message: 'must be string' }]],
  ])('with the body %j says what is wrong where', async (body, errors) => {
    const answer = await hub.call('POST', '/v1/devices', { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid', errors } });
  });

  it('is not bent into shape: null does not disable a device', async () => {
    await hub.devices.add('a');
    expect((await hub.call('PATCH', '/v1/devices/a', { body: { enabled: null } })).status).toBe(400);
    expect((await hub.call('PATCH', '/v1/devices/a', { body: {} })).status).toBe(400);
    expect(hub.devices.get('a')?.enabled).toBe(true);
  });

  it('names every mistake of a telemetry query at once', async () => {
    await hub.devices.add('a');
    const path = '/v1/devices/a/telemetry?stream=power&from=yesterday&to=1h&fields=power,colour&every=fast';
    const { status, body } = await hub.call('GET', path);
    expect(status).toBe(400);
    expect(body.errors.map(({ in: where, path: at }: { in: string; path: string }) => [where, at])).toEqual([
      ['query', '/fields'],
      ['query', '/from'],
      ['query', '/to'],
      ['query', '/every'],
    ]);
  });

  it.each([
    'limit=0',
    'limit=1000001',
    'points=1',
    'fill=null',
    'fill=much&every=1m',
    'fill=previous&every=1m',
    'points=100&every=1m',
    'fn=envelope',
    'fields=level',
    'limit=ten',
    'order=up',
    'fn=sum',
    'fn=mean',
    'colour=red',
    'from=2026-99-99',
    'from=now',
  ])('with ?%s is refused', async (extra) => {
    await hub.devices.add('a');
    const { status, body } = await hub.call('GET', `/v1/devices/a/telemetry?stream=power&${extra}`);
    expect([status, body.errors[0].path]).toEqual([400, `/${extra.split('=')[0]}`]);
  });

  it('about a stream that is not there says which are', async () => {
    await hub.devices.add('a');
    const { status, body } = await hub.call('GET', '/v1/devices/a/telemetry?stream=weather');
    expect([status, body.errors[0]]).toEqual([
      400,
      { in: 'query', path: '/stream', message: expect.stringContaining('power') },
    ]);
  });

  it.each([
    ['no JSON', '{', 400],
    ['hostile', '{"id":"a","__proto__":{}}', 400],
    ['too big', JSON.stringify({ id: 'a'.repeat(70_000) }), 413],
  ])('whose body is %s is a problem too', async (_name, body, status) => {
    expect(await hub.call('POST', '/v1/devices', { body })).toMatchObject({
      status,
      body: { status, code: 'invalid' },
    });
  });

  it('for a path or a device that is not there is 404', async () => {
    for (const path of [
      '/',
      '/v1/nothing',
      '/v1/devices/a',
      '/v1/devices/a/telemetry?stream=power',
      '/v1/devices/%2e%2e',
    ]) {
      expect((await hub.call('GET', path)).body).toMatchObject({ status: 404, code: 'not-found' });
    }
  });

  it('whose path cannot be decoded is refused as any other, without the token in it', async () => {
    const path = `/v1/devices/${hub.tokens.admin}%E0%A4%A`;
    const refused = await hub.call('DELETE', path);
    expect(refused).toMatchObject({ type: 'application/problem+json; charset=utf-8', body: { status: 400 } });
    expect(refused.body).toMatchObject({ code: 'invalid', errors: [{ in: 'path' }] });
    const stranger = await hub.call('DELETE', path, { token: '' });
    expect([stranger.body.code, stranger.headers.get('www-authenticate')]).toEqual(['unauthorized', 'Bearer']);
    for (const { text } of [refused, stranger]) expect(text).not.toContain(hub.tokens.admin.slice(20, 40));
    const lines = async () => (await hub.call('GET', '/v1/audit')).body.entries;
    await expect.poll(lines).toMatchObject([
      { actor: 'unknown', result: 'unauthorized' },
      { actor: 'operator:ada', result: 'invalid', from: '127.0.0.1' },
    ]);
  });

  it('whose path is long is answered by its route: as long as it promises, and no longer', async () => {
    const long = await hub.call('DELETE', `/v1/devices/${'a'.repeat(128)}`);
    expect(long.body).toMatchObject({ status: 404, code: 'not-found' });
    const tooLong = await hub.call('DELETE', `/v1/devices/${'a'.repeat(5_000)}`);
    expect(tooLong.body).toMatchObject({ status: 400, code: 'invalid', errors: [{ in: 'path', path: '/id' }] });
    expect((await hub.call('DELETE', `/v1/devices/${'a'.repeat(129)}`, { token: '' })).status).toBe(401);
    const lines = async () => (await hub.call('GET', '/v1/audit')).body.entries;
    await expect.poll(lines).toMatchObject([
      { action: 'DELETE /v1/devices/:id', result: 'unauthorized' },
      { action: 'DELETE /v1/devices/:id', result: 'invalid' },
      { action: 'DELETE /v1/devices/:id', result: 'not-found' },
    ]);
  });

  it('says nothing of a token in its path, however it is written', async () => {
    const hidden = hub.tokens.admin.replace(
      /^t(.*)(.)$/,
      (_, rest, last) => `%74${rest}%${last.charCodeAt(0).toString(16)}`,
    );
    const { text } = await hub.call(
      'GET',
      `/v1/${hidden.replace(/(.{30})(.)/, (_, head, next) => `${head}%${next.charCodeAt(0).toString(16)}`)}`,
    );
    expect(text).toContain('_***');
    expect([text, ...hub.logged].join('')).not.toContain(hub.tokens.admin.slice(40, 60));
  });
});

describe('telemetry', () => {
  const rows = [
    { ts: 1_760_000_000_000.25, power: 3.5, voltage: 230 },
    { ts: 1_760_000_001_000, power: 4 },
  ];

  beforeEach(async () => {
    await hub.devices.add('a');
    hub.store.answer(() => rows);
  });

  it('is asked of the store as the person asked', async () => {
    const path =
      '/v1/devices/a/telemetry?stream=power&from=1000&to=1970-01-01T00:00:05Z&fields=power&limit=7&order=asc&every=2s&fn=max';
    expect((await hub.call('GET', path)).body).toEqual({
      device: 'a',
      stream: 'power',
      resolution: { source: 'raw', everyMs: 2_000 },
      rows,
    });
    expect(hub.store.asked).toEqual([
      {
        device: 'a',
        stream: 'power',
        fields: ['power'],
        from: 1_000,
        to: 5_000,
        limit: 7,
        descending: false,
        buckets: { everyMs: 2_000, fn: 'max' },
      },
    ]);
  });

  it('of the last hour, newest first, is what comes without being asked for', async () => {
    await hub.call('GET', '/v1/devices/a/telemetry?stream=power');
    const [{ from, to, limit, descending }] = hub.store.asked as [(typeof hub.store.asked)[0]];
    expect([to - from, limit, descending]).toEqual([3_600_000, 100, true]);
  });

  it('comes as CSV and NDJSON, by Accept or by format', async () => {
    const path = '/v1/devices/a/telemetry?stream=power&fields=power,voltage';
    const csv = 'ts,power,voltage\r\n1760000000000.25,3.5,230\r\n1760000001000,4,\r\n';
    expect(await hub.call('GET', path, { headers: { accept: 'text/csv' } })).toMatchObject({ text: csv });
    expect((await hub.call('GET', `${path}&format=csv`)).text).toBe(csv);
    const { type, text } = await hub.call('GET', path, { headers: { accept: 'application/x-ndjson' } });
    expect([
      type,
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ]).toEqual([expect.stringContaining('application/x-ndjson'), rows]);
  });

  it('is 503 while the store does not answer', async () => {
    hub.store.answer(() => {
      throw new Unavailable('connect ECONNREFUSED');
    });
    const answer = await hub.call('GET', '/v1/devices/a/telemetry?stream=power');
    const detail = 'connect ECONNREFUSED; new readings wait in the journal until it takes them, and none is lost.';
    expect(answer).toMatchObject({ status: 503, body: { code: 'store-unavailable', detail } });
  });
});

describe('the rest of the hub', () => {
  it('tells its status, its schemas and what it refused', async () => {
    expect((await hub.call('GET', '/v1/status')).body).toEqual(hub.deps.status());
    const { body } = await hub.call('GET', '/v1/schemas');
    expect(body.streams.map(({ name }: { name: string }) => name)).toContain('power');
    expect(body.streams[0].fields[0]).toMatchObject({ name: expect.any(String), type: expect.any(String) });
    expect(body.commands.map(({ name }: { name: string }) => name)).toContain('reboot');
    hub.state.quarantine.push(REFUSED);
    expect((await hub.call('GET', '/v1/quarantine?limit=5')).body).toEqual({
      readings: [REFUSED],
    });
  });

  it('says nothing of its inside when it made a mistake, and logs it', async () => {
    hub.state.quarantine = undefined as unknown as [];
    const { status, body, text } = await hub.call('GET', '/v1/quarantine');
    expect([status, body.code]).toEqual([500, 'internal']);
    expect(text).not.toContain('slice');
    expect(hub.logged.join('')).toContain('slice');
  });

  it('never logs a token, wherever it was sent', async () => {
    const { text } = await hub.call('POST', '/v1/devices', { body: { id: 'a' } });
    await hub.call('GET', `/v1/devices?token=${hub.tokens.admin}`);
    await hub.call('GET', '/v1/devices', { token: JSON.parse(text).token });
    expect(hub.logged.length).toBeGreaterThan(2);
    expect(hub.logged.join('')).not.toMatch(/th[do]_/);
  });

  it('slows down an address that asks too much, but not its health checks', async () => {
    const api = await createApi(hub.deps, { host: '127.0.0.1', port: 0, requestsPerMinute: 2 });
    const statuses: number[] = [];
    for (const path of ['/v1/status', '/v1/status', '/v1/status', '/healthz']) {
      const headers = { authorization: `Bearer ${hub.tokens.viewer}` };
      const response = await fetch(api.url + path, { headers });
      statuses.push(response.status);
      if (response.status === 429) expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    }
    expect(statuses).toEqual([200, 200, 429, 200]);
    await api.close();
  });
});

describe('the first operator', () => {
  it('finds a token in a file that only the user of the hub can read', async () => {
    const file = join(hub.dataDir, 'admin.token');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const token = (await readFile(file, 'utf8')).trim();
    expect(hub.operators.authenticate(token, Date.now())).toMatchObject({ name: 'admin', role: 'admin' });
  });

  it('keeps the token at the next start, and gets another when the file was lost', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'hub-admin-'));
    const file = join(dir, 'admin.token');
    await ensureAdmin(hub.operators, file);
    const first = (await readFile(file, 'utf8')).trim();
    await ensureAdmin(hub.operators, file);
    expect((await readFile(file, 'utf8')).trim()).toBe(first);
    await rm(file);
    await ensureAdmin(hub.operators, file);
    const second = (await readFile(file, 'utf8')).trim();
    expect(hub.operators.authenticate(first, Date.now())).toMatchObject({ code: 'unauthorized' });
    expect(hub.operators.authenticate(second, Date.now())).toMatchObject({ name: 'admin' });
    await rm(dir, { recursive: true });
  });
});
