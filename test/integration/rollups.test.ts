/** Roll-ups over time: what happens when readings go, when they come late, when a roll-up is new, and in InfluxDB by itself. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Answered, ask } from '../../hub/telemetry/ask.ts';
import { createInfluxStore, type InfluxOptions } from '../../hub/telemetry/store.influx.ts';
import { createSqliteStore, type SqliteOptions } from '../../hub/telemetry/store.sqlite.ts';
import type { Query, Rollup, TelemetryStore } from '../../hub/telemetry/store.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { quiet } from '../helpers/log.ts';
import { streams } from '../helpers/streams.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MINUTES: Rollup = { name: '1m', everyMs: 60_000, keepMs: 3 * DAY_MS };
const HOURS: Rollup = { name: '1h', everyMs: HOUR_MS, keepMs: 0 };
const probe = streams.get('probe')!;

/** A reading every ten seconds for so many hours. */
const hours = (count: number, start = T0) =>
  Array.from({ length: count * 360 }, (_, n) => ({ ts: start + n * 10_000, turns: n }));

async function rowsOf({ pages }: Answered) {
  const rows = [];
  for await (const page of pages) rows.push(...page);
  return rows;
}

describe('in SQLite', () => {
  let dir: string;
  let store: TelemetryStore;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rollups-'));
  });
  afterEach(async () => {
    await store.close();
    await rm(dir, { recursive: true });
  });
  const open = async (options: Partial<SqliteOptions> = {}) => {
    store = await createSqliteStore({ file: join(dir, 'telemetry.db'), streams, ...options });
  };
  const counts = async (everyMs: number, now: number, extra: Partial<Query> = {}) => {
    const range = { from: T0, to: T0 + 6 * DAY_MS, limit: 100_000, descending: false };
    const question = { device: 'd', stream: 'probe', ...range, fields: ['turns'], ...extra };
    const answered = await ask(store, probe, { ...question, buckets: { everyMs, fn: 'count' } }, now);
    const rows = await rowsOf(answered);
    return { rows: rows.length, sum: rows.reduce((sum, { turns }) => sum + Number(turns), 0), ...answered.resolution };
  };

  it('windows stay when the readings have gone, and each length goes in its own time', async () => {
    await open({ rollups: [MINUTES, HOURS], rawKeepMs: DAY_MS });
    await store.write([frameOf('d', 'probe', hours(48))]);
    const now = T0 + 2 * DAY_MS;
    expect(await counts(60_000, now)).toEqual({ rows: 2_880, sum: 17_280, source: 'raw', everyMs: 60_000 });
    expect(await store.prune(now - DAY_MS)).toBe(24 * 360);
    expect(await counts(60_000, now)).toEqual({ rows: 2_880, sum: 17_280, source: '1m', everyMs: 60_000 });
    expect(await counts(10_000, now)).toMatchObject({ rows: 24 * 360, source: 'raw' });
    await store.rollups!.roll(T0 + 4 * DAY_MS);
    expect(await counts(60_000, T0 + 4 * DAY_MS)).toMatchObject({ rows: 1_440 });
    expect(await counts(HOUR_MS, T0 + 4 * DAY_MS)).toMatchObject({ rows: 48, sum: 17_280, source: '1h' });
  });

  it('a chart of a time whose readings have gone is made of the windows that are left', async () => {
    await open({ rollups: [MINUTES, HOURS], rawKeepMs: DAY_MS });
    await store.write([frameOf('d', 'probe', hours(48))]);
    const now = T0 + 2 * DAY_MS;
    await store.prune(now - DAY_MS);
    const range = { from: T0 + 30_000, to: T0 + 330_000, limit: 100, descending: false };
    const chart = await ask(store, probe, { device: 'd', stream: 'probe', ...range, points: 100 }, now);
    expect(chart.resolution).toEqual({ source: '1m', everyMs: 60_000 });
    expect((await rowsOf(chart)).map(({ ts }) => (ts - T0) / 60_000)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('a late reading whose window lost its readings does not spoil what is known of it', async () => {
    await open({ rollups: [MINUTES, HOURS], rawKeepMs: DAY_MS });
    await store.write([frameOf('d', 'probe', hours(48))]);
    const now = T0 + 2 * DAY_MS;
    await store.prune(now - DAY_MS);
    await store.write([frameOf('d', 'probe', [{ ts: T0 + 5, turns: 1 }])]);
    await store.rollups!.roll(now);
    expect(await counts(60_000, now)).toMatchObject({ rows: 2_880, sum: 17_280, source: '1m' });
  });

  it('readings of a window stay as long as the longest window that begins before them', async () => {
    await open({ rollups: [MINUTES, HOURS], rawKeepMs: DAY_MS });
    await store.write([frameOf('d', 'probe', hours(3))]);
    await store.prune(T0 + 1.5 * HOUR_MS);
    expect(await store.query({ device: 'd', stream: 'probe', from: T0, to: T0 + DAY_MS, limit: 2_000 })).toHaveLength(
      720,
    );
  });

  it('a roll-up that is new is filled from the readings that are there', async () => {
    await open();
    await store.write([frameOf('d', 'probe', hours(5)), frameOf('e', 'probe', hours(1))]);
    await store.close();
    await open({ rollups: [HOURS] });
    const now = T0 + DAY_MS;
    expect(await counts(HOUR_MS, now)).toMatchObject({ rows: 5, sum: 1_800, source: 'raw' });
    await store.rollups!.roll(now);
    expect(await counts(HOUR_MS, now)).toMatchObject({ rows: 5, sum: 1_800, source: '1h' });
    expect(await counts(HOUR_MS, now, { device: 'e' })).toMatchObject({ rows: 1, sum: 360, source: '1h' });
  });

  it('what was not summed up yet is summed up after a restart', async () => {
    await open({ rollups: [MINUTES] });
    await store.write([frameOf('d', 'probe', hours(2))]);
    await store.close();
    await open({ rollups: [MINUTES] });
    expect(await store.rollups!.roll(T0 + DAY_MS)).toBe(120);
    expect(await store.rollups!.roll(T0 + DAY_MS)).toBe(0);
  });
});

describe('in InfluxDB', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd();
  });
  afterAll(() => influxd.remove());

  const everything = { device: 'd', stream: 'probe', from: 0, limit: 10 };
  const open = (options: Partial<InfluxOptions> = {}) =>
    createInfluxStore({
      url: influxd.url,
      database: 'telemetry',
      retentionPolicy: 'hub',
      retentionDays: 0,
      timeoutMs: 20_000,
      streams,
      log: quiet,
      ...options,
    });

  it('the server sums the newest windows up by itself, for as long as each is kept', async () => {
    const seconds = { name: '1s', everyMs: 1_000, keepMs: DAY_MS };
    const store = open({ rollups: [seconds, HOURS] });
    const now = Date.now();
    await store.write([
      frameOf('d', 'probe', [
        { ts: now, level: 1 },
        { ts: now + 1, level: 2 },
      ]),
    ]);
    const [policies] = await influxd.query('SHOW RETENTION POLICIES ON telemetry');
    const durations = policies!.values.map(([name, duration]) => [name, duration]);
    expect(durations).toEqual(
      expect.arrayContaining([
        ['hub_1s', '24h0m0s'],
        ['hub_1h', '0s'],
      ]),
    );
    const summed = () =>
      store.query({ ...everything, to: now + 60_000, rollup: seconds, buckets: { everyMs: DAY_MS, fn: 'count' } });
    await expect.poll(summed, { interval: 250 }).toMatchObject([{ level: 2 }]);
    await store.close();
    const again = open({ rollups: [{ ...seconds, keepMs: 2 * DAY_MS }] });
    await again.query({ ...everything, to: 1 });
    const [changed] = await influxd.query('SHOW RETENTION POLICIES ON telemetry');
    expect(changed!.values.find(([name]) => name === 'hub_1s')?.[1]).toBe('48h0m0s');
    await again.close();
  });

  it('a roll-up that is new is filled from the readings that are there, and its query follows the schema', async () => {
    const before = open({ database: 'later' });
    await before.write([frameOf('d', 'probe', hours(3))]);
    await before.close();
    const narrow = new Map([['probe', { ...probe, fields: new Map([...probe.fields].slice(0, 2)) }]]);
    const first = open({ database: 'later', rollups: [HOURS], streams: narrow });
    await first.query({ ...everything, to: 1 });
    await first.close();
    const store = open({ database: 'later', rollups: [HOURS, { ...HOURS, name: '2h', everyMs: 2 * HOUR_MS }] });
    await store.query({ ...everything, to: 1 });
    const queries = await influxd.query('SHOW CONTINUOUS QUERIES', 'later');
    expect(JSON.stringify(queries)).toContain('turns.count');
    await store.rollups!.roll(Date.now());
    const rollup = store.rollups!.list[1]!;
    const to = T0 + DAY_MS;
    const rows = await store.query({ ...everything, to, rollup, buckets: { everyMs: rollup.everyMs, fn: 'count' } });
    expect(rows).toEqual([
      { ts: T0, turns: 720 },
      { ts: T0 + 2 * HOUR_MS, turns: 360 },
    ]);
    await store.close();
  });
});
