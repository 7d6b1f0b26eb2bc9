/** Refused readings: kept, mended by a new schema, sent up again without loss over kills, and refused with a word when full. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { QuarantinedReading } from '../../hub/telemetry/quarantine.ts';
import { runHub } from '../helpers/cli.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { seededRandom } from '../helpers/random.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const SEED = Number(process.env.TEST_SEED ?? 20_261_121);
const READINGS = 2_000;

let hub: TestHub | undefined;
let influxd: Influxd | undefined;
let schemas: string | undefined;

afterEach(async () => {
  await hub?.dispose();
  await influxd?.remove();
  if (schemas) rmSync(schemas, { recursive: true });
  hub = influxd = schemas = undefined;
});

const refused = (query = '') =>
  hub!
    .call<{ readings: QuarantinedReading[] }>('GET', `/v1/quarantine?limit=1000${query}`)
    .then((page) => page.readings);
const replay = (...args: string[]) => runHub(['quarantine', 'replay', '--data', hub!.dataDir, '--json', ...args]);
const rows = async (device: string, stream: string, from: number) => {
  const path = `/v1/devices/${device}/telemetry?stream=${stream}&from=${from}&order=asc&limit=10000`;
  return (await hub!.call<{ rows: { ts: number }[] }>('GET', path)).rows;
};

/** A folder of schemas with the stream `weather`, whose rain may be so much. */
function writeWeather(maximum: number, soil?: object) {
  schemas ??= mkdtempSync(join(tmpdir(), 'schemas-'));
  mkdirSync(join(schemas, 'telemetry'), { recursive: true });
  const weather = { type: 'object', additionalProperties: false, properties: { rain: { type: 'number', maximum } } };
  writeFileSync(join(schemas, 'telemetry/weather.json'), JSON.stringify(weather));
  if (soil) writeFileSync(join(schemas, 'telemetry/soil.json'), JSON.stringify({ ...weather, properties: soil }));
  return schemas;
}

it('keeps what a schema refuses until the schema is mended, then stores it with the times it had', async () => {
  hub = await startTestHub({ HUB_SCHEMAS__DIR: writeWeather(10) });
  const device = await connectRaw(hub, { token: await hub.addDevice('w') });
  const start = Date.now() - 1_000;
  device.say({ type: 'hello', epoch: 'boot' });
  await device.next();
  const readings = [{ ts: start, rain: 50 }, { rain: 60 }, { ts: start + 1, rain: 5 }, { rain: 'much' }];
  device.say({ type: 'telemetry', seq: 1, stream: 'weather', readings });
  const wet = [{ wet: 1 }, { wet: 2 }, { wet: 3, age: 500 }];
  device.say({ type: 'telemetry', seq: 2, stream: 'soil', readings: wet });
  await expect.poll(async () => refused()).toHaveLength(6);
  const [oldest] = (await refused()).toReversed();
  expect(await hub.call('GET', `/v1/quarantine/${oldest!.id}`)).toEqual(oldest);
  expect(oldest).toMatchObject({ device: 'w', stream: 'weather', index: 0, code: 'maximum', reading: readings[0] });
  device.close();
  const shown = () => hub!.call<{ lastSeenAt: number; presence: { state: string } }>('GET', '/v1/devices/w');
  await expect.poll(async () => (await shown()).presence.state).toBe('offline');
  const { lastSeenAt } = await shown();

  expect(await replay('--device', 'w')).toMatchObject({ code: 1, stdout: expect.stringContaining('"refused": 6') });
  expect((await refused('&stream=weather')).map(({ code, triedAt }) => [code, typeof triedAt])).toEqual([
    ['type', 'number'],
    ['maximum', 'number'],
    ['maximum', 'number'],
  ]);
  await hub.stop();
  writeWeather(100, { wet: { type: 'integer' } });
  await hub.start();
  expect(await replay('--all')).toMatchObject({ code: 1, stdout: '{\n  "replayed": 5,\n  "refused": 1\n}\n' });
  expect(await refused()).toMatchObject([{ reading: { rain: 'much' }, code: 'type', path: '/rain' }]);
  await expect.poll(() => rows('w', 'weather', start - 1)).toHaveLength(3);
  const rain = await rows('w', 'weather', start - 1);
  expect(rain.slice(0, 2)).toEqual([
    { ts: start, rain: 50 },
    { ts: start + 1, rain: 5 },
  ]);
  expect(rain[2]).toMatchObject({ rain: 60 });
  expect(Math.abs(rain[2]!.ts - oldest!.receivedAt)).toBeLessThan(1);
  await expect.poll(() => rows('w', 'soil', start - 1_000)).toHaveLength(3);
  expect((await rows('w', 'soil', start - 1_000))[0]).toMatchObject({ wet: 3 });
  // It was no sign of life.
  expect(await shown()).toMatchObject({ lastSeenAt, presence: { state: 'offline' } });
  const drop = await runHub(['quarantine', 'drop', '--device', 'w', '--yes', '--data', hub.dataDir]);
  expect(drop).toMatchObject({ code: 0, stdout: '1 dropped.\n' });
  expect(await refused()).toEqual([]);
});

