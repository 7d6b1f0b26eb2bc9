/**
 * The OpenAPI document tells the truth: every route of a running hub is called, and what it answers fits its schemas.
 * A new route fails here until `CASES` has a call of it that succeeds and one that is refused.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiDocument, createJudge, type Operation } from '../helpers/api-document.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw, type RawDevice } from '../helpers/raw-device.ts';

type Body = Record<string, unknown>;
/** What earlier answers told, for the paths of later calls. */
type Known = Record<string, string>;

interface Case {
  /** Method and path as in the document. */
  of: string;
  /** Of the path, in its order; a word with `$` stands for what was kept under it, as in the body. */
  ids?: string[];
  query?: string;
  body?: unknown;
  headers?: Record<string, string>;
  status: number;
  /** Keeps something of the answer for later. */
  keep?: (body: Body) => Known;
}

/** In the order in which they are called: some need what others made. */
const CASES: Case[] = [
  { of: 'GET /healthz', status: 200 },
  { of: 'GET /readyz', status: 200 },
  { of: 'GET /metrics', status: 200 },
  { of: 'GET /openapi.json', status: 200 },
  { of: 'GET /asyncapi.json', status: 200 },
  { of: 'GET /v1/status', status: 200 },
  { of: 'GET /v1/bridge', status: 200 },
  { of: 'GET /v1/gateway/certificate', status: 200 },
  { of: 'GET /v1/schemas', status: 200 },
  { of: 'GET /v1/jobs', status: 200 },

  { of: 'GET /v1/devices', query: '?limit=1', status: 200 },
  { of: 'GET /v1/devices', query: '?limit=0', status: 400 },
  { of: 'POST /v1/devices', body: { id: 'b', tags: { floor: '1' }, expectedIntervalMs: 5_000 }, status: 201 },
  { of: 'POST /v1/devices', body: { id: 'b' }, status: 409 },
  { of: 'POST /v1/devices', body: { id: 7 }, status: 400 },
  { of: 'GET /v1/devices/{id}', ids: ['a'], status: 200 },
  { of: 'GET /v1/devices/{id}', ids: ['nobody'], status: 404 },
  { of: 'PATCH /v1/devices/{id}', ids: ['b'], body: { description: 'x', expectedIntervalMs: null }, status: 200 },
  { of: 'PATCH /v1/devices/{id}', ids: ['b'], body: {}, status: 400 },
  { of: 'GET /v1/devices/{id}/sessions', ids: ['a'], status: 200 },
  { of: 'GET /v1/devices/{id}/sessions', ids: ['nobody'], status: 404 },
  { of: 'GET /v1/talkers', query: '?by=readings&limit=3', status: 200 },
  { of: 'GET /v1/talkers', query: '?by=noise', status: 400 },

  { of: 'GET /v1/devices/{id}/telemetry', ids: ['a'], query: '?stream=power', status: 200 },
  { of: 'GET /v1/devices/{id}/telemetry', ids: ['a'], query: '?stream=power&format=csv', status: 200 },
  { of: 'GET /v1/devices/{id}/telemetry', ids: ['a'], query: '?stream=power&format=ndjson', status: 200 },
  { of: 'GET /v1/devices/{id}/telemetry', ids: ['a'], query: '?stream=weather', status: 400 },
  { of: 'GET /v1/devices/{id}/telemetry', ids: ['a'], query: '?stream=power&points=300', status: 200 },
  { of: 'GET /v1/telemetry', query: '?stream=power&devices=a&every=1m&fill=null', status: 200 },
  { of: 'GET /v1/telemetry', query: '?stream=power&tag=floor=1&format=csv', status: 200 },
  { of: 'GET /v1/telemetry', query: '?stream=power&format=ndjson', status: 200 },
  { of: 'GET /v1/telemetry', query: '?stream=power&devices=nobody', status: 404 },
  { of: 'GET /v1/telemetry', query: '?stream=power&points=1', status: 400 },
  { of: 'GET /v1/quarantine', query: '?limit=1', status: 200 },
  { of: 'GET /v1/quarantine', query: '?cursor=x', status: 400 },
  { of: 'GET /v1/quarantine/{id}', ids: ['1'], status: 200 },
  { of: 'GET /v1/quarantine/{id}', ids: ['99'], status: 404 },
  { of: 'POST /v1/quarantine/replay', body: { device: 'a' }, status: 200 },
  { of: 'POST /v1/quarantine/replay', body: { limit: 1 }, status: 400 },
  { of: 'POST /v1/quarantine/drop', body: { ids: [99] }, status: 200 },
  { of: 'POST /v1/quarantine/drop', body: { all: true, device: 'a' }, status: 400 },
  { of: 'GET /v1/gaps', query: '?limit=1&since=-1h', status: 200 },
  { of: 'GET /v1/gaps', query: '?since=soon', status: 400 },
  { of: 'GET /v1/devices/{id}/gaps', ids: ['a'], status: 200 },
  { of: 'GET /v1/devices/{id}/gaps', ids: ['nobody'], status: 404 },
  { of: 'POST /v1/store/replay', status: 202 },
  { of: 'POST /v1/store/replay', headers: { 'idempotency-key': 'x'.repeat(1_000) }, status: 400 },
  { of: 'GET /v1/live', query: '?device=a', status: 200 },

  { of: 'GET /v1/session', status: 200 },
  { of: 'POST /v1/session/links', status: 200, keep: ({ link }) => ({ $link: String(link) }) },
  { of: 'POST /v1/session', body: { link: '$link' }, status: 200 },
  { of: 'POST /v1/session', body: { link: '$link' }, status: 401 },
  { of: 'POST /v1/session', body: {}, status: 400 },
  { of: 'DELETE /v1/session', status: 204 },

  {
    of: 'POST /v1/devices/{id}/commands',
    ids: ['a'],
    query: '?wait=1ms',
    body: { name: 'identify', params: { seconds: 1 } },
    status: 201,
    keep: ({ id }) => ({ $sent: String(id) }),
  },
  {
    of: 'POST /v1/devices/{id}/commands',
    ids: ['b'],
    body: { name: 'identify' },
    status: 201,
    keep: ({ id }) => ({ $queued: String(id) }),
  },
  { of: 'POST /v1/devices/{id}/commands', ids: ['a'], body: { name: 'fly' }, status: 404 },
  {
    of: 'POST /v1/devices/{id}/commands',
    ids: ['a'],
    body: { name: 'identify', params: { seconds: 0 } },
    status: 400,
  },
  { of: 'GET /v1/devices/{id}/commands', ids: ['a'], status: 200 },
  { of: 'GET /v1/devices/{id}/commands', ids: ['a'], query: '?state=lost', status: 400 },
  { of: 'GET /v1/commands', query: '?limit=1', status: 200 },
  { of: 'GET /v1/commands', query: '?limit=many', status: 400 },
  { of: 'GET /v1/commands/{id}', ids: ['$sent'], status: 200 },
  { of: 'GET /v1/commands/{id}', ids: ['none'], status: 404 },
  { of: 'POST /v1/commands/{id}/cancel', ids: ['$queued'], status: 200 },
  { of: 'POST /v1/commands/{id}/cancel', ids: ['$queued'], status: 409 },

  {
    of: 'POST /v1/commands',
    body: { selector: { tags: {} }, name: 'identify', parallel: 1 },
    status: 202,
    keep: ({ id }) => ({ $group: String(id) }),
  },
  { of: 'POST /v1/commands', body: { selector: { tags: { no: 'one' } }, name: 'identify' }, status: 404 },
  { of: 'GET /v1/groups', status: 200 },
  { of: 'GET /v1/groups', query: '?limit=0', status: 400 },
  { of: 'GET /v1/groups/{id}', ids: ['$group'], status: 200 },
  { of: 'GET /v1/groups/{id}', ids: ['none'], status: 404 },
  { of: 'POST /v1/groups/{id}/cancel', ids: ['$group'], status: 200 },
  { of: 'POST /v1/groups/{id}/cancel', ids: ['none'], status: 404 },

  { of: 'POST /v1/alerts/rules', body: { id: 'gone', kind: 'offline' }, status: 201 },
  { of: 'POST /v1/alerts/rules', body: { id: 'odd', kind: 'field' }, status: 400 },
  { of: 'GET /v1/alerts/rules', status: 200 },
  { of: 'GET /v1/alerts/rules/{id}', ids: ['gone'], status: 200 },
  { of: 'GET /v1/alerts/rules/{id}', ids: ['none'], status: 404 },
  { of: 'PATCH /v1/alerts/rules/{id}', ids: ['gone'], body: { forMs: 1_000, severity: null }, status: 200 },
  { of: 'PATCH /v1/alerts/rules/{id}', ids: ['gone'], body: { above: 1 }, status: 400 },
  { of: 'GET /v1/alerts', query: '?state=firing', status: 200 },
  { of: 'GET /v1/alerts', query: '?state=bad', status: 400 },
  { of: 'GET /v1/alerts/channels', status: 200 },
  { of: 'POST /v1/alerts/channels/{name}/test', ids: ['on-call'], status: 204 },
  { of: 'POST /v1/alerts/channels/{name}/test', ids: ['none'], status: 404 },
  { of: 'DELETE /v1/alerts/rules/{id}', ids: ['gone'], status: 204 },
  { of: 'DELETE /v1/alerts/rules/{id}', ids: ['gone'], status: 404 },

  { of: 'POST /v1/schedules', body: { id: 's', cron: '0 3 * * *', device: 'a', name: 'identify' }, status: 201 },
  { of: 'POST /v1/schedules', body: { id: 't', cron: 'soon', device: 'a', name: 'identify' }, status: 400 },
  { of: 'POST /v1/schedules/{id}/run', ids: ['s'], status: 202 },
  { of: 'POST /v1/schedules/{id}/run', ids: ['none'], status: 404 },
  { of: 'GET /v1/schedules', status: 200 },
  { of: 'GET /v1/schedules/{id}', ids: ['s'], status: 200 },
  { of: 'GET /v1/schedules/{id}', ids: ['none'], status: 404 },
  { of: 'GET /v1/schedules/{id}/runs', ids: ['s'], status: 200 },
  { of: 'GET /v1/schedules/{id}/runs', ids: ['none'], status: 404 },
  { of: 'PATCH /v1/schedules/{id}', ids: ['s'], body: { enabled: false }, status: 200 },
  { of: 'PATCH /v1/schedules/{id}', ids: ['s'], body: { missed: 'maybe' }, status: 400 },
  { of: 'DELETE /v1/schedules/{id}', ids: ['s'], status: 204 },
  { of: 'DELETE /v1/schedules/{id}', ids: ['s'], status: 404 },

  { of: 'GET /v1/audit', query: '?limit=2', status: 200 },
  { of: 'GET /v1/audit', query: '?cursor=x', status: 400 },

  { of: 'GET /v1/operators', status: 200 },
  { of: 'POST /v1/operators', body: { name: 'vera', role: 'viewer', expiresInMs: 60_000 }, status: 201 },
  { of: 'POST /v1/operators', body: { name: 'vera', role: 'king' }, status: 400 },
  { of: 'POST /v1/operators/{name}/tokens', ids: ['vera'], body: {}, status: 201 },
  { of: 'POST /v1/operators/{name}/tokens', ids: ['nobody'], body: {}, status: 404 },
  { of: 'DELETE /v1/operators/{name}', ids: ['vera'], status: 204 },
  { of: 'DELETE /v1/operators/{name}', ids: ['admin'], status: 409 },
  {
    of: 'POST /v1/devices/{id}/tokens',
    ids: ['b'],
    body: { overlapMs: 60_000 },
    status: 201,
    keep: ({ keyId }) => ({ $key: String(keyId) }),
  },
  { of: 'POST /v1/devices/{id}/tokens', ids: ['nobody'], body: {}, status: 404 },
  { of: 'DELETE /v1/devices/{id}/tokens/{keyId}', ids: ['b', '$key'], status: 204 },
  { of: 'DELETE /v1/devices/{id}/tokens/{keyId}', ids: ['b', '$key'], status: 404 },
  { of: 'DELETE /v1/devices/{id}/tokens', ids: ['b'], status: 204 },
  { of: 'DELETE /v1/devices/{id}/tokens', ids: ['nobody'], status: 404 },
  { of: 'DELETE /v1/devices/{id}', ids: ['b'], status: 204 },
  { of: 'DELETE /v1/devices/{id}', ids: ['b'], status: 404 },
];

