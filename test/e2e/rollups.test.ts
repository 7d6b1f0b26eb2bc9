/**
 * Roll-ups through the whole road: two hubs are told the same readings of past hours. One has InfluxDB with roll-ups and then
 * loses the readings to their retention, the other keeps every reading in SQLite; both are asked the same questions.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const HOUR_MS = 3_600_000;
const HOURS = 6;
const EVERY_MS = 20_000;
/** Long enough ago for windows of an hour: the continuous query still works on the last ten. */
const FROM = (Math.floor(Date.now() / HOUR_MS) - 20) * HOUR_MS;
const TO = FROM + HOURS * HOUR_MS;
const RANGE = `stream=machine&from=${FROM}&to=${TO}&order=asc`;

interface Answer {
  resolution: { source: string; everyMs?: number };
  rows: Record<string, number | string>[];
}

/** Changed when the hub with InfluxDB starts again. */
const options: Record<string, string> = {
  HUB_STORE__KIND: 'influx',
  HUB_STORE__ROLLUPS: '[{"every":"1m"},{"every":"1h"}]',
};
let influxd: Influxd;
let rolled: TestHub;
let whole: TestHub;

beforeAll(async () => {
  influxd = await startInfluxd();
  options.HUB_STORE__URL = influxd.url;
  [rolled, whole] = await Promise.all([startTestHub(options), startTestHub()]);
  await Promise.all([backfill(rolled), backfill(whole)]);
});
afterAll(async () => {
  await Promise.all([rolled?.dispose(), whole?.dispose()]);
  await influxd?.remove();
});

const reading = (n: number) => ({
  ts: FROM + n * EVERY_MS,
  state: ['running', 'idle', 'fault'][n % 3],
  temperature: 20 + ((n * 37) % 101) / 7,
  cycles: n,
});

/** Resolves when every reading is in the store. */
async function backfill(hub: TestHub) {
  const device = await connectRaw(hub, { token: await hub.addDevice('press') });
  device.say({ type: 'hello', epoch: 'e', ack: 'stored' });
  await device.next();
  const frames = (HOURS * HOUR_MS) / EVERY_MS / 180;
  for (let seq = 1; seq <= frames; seq += 1) {
    const readings = Array.from({ length: 180 }, (_, n) => reading((seq - 1) * 180 + n));
    device.say({ type: 'telemetry', seq, stream: 'machine', readings });
  }
  for (let acked = 0; acked < frames; ) {
    const answer = await device.next();
    expect(answer.type).toBe('ack');
    acked = Number(answer.seq);
  }
  device.close();
}

const ask = (hub: TestHub, question: string) =>
  hub.call<Answer>('GET', `/v1/devices/press/telemetry?${RANGE}&${question}`);

/** A mean of sums differs from a mean of readings in its last digit. */
const legible = ({ rows }: Answer) =>
  rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        typeof value === 'number' ? Number(value.toPrecision(13)) : value,
      ]),
    ),
  );

/** Each question, and what the hub with InfluxDB answers it from. */
const QUESTIONS = [
  ...['mean', 'min', 'max', 'first', 'last', 'count'].map((fn) => [`every=1h&fn=${fn}`, '1h', HOUR_MS] as const),
  ['every=3h&fn=mean&fields=temperature', '1h', 3 * HOUR_MS],
  ['every=5m&fn=mean', '1m', 300_000],
  ['points=6', '1h', HOUR_MS],
  ['points=100', '1m', 300_000],
] as const;

async function expectAlike(question: string, source: string, everyMs: number) {
  const [ofRollup, ofReadings] = await Promise.all([ask(rolled, question), ask(whole, question)]);
  expect(ofRollup.resolution).toEqual({ source, everyMs });
  expect(ofReadings.resolution).toEqual({ source: 'raw', everyMs });
  expect(ofRollup.rows).toHaveLength(Math.ceil(TO / everyMs) - Math.floor(FROM / everyMs));
  expect(legible(ofRollup)).toEqual(legible(ofReadings));
}

const countOfReadings = async () =>
  (await influxd.query('SELECT count(cycles) FROM hub.machine', 'telemetry')).map(({ values }) => values[0]?.[1]);

describe('while the readings are there', () => {
  it('all of them are', async () => {
    expect(await countOfReadings()).toEqual([(TO - FROM) / EVERY_MS]);
  });

  it('what came hours late is summed up by the next run', async () => {
    const sources = () =>
      Promise.all(['1m', '1h'].map(async (every) => (await ask(rolled, `every=${every}`)).resolution.source));
    await expect.poll(sources, { timeout: 90_000, interval: 500 }).toEqual(['1m', '1h']);
  });

  it.each(QUESTIONS)('%s is answered from %s as from readings', expectAlike);
});

describe('when the readings are out of retention', () => {
  beforeAll(async () => {
    await rolled.stop();
    options.HUB_STORE__RETENTION_DAYS = '0.5';
    await rolled.start();
    for (const { columns, values } of await influxd.query('SHOW SHARDS')) {
      const at = (name: string) => columns.indexOf(name);
      for (const shard of values)
        if (shard[at('retention_policy')] === 'hub') await influxd.query(`DROP SHARD ${shard[at('id')]}`);
    }
  });

  it('the readings are gone', async () => {
    expect(await countOfReadings()).toEqual([]);
    expect((await ask(rolled, 'limit=10')).rows).toEqual([]);
  });

  it.each(QUESTIONS)('%s is answered from %s all the same', expectAlike);

  it('several devices say so too', async () => {
    const { rows } = await rolled.call<Answer>('GET', `/v1/telemetry?${RANGE}&every=1h&fn=count&fields=cycles`);
    expect(rows[0]).toEqual({ device: 'press', resolution: '1h', ts: FROM, cycles: HOUR_MS / EVERY_MS });
    expect(rows).toHaveLength(HOURS);
  });
});
