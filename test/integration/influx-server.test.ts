/** What the store learns of its server (restarts, retention, counts), and what it makes of a bad network before it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createComparison } from '../../hub/telemetry/comparison.ts';
import { daysOf, retentionMismatch } from '../../hub/telemetry/influx-server.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { createInfluxStore, type InfluxOptions } from '../../hub/telemetry/store.influx.ts';
import type { Refused, TelemetryStore } from '../../hub/telemetry/store.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { createTestLog } from '../helpers/log.ts';
import { MemoryJournal } from '../helpers/memory-store.ts';
import { streams } from '../helpers/streams.ts';
import { startWeatherProxy, type Weather, type WeatherProxy } from '../helpers/weather-proxy.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const opened: TelemetryStore[] = [];
let databases = 0;

function storeAt(url: string, options: Partial<InfluxOptions> = {}) {
  const { log, entries } = createTestLog();
  const database = `db${++databases}`;
  const defaults = { url, database, retentionPolicy: 'hub', retentionDays: 0, timeoutMs: 5000, streams, log };
  const store = createInfluxStore({ ...defaults, ...options });
  opened.push(store);
  return { store, database, entries };
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
const some = (count: number): Frame[] =>
  Array.from({ length: count }, (_, index) => frameOf('d', 'probe', [{ ts: T0 + index, turns: index }]));
const everything = { device: 'd', stream: 'probe', from: 0, to: T0 * 2, limit: 10_000 };

describe('the server of a store', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd({ auth: true });
  });
  afterAll(() => influxd?.remove());
  const admin = { username: 'admin', password: 'secret' };

  it('is the same as long as it runs, and another one after each restart', async () => {
    const { store } = storeAt(influxd.url, admin);
    const first = await store.incarnation!();
    expect(first).toMatch(/^\d{4}-/);
    expect(await store.incarnation!()).toBe(first);
    await influxd.kill();
    expect(await outcome(store.incarnation!())).toMatchObject({ name: 'Unavailable' });
    await influxd.start();
    const second = await store.incarnation!();
    await influxd.stop();
    await influxd.start();
    expect(new Set([first, second, await store.incarnation!()]).size).toBe(3);
  });

  it('is not taken for one that does not tell, nor for another one, when it has no time to answer or does not know us', async () => {
    const proxy = await startWeatherProxy(influxd.url);
    const { store } = storeAt(proxy.url, admin);
    const first = await store.incarnation!();
    for (const status of [401, 429, 500, 503]) {
      proxy.weather = { kind: 'answer', status };
      expect(await outcome(store.incarnation!())).toMatchObject({ name: 'Unavailable' });
    }
    proxy.weather = { kind: 'fair' };
    expect(await store.incarnation!()).toBe(first);
    await proxy.close();
  });

  it('tells how many values it has of each field in each minute, over all devices', async () => {
    const { store } = storeAt(influxd.url, admin);
    const reading = (ts: number) => ({ ts, turns: 1, mode: 'a' });
    await store.write([
      frameOf('a', 'probe', [
        reading(T0),
        reading(T0 + 0.001),
        reading(T0 + MINUTE_MS - 0.001),
        { ts: T0 + 5, level: 1 },
      ]),
      frameOf('b', 'probe', [reading(T0), reading(T0 + MINUTE_MS), reading(T0 + 2 * MINUTE_MS)]),
    ]);
    const counts = await store.countByMinute!('probe', T0, T0 + 2 * MINUTE_MS);
    const withValues = new Map([...counts].filter(([, minutes]) => minutes.size > 0));
    const both = new Map([
      [T0, 4],
      [T0 + MINUTE_MS, 1],
    ]);
    expect(withValues).toEqual(
      new Map([
        ['turns', both],
        ['mode', both],
        ['level', new Map([[T0, 1]])],
      ]),
    );
    expect(await store.countByMinute!('nothing', T0, T0 + MINUTE_MS)).toEqual(new Map());
  });

  it('is said to keep readings for another time than the hub was told', async () => {
    await influxd.query('CREATE DATABASE short');
    await influxd.query('CREATE RETENTION POLICY hub ON short DURATION 48h REPLICATION 1');
    const of = async (retentionDays: number) => {
      const { store, entries } = storeAt(influxd.url, { ...admin, database: 'short', retentionDays });
      await store.incarnation!();
      return entries;
    };
    expect(await of(2)).toEqual([]);
    expect(await of(0)).toMatchObject([{ level: 'warn', message: expect.stringContaining('shorter') }]);
    expect(await of(30)).toMatchObject([{ level: 'warn', fields: { policyDays: 2, retentionDays: 30 } }]);
    expect(await of(1)).toMatchObject([{ level: 'warn', message: expect.stringContaining('longer') }]);
  });

  it.each([
    ['0s', 0, 0, undefined],
    ['720h0m0s', 30, 30, undefined],
    ['1h0m0s', 1 / 24, 0.01, undefined],
    ['24h0m0s', 1, 0, /shorter/],
    ['24h0m0s', 1, 2, /shorter/],
    ['48h0m0s', 2, 1, /longer/],
    ['0s', 0, 1, /longer/],
  ])('with a policy of %s that is %d days and a hub that was told %d says %s', (text, days, hubDays, said) => {
    expect(daysOf(text)).toBe(days);
    const mismatch = retentionMismatch(days, hubDays);
    if (said) expect(mismatch).toMatch(said);
    else expect(mismatch).toBeUndefined();
  });
});

describe('journal and InfluxDB', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd();
  });
  afterAll(() => influxd?.remove());

  it('are compared, and what InfluxDB lost is back, but for what it refuses', async () => {
    const { store, database, entries } = storeAt(influxd.url);
    const journal = new MemoryJournal();
    let now = T0;
    const refused: Refused[] = [];
    const comparison = createComparison(
      {
        ...{ journal, log: createTestLog().log, isReplaying: () => false },
        store: { ...store, countByMinute: store.countByMinute! },
        onRefused: async (some) => void refused.push(...some),
      },
      { clockAheadMs: 0, settleMs: MINUTE_MS, now: () => now },
    );
    await store.incarnation!();
    await influxd.write(database, `probe,device=x level="a text" ${(T0 + MINUTE_MS) * 1000}`);
    const poison = frameOf('a', 'probe', [{ ts: T0 + MINUTE_MS + 5, level: 1 }]);
    const frames = Array.from({ length: 180 }, (_, second) =>
      frameOf(`d${second % 3}`, 'probe', [{ ts: T0 + second * 1_000, turns: second, mode: 'b' }]),
    );
    for (const frame of [...frames, poison]) journal.commit(frame);
    expect(await store.write(journal.frames)).toHaveLength(1);
    journal.cursor = journal.frames.length;
    await influxd.query(`DELETE FROM probe WHERE time >= ${T0 + 90_000}ms AND time < ${T0 + 100_000}ms`, database);
    now = T0 + 5 * MINUTE_MS;
    expect(await comparison.run()).toBe(20);
    // The minute of the start is not compared: what was dated in it may have arrived before.
    expect(comparison.status()).toMatchObject({ missing: 20, restored: 20, surplus: 0, compared: 2 * 120 + 1 });
    expect(refused).toMatchObject([{ reading: poison.readings[0] }]);
    expect(entries.filter(({ level }) => level !== 'info')).toEqual([]);
    const [series] = await influxd.query('SELECT count(turns) FROM probe', database);
    expect(series!.values[0]![1]).toBe(180);
  });
});

describe('a bad network before InfluxDB', () => {
  let influxd: Influxd;
  let proxy: WeatherProxy;
  beforeAll(async () => {
    influxd = await startInfluxd();
    proxy = await startWeatherProxy(influxd.url);
  });
  afterAll(async () => {
    await proxy?.close();
    await influxd?.remove();
  });

  const RETRIED: [string, Weather, object][] = [
    ['is slower than the time-out', { kind: 'slow', ms: 2_000 }, {}],
    ['never answers', { kind: 'deaf' }, {}],
    ['cuts the head of a request', { kind: 'cut-request', bytes: 40 }, {}],
    ['cuts the body of a request', { kind: 'cut-request', bytes: 400 }, {}],
    ['loses the answer', { kind: 'cut-answer' }, {}],
    ['answers 500', { kind: 'answer', status: 500, body: '{"error":"timeout"}' }, {}],
    ['answers 502', { kind: 'answer', status: 502, body: '<html>' }, {}],
    ['answers 503', { kind: 'answer', status: 503, headers: { 'retry-after': '7' } }, { retryAfterMs: 7_000 }],
    ['answers 429', { kind: 'answer', status: 429, headers: { 'retry-after': '3' } }, { retryAfterMs: 3_000 }],
    ['says the body was cut', { kind: 'answer', status: 400, body: '{"error":"unexpected EOF"}' }, {}],
  ];

  it.each(RETRIED)('that %s makes the store try again, and refuses no reading', async (_, weather, extra) => {
    const { store } = storeAt(proxy.url, { timeoutMs: 500 });
    proxy.weather = { kind: 'fair' };
    await store.write(some(1));
    const before = proxy.counts[weather.kind];
    proxy.weather = weather;
    expect(await outcome(store.write(some(500)))).toMatchObject({ name: 'Unavailable', stalled: false, ...extra });
    expect(proxy.counts[weather.kind]).toBeGreaterThan(before);
    proxy.weather = { kind: 'fair' };
    expect(await store.write(some(500))).toEqual([]);
    expect(await store.query(everything)).toHaveLength(500);
  });

  it.each<[string, Weather]>([
    ['asks for a password', { kind: 'answer', status: 401, body: '<html>' }],
    ['forbids it', { kind: 'answer', status: 403 }],
    ['redirects', { kind: 'answer', status: 307, headers: { location: 'http://127.0.0.1:1/' } }],
    ['does not know the path', { kind: 'answer', status: 404 }],
    ['speaks TLS there', { kind: 'answer', status: 400, body: 'Client sent an HTTP request to an HTTPS server.' }],
  ])('that %s stalls the store until somebody acts', async (_, weather) => {
    const { store } = storeAt(proxy.url);
    proxy.weather = { kind: 'fair' };
    await store.write(some(1));
    proxy.weather = weather;
    expect(await outcome(store.write(some(10)))).toMatchObject({ name: 'Unavailable', stalled: true });
    proxy.weather = { kind: 'fair' };
    expect(await store.write(some(10))).toEqual([]);
  });

  it('that is away again and again still lets a batch with many refusals through', async () => {
    const { store } = storeAt(proxy.url, { retentionDays: 2 });
    proxy.weather = { kind: 'fair' };
    await store.write(some(1));
    const now = Date.now();
    const frames = Array.from({ length: 64 }, (_, index) => {
      const isTooOld = index % 16 === 5;
      return frameOf('fresh', 'probe', [{ ts: now - (isTooOld ? 3 * DAY_MS : 0) + index, turns: index }]);
    });
    const requests = () => proxy.counts.fair + proxy.counts.answer;
    Object.defineProperty(proxy, 'weather', {
      get: () => (requests() % 20 === 0 ? { kind: 'answer', status: 503 } : { kind: 'fair' }),
      configurable: true,
    });
    let attempts = 0;
    let refused: Refused[] | undefined;
    while (refused === undefined && attempts++ < 20) refused = await store.write(frames).catch(() => undefined);
    Object.defineProperty(proxy, 'weather', { value: { kind: 'fair' }, writable: true });
    expect(attempts).toBeGreaterThan(1);
    expect(refused?.map(({ frame }) => frames.indexOf(frame))).toEqual([5, 21, 37, 53]);
    expect(await store.query({ ...everything, device: 'fresh', to: now + 100 })).toHaveLength(60);
  });

  it('that limits the size of a body makes the store send smaller ones', async () => {
    const { store } = storeAt(proxy.url);
    proxy.weather = { kind: 'fair' };
    await store.write(some(1));
    let answers = 0;
    const tooLarge: Weather = { kind: 'answer', status: 413, body: '<html>' };
    Object.defineProperty(proxy, 'weather', {
      get: () => (answers++ < 3 ? tooLarge : { kind: 'fair' }),
      configurable: true,
    });
    expect(await store.write(some(64))).toEqual([]);
    Object.defineProperty(proxy, 'weather', { value: { kind: 'fair' }, writable: true });
    expect(await store.query(everything)).toHaveLength(64);
  });
});