let hub: TestHub;
/** Takes the notices of alerts. */
let receiver: Server;
let device: RawDevice;
let judge: ReturnType<typeof createJudge>;
let document: ApiDocument;

beforeAll(async () => {
  receiver = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  hub = await startTestHub({ HUB_ALERTS__WEBHOOKS: JSON.stringify([{ name: 'on-call', url }]) });
  device = await connectRaw(hub, { token: await hub.addDevice('a') });
  device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 5 }, { power: 'much' }] });
  await device.next();
  await untilQuarantined(1);
  document = await hub.call('GET', '/openapi.json');
  judge = createJudge(document);
});
afterAll(async () => {
  await hub.dispose();
  receiver.close();
});

const untilQuarantined = (count: number) => untilListed('/v1/quarantine', count);

async function untilListed(path: string, count: number) {
  const [list] = Object.values(await hub.call<Record<string, unknown[]>>('GET', path));
  if (list!.length === count) return;
  await new Promise((resolve) => setTimeout(resolve, 50));
  await untilListed(path, count);
}

async function call(
  of: string,
  { ids = [], query = '', body, headers = {} }: Omit<Case, 'of' | 'status'>,
  token = hub.adminToken,
) {
  const [method = '', template = ''] = of.split(' ');
  const rest = [...ids];
  const path = template.replace(/\{\w+\}/g, () => encodeURIComponent(rest.shift() ?? 'nobody'));
  const abort = new AbortController();
  const response = await fetch(hub.api + path + query, {
    method,
    signal: abort.signal,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const type = response.headers.get('content-type') ?? '';
  const text = type.startsWith('text/event-stream') ? await firstOf(response) : await response.text();
  abort.abort();
  return { status: response.status, type, body: /[/+]json/.test(type) ? JSON.parse(text) : text || undefined };
}

/** What a stream that never ends says first. */
async function firstOf(response: Response): Promise<string> {
  const { value } = await response.body!.getReader().read();
  return Buffer.from(value ?? []).toString();
}

describe('the OpenAPI document', () => {
  it('describes every operation, parameter and body, each with an example that fits its schema', () => {
    const complaints: string[] = [];
    const demand = (fine: unknown, complaint: string) => void (fine || complaints.push(complaint));
    const examples = (where: string, of: { schema: Record<string, unknown>; example?: unknown }) => {
      const misfit = of.example === undefined ? 'no example' : judge.misfit(of.schema, of.example);
      demand(misfit === '', `${where}: ${misfit}`);
    };
    const inspect = (name: string, { summary, description, parameters = [], requestBody, responses }: Operation) => {
      demand(summary && description, `${name}: not described`);
      for (const parameter of parameters) {
        demand(parameter.description, `${name} ${parameter.name}: not described`);
        examples(`${name} ${parameter.name}`, parameter);
      }
      if (requestBody) {
        demand(requestBody.description, `${name} body: not described`);
        examples(`${name} body`, requestBody.content['application/json']!);
      }
      for (const [status, response] of Object.entries(responses)) {
        const { description, content = {} } = judge.resolved(response);
        demand(description, `${name} ${status}: not described`);
        for (const each of Object.values(content)) examples(`${name} ${status}`, each);
      }
    };
    for (const [name, operation] of judge.operations) inspect(name, operation);
    expect(document.openapi).toBe('3.1.0');
    expect(judge.operations.size).toBeGreaterThan(30);
    expect(complaints).toEqual([]);
  });

  it('names each operation once', () => {
    const names = [...judge.operations.values()].map(({ operationId }) => operationId);
    expect(new Set(names).size).toBe(names.length);
  });

  it('has cases here for every route: one that succeeds, and one that is refused where it takes anything', () => {
    const without = [...judge.operations].filter(([name, { parameters, requestBody }]) => {
      const own = CASES.filter(({ of }) => of === name);
      const takes = (requestBody !== undefined || parameters !== undefined) && name !== 'GET /v1/live';
      const succeeds = own.some(({ status }) => status < 400);
      return !succeeds || (takes && !own.some(({ status }) => status >= 400));
    });
    const help = 'add to CASES a call of each of these that succeeds, and one that is refused';
    expect(
      without.map(([name]) => name),
      help,
    ).toEqual([]);
    expect(
      CASES.map(({ of }) => of).filter((of) => !judge.operations.has(of)),
      'cases of routes that are gone',
    ).toEqual([]);
  });

  it('is what the hub really answers', async () => {
    const known: Known = {};
    const complaints: string[] = [];
    for (const { of, ids = [], status, keep, body, ...rest } of CASES) {
      const filled = body && JSON.parse(JSON.stringify(body), (_, value) => known[value] ?? value);
      const answer = await call(of, { ...rest, body: filled, ids: ids.map((id) => known[id] ?? id) });
      const operation = judge.operations.get(of);
      const complaint = operation ? judge.complaint(operation, answer) : 'no such route';
      if (complaint) complaints.push(`${of} ${answer.status}: ${complaint}`);
      if (answer.status !== status)
        complaints.push(`${of}: ${answer.status} instead of ${status}: ${JSON.stringify(answer.body)}`);
      else Object.assign(known, keep?.(answer.body));
    }
    expect(complaints).toEqual([]);
  });

  it('is what the hub answers to strangers', async () => {
    for (const [name, operation] of judge.operations) {
      if (operation['x-role'] === 'anyone') continue;
      const answer = await call(name, {}, '');
      expect([name, answer.status, judge.complaint(operation, answer)]).toEqual([name, 401, '']);
    }
  });
});

describe('every list that grows', () => {
  const LISTS = [
    { path: '/v1/devices', name: 'devices', of: 'id' },
    { path: '/v1/commands', name: 'commands', of: 'id' },
    { path: '/v1/devices/p0/commands', name: 'commands', of: 'id' },
    { path: '/v1/groups', name: 'groups', of: 'id' },
    { path: '/v1/schedules/paged/runs', name: 'runs', of: 'id' },
    { path: '/v1/quarantine', name: 'readings', of: 'id' },
    { path: '/v1/gaps', name: 'gaps', of: 'id' },
    { path: '/v1/devices/a/gaps', name: 'gaps', of: 'id' },
    { path: '/v1/audit', name: 'entries', of: 'id' },
  ];

  beforeAll(async () => {
    for (const id of ['p0', 'p1']) await hub.addDevice(id);
    const order = { name: 'identify' };
    for (let n = 0; n < 3; n++) {
      await hub.call('POST', '/v1/devices/p0/commands', order);
      await hub.call('POST', '/v1/commands', { ...order, selector: { devices: ['p1'] } });
    }
    await hub.call('POST', '/v1/schedules', { ...order, id: 'paged', cron: '@daily', device: 'p1' });
    for (let n = 0; n < 3; n++) await hub.call('POST', '/v1/schedules/paged/run');
    device.say({ type: 'telemetry', seq: 2, stream: 'power', readings: [{ power: 'a' }, { power: 'b' }] });
    for (const seq of [4, 6, 8]) device.say({ type: 'telemetry', seq, stream: 'power', readings: [{ power: 1 }] });
    await untilQuarantined(3);
    await untilListed('/v1/gaps', 3);
  });

  it.each(LISTS)('$path comes whole, page by page, by limit, cursor and next', async ({ path, name, of }) => {
    const page = (query: string) => hub.call<Record<string, Body[]> & { next?: string }>('GET', `${path}?${query}`);
    const idsOf = (found: Record<string, Body[]>) => found[name]!.map((item) => item[of]);
    const whole = idsOf(await page('limit=1000'));
    const walked: unknown[] = [];
    let cursor = '';
    for (let pages = 0; pages <= whole.length; pages++) {
      const found = await page(`limit=2${cursor}`);
      expect(found[name]!.length).toBeLessThanOrEqual(2);
      walked.push(...idsOf(found));
      if (found.next === undefined) break;
      cursor = `&cursor=${encodeURIComponent(found.next)}`;
    }
    expect(whole.length).toBeGreaterThan(2);
    expect(walked).toEqual(whole);
    // Its page would look like the last.
    for (const none of ['%00zz', '..']) {
      const headers = { authorization: `Bearer ${hub.adminToken}` };
      const answer = await fetch(`${hub.api}${path}?cursor=${none}`, { headers });
      expect([answer.status, await answer.json()]).toMatchObject([
        400,
        {
          code: 'invalid',
          errors: [{ in: 'query', path: '/cursor', message: 'must be the `next` of the page before' }],
        },
      ]);
    }
  });
});
