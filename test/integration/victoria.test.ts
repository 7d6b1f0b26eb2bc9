/** The same write path against a second real server of the protocol: VictoriaMetrics. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import { createInfluxStore } from '../../hub/telemetry/store.influx.ts';
import type { TelemetryStore } from '../../hub/telemetry/store.ts';
import { frameOf } from '../helpers/frames.ts';
import { quiet } from '../helpers/log.ts';
import { streams } from '../helpers/streams.ts';
import { startVictoria, type Victoria } from '../helpers/victoria.ts';

/** The last days: it keeps no readings of the future. */
const START = Date.now() - 86_400_000;
let victoria: Victoria;
let store: TelemetryStore;

beforeAll(async () => {
  victoria = await startVictoria();
  store = createInfluxStore({
    ...{ url: victoria.url, database: 'telemetry', retentionPolicy: 'hub', retentionDays: 0, timeoutMs: 5_000 },
    ...{ streams, log: quiet },
  });
});

afterAll(async () => {
  await store?.close();
  await victoria?.remove();
});

const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

it('takes numbers, with device, tags and database as labels', async () => {
  const readings = Array.from({ length: 1_000 }, (_, index) => ({ ts: START + index, level: index / 4, mode: 'b c' }));
  expect(await store.write([frameOf('meter-7', 'probe', readings)])).toEqual([]);
  const labels = { device: 'meter-7', mode: 'b c', db: 'telemetry' };
  const values = await victoria.valuesOf('probe_level', labels);
  expect(values).toEqual(new Map(readings.map(({ ts, level }) => [ts, level])));
});

it('takes the same readings again as the same', async () => {
  const frames = [
    frameOf('twice', 'probe', [
      { ts: START, turns: 1 },
      { ts: START + 1, turns: 2 },
    ]),
  ];
  await store.write(frames);
  await store.write(frames);
  expect([...(await victoria.valuesOf('probe_turns', { device: 'twice' })).values()]).toEqual([1, 2]);
});

it('tells when it was restarted, and is unavailable while it is away', async () => {
  const first = await store.incarnation!();
  expect(first).toMatch(/^\d+(\.\d+)?$/);
  // It tells its start to the second only.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await victoria.kill();
  expect(await outcome(store.write([frameOf('d', 'probe', [{ ts: START, turns: 1 }])]))).toBeInstanceOf(Unavailable);
  await victoria.start();
  expect(await store.incarnation!()).not.toBe(first);
  expect(await store.write([frameOf('d', 'probe', [{ ts: START, turns: 1 }])])).toEqual([]);
});

it('answers no queries of the hub, which says so instead of taking its answer for an empty store', async () => {
  const all = { device: 'meter-7', stream: 'probe', from: START, to: START + 1_000, limit: 10 };
  const questions = [() => store.query(all), () => store.countByMinute!('probe', START, START + 60_000)];
  for (const ask of questions) {
    expect(await outcome(ask())).toMatchObject({ stalled: true, message: expect.stringContaining('no queries') });
  }
});

it('makes no roll-ups, which the hub says once, and takes readings all the same', async () => {
  const warnings: string[] = [];
  const summing = createInfluxStore({
    ...{ url: victoria.url, database: 'telemetry', retentionPolicy: 'hub', retentionDays: 0, timeoutMs: 5_000 },
    ...{ streams, log: { ...quiet, warn: (_: object, message: string) => void warnings.push(message) } },
    rollups: [{ name: '1m', everyMs: 60_000, keepMs: 0 }],
  });
  for (const turns of [1, 2])
    expect(await summing.write([frameOf('e', 'probe', [{ ts: START + turns, turns }])])).toEqual([]);
  expect(await summing.rollups!.roll(Date.now())).toBe(0);
  expect(summing.rollups!.list).toEqual([]);
  expect(warnings).toEqual(['InfluxDB makes no roll-ups: answers come from readings']);
  await summing.close();
});
