/** InfluxDB away for a while: acks go on, nothing is lost, the lag shows, and it catches up. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { ledgerDevice } from '../helpers/ledger.ts';
import { connectRaw } from '../helpers/raw-device.ts';

let influxd: Influxd;
let hub: TestHub;

beforeAll(async () => {
  influxd = await startInfluxd();
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url, HUB_STORE__TIMEOUT_MS: '1000' });
});

afterAll(async () => {
  await hub.dispose();
  await influxd.remove();
});

const storeStatus = async () => {
  const { sinks } = await hub.call<{ sinks: { name: string; state: string; lagFrames: number }[] }>(
    'GET',
    '/v1/status',
  );
  return sinks.find(({ name }) => name === 'store')!;
};
const countOf = async (device: string) => {
  const rows = await influxd.query(`SELECT count(light) FROM environment WHERE device = '${device}'`, 'telemetry');
  return rows[0]?.values[0]?.[1];
};

/** What `hub status` prints. */
const statusAsShown = () =>
  execFileSync(process.execPath, ['hub/main.ts', 'status', '--data', hub.dataDir], { encoding: 'utf8' });

it.each([
  ['stopped', () => influxd.stop(), () => influxd.start()],
  ['killed', () => influxd.kill(), () => influxd.start()],
  ['paused', async () => influxd.pause(), async () => influxd.resume()],
])('acknowledges on while InfluxDB is %s, shows the lag, and catches up', async (how, down, up) => {
  const device = await ledgerDevice(hub, `d-${how}`, Date.now() - 3_600_000);
  const send = async (frames: number) => {
    for (let frame = 0; frame < frames; frame++) device.sendFrame(10);
    await device.settled(10_000);
  };
  await send(20);
  await expect.poll(() => countOf(device.id)).toBe(200);
  await down();
  await send(50);
  await expect.poll(async () => (await storeStatus()).state).toBe('retrying');
  expect((await storeStatus()).lagFrames).toBeGreaterThanOrEqual(50);
  expect(statusAsShown()).toMatch(/^store +retrying +\d+ +0 +\d+ frames.*\S/m);
  expect((await fetch(`${hub.api}/readyz`)).status).toBe(200);
  const metrics = await (
    await fetch(`${hub.api}/metrics`, { headers: { authorization: `Bearer ${hub.adminToken}` } })
  ).text();
  expect(Number(/hub_sink_lag_frames\{sink="store"\} (\d+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(50);
  await up();
  await expect.poll(() => countOf(device.id), { interval: 200 }).toBe(700);
  await expect.poll(async () => (await storeStatus()).lagFrames).toBe(0);
  await device.stop();
});

it('tells the last reading of each stream after a restart of the hub, though only one has spoken since', async () => {
  const ts = Date.now() - 60_000;
  let device = await connectRaw(hub, { token: await hub.addDevice('quiet') });
  const say = async (seq: number, stream: string, reading: object) => {
    device.say({ type: 'telemetry', seq, stream, readings: [reading] });
    expect(await device.next()).toEqual({ type: 'ack', seq });
  };
  await say(1, 'environment', { ts, temperature: 21 });
  await say(2, 'power', { ts, power: 3.5 });
  await expect.poll(async () => (await storeStatus()).lagFrames).toBe(0);
  const { token } = await hub.call<{ token: string }>('POST', '/v1/devices/quiet/tokens', {});
  await hub.kill();
  await hub.start();
  device = await connectRaw(hub, { token });
  await say(1, 'power', { ts: ts + 1_000, power: 4 });
  const { last } = await hub.call<{ last: object }>('GET', '/v1/devices/quiet');
  expect(last).toEqual({ environment: { ts, temperature: 21 }, power: { ts: ts + 1_000, power: 4 } });
  device.close();
});