it('loses and doubles nothing when the hub is killed while it sends readings up again', async () => {
  const random = seededRandom(SEED);
  hub = await startTestHub({ HUB_SCHEMAS__DIR: writeWeather(0), HUB_LIMITS__QUARANTINE_READINGS: '10000' });
  const device = await connectRaw(hub, { token: await hub.addDevice('w') });
  const start = Date.now() - 100_000;
  for (let seq = 1; seq <= READINGS / 100; seq++) {
    const readings = Array.from({ length: 100 }, (_, index) => {
      const count = (seq - 1) * 100 + index;
      return { ts: start + count, rain: 1 + count };
    });
    device.say({ type: 'telemetry', seq, stream: 'weather', readings });
  }
  const kept = async () => (await hub!.call<{ quarantine: { readings: number } }>('GET', '/v1/status')).quarantine;
  await expect.poll(kept).toMatchObject({ readings: READINGS });
  await hub.stop();
  writeWeather(READINGS);
  await hub.start();
  for (let kill = 0; kill < 5; kill++) {
    const ending = sendUp();
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 60));
    await hub.kill();
    await ending;
    await hub.start();
  }
  await sendUp();
  expect(await kept(), `seed ${SEED}`).toMatchObject({ readings: 0 });
  await expect.poll(() => rows('w', 'weather', start)).toHaveLength(READINGS);
  const expected = Array.from({ length: READINGS }, (_, count) => ({ ts: start + count, rain: 1 + count }));
  expect(await rows('w', 'weather', start), `seed ${SEED}`).toEqual(expected);

  /** Asks for small pages, until all are done or the hub is gone. */
  async function sendUp() {
    let after: number | undefined = 0;
    while (after !== undefined) {
      const page: { next?: number } = await hub!
        .call<{ next?: number }>('POST', '/v1/quarantine/replay', { all: true, after, limit: 50 })
        .catch(() => ({}));
      after = page.next;
    }
  }
});

it('takes back what InfluxDB refuses again, and lets it go when InfluxDB takes it', async () => {
  influxd = await startInfluxd();
  await influxd.query('CREATE DATABASE telemetry');
  await influxd.query('CREATE RETENTION POLICY hub ON telemetry DURATION INF REPLICATION 1 DEFAULT');
  const start = Date.now() - 1_000;
  await influxd.write('telemetry', `environment,device=other humidity="wet" ${start * 1000}`);
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url });
  const device = await connectRaw(hub, { token: await hub.addDevice('w') });
  device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ ts: start, humidity: 50 }] });
  await expect.poll(() => refused('&code=store')).toHaveLength(1);
  const [first] = await refused();
  expect(await replay('--all')).toMatchObject({ code: 0 });
  await expect.poll(() => refused('&code=store')).toHaveLength(1);
  const [second] = await refused();
  expect(second).toMatchObject({ device: 'w', stream: 'environment', reading: { ts: start, humidity: 50 } });
  expect(second!.id).toBeGreaterThan(first!.id);
  await influxd.query('DROP MEASUREMENT environment', 'telemetry');
  expect(await replay(String(second!.id))).toMatchObject({ code: 0 });
  await expect.poll(() => rows('w', 'environment', start)).toEqual([{ ts: start, humidity: 50 }]);
  expect(await refused()).toEqual([]);
});

