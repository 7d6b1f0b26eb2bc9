/** Questions to the telemetry store over HTTP: long answers, charts, several devices; the store is the real SQLite. */
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import { createSqliteStore } from '../../hub/telemetry/store.sqlite.ts';
import type { Query, TelemetryStore } from '../../hub/telemetry/store.ts';
import { startApi, type TestApi } from '../helpers/api.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { streams } from '../helpers/streams.ts';

const ROWS = 12_345;
/** A row of four kilobytes, of a store that has no end of them. */
const wide = (ts: number) => ({ ts, room: 'x'.repeat(4_000) });
let dir: string;
let store: TelemetryStore;
let hub: TestApi;
/** What the store was asked. */
let asked: Query[] = [];
let failAfter = Number.POSITIVE_INFINITY;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'query-'));
  store = await createSqliteStore({ file: join(dir, 'telemetry.db'), streams });
  const spy = {
    async query(query: Query) {
      asked.push(query);
      if (asked.length > failAfter) throw new Unavailable('gone');
      if (query.stream === 'environment') return Array.from({ length: query.limit }, (_, n) => wide(query.from + n));
      return store.query(query);
    },
  };
  hub = await startApi({ store: spy, catalog: { streams, commands: new Map(), replaced: [] } });
  await hub.devices.add('a', { tags: { floor: '1' } });
  await hub.devices.add('b', { tags: { floor: '2' } });
  await hub.devices.add('c', { tags: { floor: '1' } });
  const many = Array.from({ length: ROWS }, (_, n) => ({ ts: T0 + n * 1_000, level: n % 100, turns: n }));
  await store.write([
    frameOf('a', 'probe', many),
    frameOf('b', 'probe', [{ ts: T0, level: 7, note: 'x,"y"' }]),
    frameOf('c', 'probe', [{ ts: T0 + 60_000, level: 9 }]),
  ]);
});
afterAll(async () => {
  await hub.close();
  await store.close();
  await rm(dir, { recursive: true });
});

const RANGE = `stream=probe&from=${T0}&to=${T0 + ROWS * 1_000}`;
function get(path: string) {
  asked = [];
  return hub.call('GET', path);
}
/** The beginning of an answer without end, of which nobody reads more. */
async function unread({ api }: TestApi, token: string): Promise<IncomingMessage> {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const url = `${api.url}/v1/devices/a/telemetry?stream=environment&from=0&limit=1000000&order=asc`;
  request(url, { headers: { authorization: `Bearer ${token}` } }, resolve).end();
  const response = await promise;
  return response.pause();
}
const rowsOf = (text: string) => text.trimEnd().split(/\r?\n/);

