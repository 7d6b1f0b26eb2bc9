/** I5: readings that InfluxDB refuses stop, drop and reorder no others, and are in the quarantine with its words. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { careOf } from '../helpers/stored.ts';

const FRAMES = 100;
const PER_FRAME = 100;
const DAY_MS = 86_400_000;

let influxd: Influxd;
let hub: TestHub;

beforeAll(async () => {
  influxd = await startInfluxd();
  await influxd.query('CREATE DATABASE telemetry');
  await influxd.query('CREATE RETENTION POLICY hub ON telemetry DURATION 48h REPLICATION 1 DEFAULT');
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url });
});

afterAll(async () => {
  await hub?.dispose();
  await influxd?.remove();
});

interface Refusal {
  message: string;
  code: string;
  reading: { ts: number };
}

it('stores 99 % of the readings when 1 % are of a wrong type or too old', async () => {
  const start = Date.now() - 3_600_000;
  // Somebody else has written text into a field that is a number for the hub.
  expect(await influxd.write('telemetry', `environment,device=other humidity="wet" ${start * 1000}`)).toBe(204);
  const token = await hub.addDevice('poisoner');
  let acked = 0;
  const device = new Device(createConnect({ url: hub.gateway, ca: hub.ca }), { token }, { onAck: () => acked++ });
  device.start();
  const good: number[] = [];
  const bad: { conflict: number[]; old: number[] } = { conflict: [], old: [] };
  for (let frame = 0; frame < FRAMES; frame++) {
    const readings = Array.from({ length: PER_FRAME }, (_, index) => {
      const ts = start + frame * PER_FRAME + index;
      const kind = index !== frame % PER_FRAME ? 'good' : frame % 2 === 0 ? 'conflict' : 'old';
      if (kind === 'good') good.push(ts);
      else bad[kind].push(kind === 'old' ? ts - 3 * DAY_MS : ts);
      if (kind === 'conflict') return { ts, light: frame, humidity: 50 };
      return { ts: kind === 'old' ? ts - 3 * DAY_MS : ts, light: frame };
    });
    device.send('environment', readings);
  }
  await expect.poll(() => acked).toBe(FRAMES);
  await expect.poll(async () => (await careOf(hub)).lagFrames).toBe(0);
  await device.stop();
  const [series] = await influxd.query("SELECT light FROM environment WHERE device = 'poisoner'", 'telemetry');
  expect(series!.values.map(([time]) => Number(time) / 1000)).toEqual(good);
  const { readings } = await hub.call<{ readings: Refusal[] }>('GET', '/v1/quarantine?limit=1000');
  const timesOf = (word: string) =>
    readings
      .filter(({ message, code }) => code === 'store' && message.includes(word))
      .map(({ reading }) => reading.ts)
      .toSorted();
  expect(timesOf('field type conflict')).toEqual(bad.conflict);
  expect(timesOf('retention policy')).toEqual(bad.old);
  expect(readings).toHaveLength(FRAMES);
  expect(await careOf(hub)).toMatchObject({ refused: FRAMES });
  await expect.poll(hub.log).toContain('InfluxDB keeps readings for a shorter time than store.retentionDays says');
});