it('holds what a store refuses in the journal when there is no room even for that, until somebody makes some', async () => {
  influxd = await startInfluxd();
  await influxd.query('CREATE DATABASE telemetry');
  await influxd.query('CREATE RETENTION POLICY hub ON telemetry DURATION INF REPLICATION 1 DEFAULT');
  const start = Date.now() - 1_000;
  await influxd.write('telemetry', `environment,device=other humidity="wet" ${start * 1000}`);
  const limits = { HUB_LIMITS__QUARANTINE_READINGS: '2' };
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url, ...limits });
  const device = await connectRaw(hub, { token: await hub.addDevice('w') });
  const say = async (seq: number, fields: object) => {
    device.say({ type: 'telemetry', seq, stream: 'environment', readings: [{ ts: start + seq, ...fields }] });
    expect(await device.next()).toEqual({ type: 'ack', seq });
  };
  for (let seq = 1; seq <= 4; seq++) {
    await say(seq, { humidity: 50 });
    await expect.poll(() => refused()).toHaveLength(seq);
  }
  await say(5, { humidity: 50 });
  await say(6, { light: 6 });
  const sinks = async () => (await hub!.call<{ sinks: { name: string; state: string }[] }>('GET', '/v1/status')).sinks;
  await expect.poll(sinks).toMatchObject([{ name: 'store', state: 'stalled' }, {}, {}]);
  await expect.poll(hub.log).toContain('limits.quarantineReadings');
  expect(await hub.call('POST', '/v1/quarantine/drop', { all: true })).toEqual({ dropped: 4 });
  await expect.poll(() => refused()).toMatchObject([{ code: 'store', reading: { ts: start + 5, humidity: 50 } }]);
  await expect.poll(() => rows('w', 'environment', start)).toEqual([{ ts: start + 6, light: 6 }]);
});

it('says to a device that a reading was not kept when the quarantine is full, alarms, and goes on', async () => {
  hub = await startTestHub({ HUB_LIMITS__QUARANTINE_READINGS: '8' });
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    const device = await connectRaw(hub, { token: await hub.addDevice(id) });
    for (let seq = 1; seq <= 3; seq++) {
      const readings = [{ ts: Date.now(), power: 'much' }, { power: seq }];
      device.say({ type: 'telemetry', seq, stream: 'power', readings });
      const isKept = seq <= 2 && id !== 'e';
      expect(await device.next()).toMatchObject({
        type: 'reject',
        seq,
        errors: [{ index: 0, code: isKept ? 'type' : 'quarantine-full' }],
      });
      expect(await device.next()).toEqual({ type: 'ack', seq });
    }
    device.close();
  }
  await expect
    .poll(async () => (await hub!.call<{ quarantine: object }>('GET', '/v1/status')).quarantine)
    .toEqual({ readings: 8, limitReadings: 8, alarm: 100, dropped: 7 });
  const alarms = hub.log().match(/quarantine: (80 %|it is full)/g);
  expect(alarms).toEqual(['quarantine: 80 %', 'quarantine: it is full']);
  const status = await runHub(['status', '--data', hub.dataDir]);
  expect(status.stdout).toMatch(/^quarantine +8 readings of 8, 7 not kept; full$/m);
  const headers = { authorization: `Bearer ${hub.adminToken}` };
  const metrics = await (await fetch(`${hub.api}/metrics`, { headers })).text();
  expect(metrics).toContain('hub_quarantine_alarm_percent 100\n');
  expect(metrics).toContain('hub_quarantine_dropped_total 7\n');
});