describe('a long answer', () => {
  it.each(['asc', 'desc'])('comes whole and in order (%s), while the store gives a page at a time', async (order) => {
    const { body, status } = await get(`/v1/devices/a/telemetry?${RANGE}&limit=1000000&order=${order}&fields=turns`);
    const turns = Array.from({ length: ROWS }, (_, n) => n);
    expect(status).toBe(200);
    expect(body).toMatchObject({ device: 'a', stream: 'probe', resolution: { source: 'raw' } });
    expect(body.rows.map((row: { turns: number }) => row.turns)).toEqual(order === 'asc' ? turns : turns.toReversed());
    expect(asked.length).toBe(13);
    expect(Math.max(...asked.map(({ limit }) => limit))).toBe(1_000);
  });

  it('ends at the limit', async () => {
    const { body } = await get(`/v1/devices/a/telemetry?${RANGE}&limit=2500`);
    expect(body.rows).toHaveLength(2_500);
    expect(body.limited).toBe(true);
    expect(asked.map(({ limit }) => limit)).toEqual([1_000, 1_000, 500]);
  });

  it.each([
    [`/v1/devices/a/telemetry?${RANGE}`, true],
    [`/v1/devices/a/telemetry?${RANGE}&every=1h`, undefined],
    [`/v1/devices/a/telemetry?${RANGE}&points=50`, undefined],
    [`/v1/devices/c/telemetry?${RANGE}&limit=1`, true],
    [`/v1/devices/c/telemetry?${RANGE}&limit=2`, undefined],
    [`/v1/telemetry?${RANGE}`, true],
    [`/v1/telemetry?${RANGE}&devices=a,b&limit=1000000`, undefined],
    [`/v1/telemetry?${RANGE}&devices=b,c`, undefined],
    [`/v1/telemetry?${RANGE}&devices=b,c&points=2`, undefined],
  ])('says when a device has as many rows as it may: %s', async (path, limited) => {
    expect((await get(path)).body.limited).toBe(limited);
  });

  it.each([
    ['text/csv;q=0.1, application/json', 'application/json'],
    ['application/json;q=0.5, application/x-ndjson', 'application/x-ndjson'],
    ['text/csv; charset=utf-8; q=0.9, */*;q=0.8', 'text/csv'],
    ['text/csv;q=0, */*', 'application/json'],
    ['text/csv, */*', 'text/csv'],
    ['text/csv, application/json', 'text/csv'],
    ['application/json, text/csv', 'application/json'],
    ['text/*', 'text/csv'],
    ['image/png', 'application/json'],
    ['*/*', 'application/json'],
  ])('comes in the type that Accept likes best: %s', async (accept, type) => {
    const answer = await hub.call('GET', `/v1/devices/b/telemetry?${RANGE}`, { headers: { accept } });
    expect(answer.type).toContain(type);
  });

  it('takes the length of windows in plain milliseconds, as times', async () => {
    const of = async (every: string) =>
      (await get(`/v1/devices/a/telemetry?${RANGE}&fields=turns&limit=3&every=${every}`)).body;
    expect(await of('60000')).toEqual(await of('1m'));
    expect(await of('0')).toMatchObject({ code: 'invalid' });
  });

  it('comes as NDJSON and CSV too, and says in headers what it was made from', async () => {
    const path = `/v1/devices/a/telemetry?${RANGE}&limit=1000000&every=1s&fn=max&fields=turns&order=asc`;
    const ndjson = await get(`${path}&format=ndjson`);
    expect(rowsOf(ndjson.text).map((line) => JSON.parse(line).turns)).toEqual(
      Array.from({ length: ROWS }, (_, n) => n),
    );
    expect([ndjson.headers.get('x-resolution'), ndjson.headers.get('x-every-ms')]).toEqual(['raw', '1000']);
    const csv = await get(`${path}&format=csv`);
    expect(csv.type).toContain('text/csv');
    expect(rowsOf(csv.text)).toHaveLength(ROWS + 1);
    expect(rowsOf(csv.text)[2]).toBe(`${T0 + 1_000},1`);
  });

  it('waits for a reader who does not read, instead of piling up', async () => {
    asked = [];
    const response = await unread(hub, hub.tokens.viewer);
    const settled = async (before: number): Promise<number> => {
      await new Promise((done) => setTimeout(done, 100));
      return asked.length === before ? before : settled(asked.length);
    };
    // A page is four megabytes: a few fill the buffers of the two sockets, a thousand would be the whole answer.
    expect(await settled(-1)).toBeLessThan(20);
    response.destroy();
  });

  it('is torn off, not ended as if it were whole, when the store fails in the middle', async () => {
    failAfter = 5;
    await expect(get(`/v1/devices/a/telemetry?${RANGE}&limit=1000000`)).rejects.toThrow();
    failAfter = 0;
    expect((await get(`/v1/devices/a/telemetry?${RANGE}`)).body).toMatchObject({ code: 'store-unavailable' });
    failAfter = Number.POSITIVE_INFINITY;
  });
});

describe('long answers at a time', () => {
  let narrow: TestApi;
  const open: IncomingMessage[] = [];
  beforeAll(async () => {
    narrow = await startApi({ store: hub.deps.store, catalog: hub.deps.catalog, longAnswers: 3 });
    await narrow.devices.add('a');
  });
  afterAll(async () => {
    for (const response of open) response.destroy();
    await narrow.close();
  });
  const begin = async (who: keyof TestApi['tokens']) => open.push(await unread(narrow, narrow.tokens[who]));
  const LONG = `/v1/devices/a/telemetry?${RANGE}&limit=5000`;

  it('are so many and no more: half of them of one operator, and short ones are answered all the same', async () => {
    await begin('viewer');
    await begin('viewer');
    const refused = await narrow.call('GET', LONG, { token: narrow.tokens.viewer });
    expect(refused).toMatchObject({ status: 429, body: { code: 'too-many-answers' } });
    expect(refused.body.detail).toMatch(/^You are reading as many long answers as one operator may \(2\): wait until /);
    expect(refused.headers.get('retry-after')).toBe('5');
    await begin('operator');
    const { body } = await narrow.call('GET', LONG, { token: narrow.tokens.operator });
    expect(body.detail).toMatch(/^As many long answers are being read as there may be \(3\): /);
    const short = `/v1/devices/a/telemetry?${RANGE}&limit=1000`;
    expect((await narrow.call('GET', short, { token: narrow.tokens.viewer })).body.rows).toHaveLength(1_000);
  });

  it('make room when their reader goes', async () => {
    open.shift()!.destroy();
    await expect.poll(async () => (await narrow.call('GET', LONG)).status).toBe(200);
    expect(await narrow.call('GET', LONG)).toMatchObject({ status: 200 });
  });
});

