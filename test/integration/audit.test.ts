/** What operators do through the API, in the audit log; and requests that are sent twice. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApi } from '../../hub/api/server.http.ts';
import type { AuditEntry } from '../../hub/audit/audit.ts';
import { startApi, type TestApi } from '../helpers/api.ts';

let hub: TestApi;
beforeEach(async () => {
  hub = await startApi();
});
afterEach(() => hub.close());

const entries = async (query = '') =>
  (await hub.call('GET', `/v1/audit?${query}`)).body.entries as (AuditEntry & { detail?: string })[];
const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });

describe('the audit log', () => {
  it('has each change by the time it is answered, newest first, with who, what, from where and the result', async () => {
    const began = Date.now();
    await hub.call('POST', '/v1/devices', { token: hub.tokens.operator, body: { id: 'meter-7' } });
    await hub.call('PATCH', '/v1/devices/meter-7', { body: { enabled: false, description: 'private words' } });
    const found = await entries();
    expect(found).toEqual([
      {
        ...{ id: 2, at: expect.any(Number), from: '127.0.0.1', result: 'ok' },
        ...{ actor: 'operator:ada', action: 'PATCH /v1/devices/:id', target: 'meter-7' },
        detail: 'enabled=false description',
        words: 'changed the device',
      },
      {
        ...{ id: 1, at: expect.any(Number), from: '127.0.0.1', result: 'ok' },
        ...{ actor: 'operator:otto', action: 'POST /v1/devices', target: 'meter-7' },
        words: 'added the device',
      },
    ]);
    for (const { at } of found) expect(at).toBeGreaterThanOrEqual(began);
  });

  it('has what was refused: by the role, by the schema, by the hub, and without a good token', async () => {
    await hub.call('POST', '/v1/devices', { token: hub.tokens.viewer, body: { id: 'a' } });
    await hub.call('POST', '/v1/devices', { body: { id: 'a', colour: 'a secret' } });
    await hub.call('DELETE', '/v1/devices/nobody');
    await hub.call('DELETE', '/v1/devices/nobody', { token: '' });
    await expect.poll(async () => (await entries()).length).toBe(4);
    expect(await entries()).toMatchObject([
      { actor: 'unknown', action: 'DELETE /v1/devices/:id', target: 'nobody', result: 'unauthorized' },
      { actor: 'operator:ada', action: 'DELETE /v1/devices/:id', target: 'nobody', result: 'not-found' },
      { actor: 'operator:ada', action: 'POST /v1/devices', result: 'invalid' },
      { actor: 'operator:vera', action: 'POST /v1/devices', result: 'forbidden' },
    ]);
    expect(JSON.stringify(await entries())).not.toContain('a secret');
  });

  it('has who was not let in to look: by a token that opens nothing or too little, and never twice in a row', async () => {
    const { token } = await hub.operators.add('late', 'viewer', Date.now() - 1);
    for (let turn = 0; turn < 3; turn++) {
      await hub.call('GET', '/v1/devices', { token });
      await hub.call('GET', '/v1/operators', { token: hub.tokens.viewer });
      await hub.call('GET', '/v1/devices', { token: '' });
    }
    // Nobody waits for the lines of strangers.
    await expect
      .poll(() => entries())
      .toMatchObject([
        { actor: 'operator:vera', action: 'GET /v1/operators', result: 'forbidden' },
        { actor: 'unknown', action: 'GET /v1/devices', result: 'unauthorized', detail: `key ${token.split('_')[1]}` },
      ]);
  });

  it('has a change once it is durable, at the time it was asked for, however long its answer is waited for', async () => {
    await hub.devices.add('a');
    const answer = hub.call('POST', '/v1/devices/a/commands?wait=60s', { body: { name: 'identify' } });
    await expect.poll(async () => (await entries()).length).toBe(1);
    const { id, createdAt } = hub.commands.list({ device: 'a', limit: 1 }).commands[0]!;
    const [line] = await entries();
    expect(line).toMatchObject({ action: 'POST /v1/devices/:id/commands', result: 'ok' });
    expect(line!.detail).toContain(`made ${id} name=identify`);
    expect(line!.at).toBeLessThanOrEqual(createdAt);
    await hub.commands.cancel(id, 'x');
    expect((await answer).body).toMatchObject({ id, state: 'cancelled' });
    expect(await entries()).toEqual([line]);
  });

  it('names the operator that was added, or should have been', async () => {
    await hub.call('POST', '/v1/operators', { body: { name: 'ci', role: 'viewer' } });
    await hub.call('POST', '/v1/operators', { body: { name: 'ci', role: 'viewer' } });
    expect(await entries('target=ci')).toMatchObject([{ result: 'exists' }, { result: 'ok' }]);
  });

  it('has a group command under the group, which its commands name', async () => {
    await hub.devices.add('a');
    const selector = { devices: ['a'] };
    const made = await hub.call('POST', '/v1/commands', { body: { selector, name: 'identify' } });
    expect(made.status).toBeLessThan(300);
    expect(await entries(`target=${made.body.id}`)).toMatchObject([{ action: 'POST /v1/commands', result: 'ok' }]);
    const { body } = await hub.call('GET', '/v1/devices/a/commands');
    expect(body.commands).toMatchObject([{ group: made.body.id, actor: 'operator:ada' }]);
  });

  it('has no line for looking, and no token of anybody', async () => {
    const { body } = await hub.call('POST', '/v1/devices', { body: { id: 'a' } });
    for (const path of ['/v1/devices', '/v1/audit', '/v1/devices/nobody']) await hub.call('GET', path);
    const text = JSON.stringify(await entries());
    expect(await entries()).toHaveLength(1);
    for (const token of [body.token, ...Object.values(hub.tokens)]) expect(text).not.toContain(token.slice(20));
  });

  it('is asked by target and actor, page by page', async () => {
    for (const id of ['a', 'b', 'c']) await hub.call('POST', '/v1/devices', { body: { id } });
    await hub.call('DELETE', '/v1/devices/b', { token: hub.tokens.operator });
    expect((await entries('target=b')).map(({ action }) => action)).toEqual([
      'DELETE /v1/devices/:id',
      'POST /v1/devices',
    ]);
    expect((await entries('actor=otto')).map(({ target }) => target)).toEqual(['b']);
    const first = await hub.call('GET', '/v1/audit?limit=3');
    const rest = await hub.call('GET', `/v1/audit?limit=3&cursor=${first.body.next}`);
    expect([...first.body.entries, ...rest.body.entries].map(({ id }) => id)).toEqual([4, 3, 2, 1]);
    expect(rest.body).not.toHaveProperty('next');
    expect((await hub.call('GET', '/v1/audit?cursor=x')).status).toBe(400);
  });
});

describe('an Idempotency-Key', () => {
  it('makes a device once; the second answer is the first, with its token, and says so', async () => {
    const body = { id: 'meter-7' };
    const first = await hub.call('POST', '/v1/devices', { body, ...keyed('k1') });
    const again = await hub.call('POST', '/v1/devices', { body, ...keyed('k1') });
    expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
    expect([first, again].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true']);
    expect((await entries())[0]).toMatchObject({ target: 'meter-7', result: 'ok', detail: 'repeated' });
  });

  it('belongs to one request: another body or another route is refused, and malformed ones too', async () => {
    await hub.call('POST', '/v1/devices', { body: { id: 'a' }, ...keyed('k1') });
    const other = await hub.call('POST', '/v1/devices', { body: { id: 'b' }, ...keyed('k1') });
    expect([other.status, other.body.code]).toEqual([422, 'key-reused']);
    const route = await hub.call('POST', '/v1/devices/a/commands', { body: { name: 'identify' }, ...keyed('k1') });
    expect([route.status, route.body.code]).toEqual([422, 'key-reused']);
    const malformed = await hub.call('POST', '/v1/devices', { body: { id: 'c' }, ...keyed('with blank') });
    expect([malformed.status, malformed.body.errors]).toMatchObject([
      400,
      [{ in: 'header', path: '/idempotency-key' }],
    ]);
  });

  it('is of its operator alone, whose role counts each time', async () => {
    await hub.call('POST', '/v1/devices', { body: { id: 'a' }, ...keyed('k1') });
    const otto = await hub.call('POST', '/v1/devices', {
      body: { id: 'a' },
      token: hub.tokens.operator,
      ...keyed('k1'),
    });
    const vera = await hub.call('POST', '/v1/devices', { body: { id: 'a' }, token: hub.tokens.viewer, ...keyed('k1') });
    expect([otto.body.code, vera.body.code]).toEqual(['exists', 'forbidden']);
  });

  it('of two requests at once makes one command', async () => {
    await hub.call('POST', '/v1/devices', { body: { id: 'a' } });
    const body = { name: 'identify' };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => hub.call('POST', '/v1/devices/a/commands', { body, ...keyed('k1') })),
    );
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect(hub.commands.list({ device: 'a', limit: 10 }).commands).toHaveLength(1);
  });

  it('is answered at once by who does not wait, while the first still waits, and with what is true by then', async () => {
    await hub.devices.add('a');
    const path = '/v1/devices/a/commands';
    const order = { body: { name: 'identify' }, ...keyed('k1') };
    const waiting = hub.call('POST', `${path}?wait=60s`, order);
    await expect.poll(() => hub.commands.list({ device: 'a', limit: 9 }).commands).toHaveLength(1);
    const again = await hub.call('POST', path, order);
    expect([again.status, again.body.state, again.headers.get('idempotency-replayed')]).toEqual([
      201,
      'queued',
      'true',
    ]);
    await hub.commands.cancel(again.body.id, 'x');
    expect((await waiting).body).toMatchObject({ id: again.body.id, state: 'cancelled' });
    for (const query of ['', '?wait=60s'])
      expect((await hub.call('POST', path + query, order)).body).toMatchObject({ state: 'cancelled' });
  });

  it('runs a schedule once, also when the hub has forgotten its answers', async () => {
    await hub.devices.add('a');
    const schedule = { id: 'daily', cron: '@daily', device: 'a', name: 'identify' };
    await hub.call('POST', '/v1/schedules', { body: schedule });
    const run = () => hub.call('POST', '/v1/schedules/daily/run', keyed('k1'));
    const first = await run();
    const restarted = await createApi(hub.deps, { host: '127.0.0.1', port: 0 });
    const headers = { authorization: `Bearer ${hub.tokens.admin}`, 'idempotency-key': 'k1' };
    const again = await fetch(`${restarted.url}/v1/schedules/daily/run`, { method: 'POST', headers });
    await restarted.close();
    expect([again.status, await again.json()]).toEqual([202, first.body]);
    expect(hub.commands.list({ device: 'a', limit: 9 }).commands).toHaveLength(1);
    const other = await hub.call('POST', '/v1/schedules/daily/run', keyed('k2'));
    expect(other.body.id).not.toBe(first.body.id);
  });

  it('is a header of every operation that makes something, in the OpenAPI document', async () => {
    const { body } = await hub.call('GET', '/openapi.json');
    const named = (path: string) =>
      (body.paths[path].post.parameters ?? []).map(({ name, in: place }: Record<string, string>) => `${place} ${name}`);
    for (const path of ['/v1/devices', '/v1/devices/{id}/commands', '/v1/commands', '/v1/schedules'])
      expect(named(path)).toContain('header Idempotency-Key');
    expect(named('/v1/commands/{id}/cancel')).not.toContain('header Idempotency-Key');
  });
});