describe('for a chart', () => {
  it('gives about as many points as asked for, with the lowest and highest of each', async () => {
    const { body } = await get(`/v1/devices/a/telemetry?${RANGE}&points=500&order=asc&fields=level`);
    expect(body.resolution).toEqual({ source: 'raw', everyMs: 30_000 });
    expect(body.rows).toHaveLength(Math.ceil(ROWS / 30));
    expect(body.rows[0]).toEqual({ ts: T0, level: 14.5, level_min: 0, level_max: 29 });
  });

  it('gives the readings themselves when there are no more', async () => {
    const { body } = await get(`/v1/devices/b/telemetry?${RANGE}&points=500&order=asc`);
    expect(body).toMatchObject({
      resolution: { source: 'raw' },
      rows: [{ ts: T0, level: 7, level_min: 7, level_max: 7, note: 'x,"y"' }],
    });
    expect(body.resolution.everyMs).toBeUndefined();
  });
});

describe('windows without readings', () => {
  const path = `/v1/devices/c/telemetry?stream=probe&from=${T0 + 30_000}&to=${T0 + 90_001}&every=30s&fields=level&order=asc`;
  it.each([
    ['none', [9]],
    ['null', [null, 9, null]],
    ['0', [0, 9, 0]],
    ['previous', [null, 9, 9]],
  ])('hold with fill=%s what was asked for', async (fill, levels) => {
    const { body } = await get(`${path}&fill=${fill}`);
    expect(body.rows.map((row: { level: number }) => row.level)).toEqual(levels);
  });

  it('are made as they are read: a thousand years of them do not hurt', async () => {
    const { body } = await get(`/v1/devices/c/telemetry?stream=probe&from=0&to=${T0 * 20}&every=1s&fill=null&limit=5`);
    expect(body.rows).toHaveLength(5);
  });
});

describe('several devices', () => {
  it('are answered one after the other, each row with its device', async () => {
    const { body } = await get(`/v1/telemetry?${RANGE}&devices=c,b&fields=level`);
    expect(body).toEqual({
      stream: 'probe',
      resolution: { source: 'raw' },
      rows: [
        { device: 'b', ts: T0, level: 7 },
        { device: 'c', ts: T0 + 60_000, level: 9 },
      ],
    });
  });

  it('are found by a tag, and the limit is that of each', async () => {
    const { text } = await get(`/v1/telemetry?${RANGE}&tag=floor=1&fields=level&limit=2&format=csv`);
    expect(rowsOf(text)).toEqual([
      'device,ts,level',
      `a,${T0 + (ROWS - 1) * 1_000},${(ROWS - 1) % 100}`,
      `a,${T0 + (ROWS - 2) * 1_000},${(ROWS - 2) % 100}`,
      `c,${T0 + 60_000},9`,
    ]);
  });

  it('are all devices without a name and a tag, and none where no device has the tag', async () => {
    const all = await get(`/v1/telemetry?${RANGE}&every=1d&fn=count&fields=level`);
    expect(all.body.rows.map((row: { device: string }) => row.device)).toEqual(['a', 'b', 'c']);
    expect((await get(`/v1/telemetry?${RANGE}&tag=floor=9`)).body).toMatchObject({ stream: 'probe', rows: [] });
  });

  it('get windows of one length for a chart, however many readings each has', async () => {
    const { body } = await get(`/v1/telemetry?${RANGE}&points=500&order=asc&fields=level`);
    expect(body.resolution).toEqual({ everyMs: 30_000 });
    expect(body.rows.at(-1)).toEqual({
      ...{ device: 'c', resolution: 'raw', ts: T0 + 60_000 },
      ...{ level: 9, level_min: 9, level_max: 9 },
    });
  });

  it('are a stream when they are more than a hundred, readings or none, and each begins with the first row', async () => {
    const crowd = await startApi({ store, catalog: { streams, commands: new Map(), replaced: [] }, longAnswers: 1 });
    for (let n = 0; n < 150; n += 1) await crowd.devices.add(`0${n}`);
    await crowd.devices.add('a');
    const { body, headers } = await crowd.call('GET', `/v1/telemetry?${RANGE}&limit=3&fields=turns`);
    expect(body.rows.map(({ turns }: { turns: number }) => turns)).toEqual([ROWS - 1, ROWS - 2, ROWS - 3]);
    expect(headers.get('content-length')).toBeNull();
    await crowd.close();
  });

  it('must all be there', async () => {
    expect(await get(`/v1/telemetry?${RANGE}&devices=a,z`)).toMatchObject({ status: 404, body: { code: 'not-found' } });
  });
});

describe('several devices with roll-ups', () => {
  let own: TestApi;
  let rolled: TelemetryStore;
  const HOUR_MS = 3_600_000;
  const RANGE_OF_BOTH = `stream=probe&from=${T0}&to=${T0 + HOUR_MS}&every=1h&fn=count&fields=level`;

  beforeAll(async () => {
    const rollups = [{ name: '1m', everyMs: 60_000, keepMs: 0 }];
    rolled = await createSqliteStore({ file: join(dir, 'rolled.db'), streams, rollups });
    own = await startApi({ store: rolled, catalog: { streams, commands: new Map(), replaced: [] } });
    for (const id of ['a', 'b']) await own.devices.add(id);
    await rolled.write([frameOf('a', 'probe', [{ ts: T0, level: 1 }])]);
    await rolled.rollups!.roll(T0 + 24 * HOUR_MS);
    await rolled.write([frameOf('b', 'probe', [{ ts: T0, level: 1 }])]);
  });
  afterAll(async () => {
    await own.close();
    await rolled.close();
  });

  it('say of each device what its windows were made from, in JSON, NDJSON and CSV', async () => {
    const rows = [
      { device: 'a', resolution: '1m', ts: T0, level: 1 },
      { device: 'b', resolution: 'raw', ts: T0, level: 1 },
    ];
    const json = await own.call('GET', `/v1/telemetry?${RANGE_OF_BOTH}`);
    expect(json.body).toEqual({ stream: 'probe', resolution: { everyMs: HOUR_MS }, rows });
    const ndjson = await own.call('GET', `/v1/telemetry?${RANGE_OF_BOTH}&format=ndjson`);
    expect(rowsOf(ndjson.text).map((line) => JSON.parse(line))).toEqual(rows);
    expect([ndjson.headers.get('x-resolution'), ndjson.headers.get('x-every-ms')]).toEqual([null, String(HOUR_MS)]);
    const csv = await own.call('GET', `/v1/telemetry?${RANGE_OF_BOTH}&format=csv`);
    expect(rowsOf(csv.text)).toEqual(['device,resolution,ts,level', `a,1m,${T0},1`, `b,raw,${T0},1`]);
  });
});

describe('a question that has no answer', () => {
  it.each([
    ['fields=note', 'mean is of numbers, and "note" is no number: ask for first, last or count'],
    ['fields=note&fn=max', 'max is of numbers, and "note" is no number: ask for first, last or count'],
  ])('?%s is told so, rather than that there are no readings', async (extra, message) => {
    const { status, body } = await get(`/v1/devices/b/telemetry?${RANGE}&every=1m&${extra}`);
    expect([status, body.errors]).toEqual([400, [{ in: 'query', path: '/fn', message }]]);
  });

  it('is one only where no field has one', async () => {
    const { body } = await get(`/v1/devices/b/telemetry?${RANGE}&every=1m&fields=note,level`);
    expect(body.rows).toEqual([{ ts: T0, level: 7 }]);
    const last = await get(`/v1/devices/b/telemetry?${RANGE}&every=1m&fields=note&fn=last`);
    expect(last.body.rows).toEqual([{ ts: T0, note: 'x,"y"' }]);
  });

  it.each(['/v1/telemetry?stream=probe&devices=', '/v1/telemetry?stream=probe&devices=a,', '/v1/live?device='])(
    '%s is told that a name is empty',
    async (path) => {
      const { status, body } = await get(path);
      expect([status, body.errors[0].message]).toEqual([400, expect.stringContaining('has an empty name')]);
    },
  );
});
