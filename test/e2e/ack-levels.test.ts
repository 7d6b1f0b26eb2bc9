/** What an ack means: `journaled` leaves while the store is away, `stored` does not leave before the store has the reading. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { connectRaw, type RawDevice } from '../helpers/raw-device.ts';

let influxd: Influxd;
let hub: TestHub;

beforeAll(async () => {
  influxd = await startInfluxd();
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url, HUB_STORE__TIMEOUT_MS: '1000' });
});
afterAll(async () => {
  await hub?.dispose();
  await influxd?.remove();
});

const start = Date.now() - 1_000;

async function say(device: RawDevice, seq: number) {
  device.say({ type: 'telemetry', seq, stream: 'environment', readings: [{ ts: start + seq, light: seq }] });
}

async function connect(token: string, ack: string | undefined) {
  const device = await connectRaw(hub, { token });
  device.say({ type: 'hello', epoch: 'boot', ...(ack && { ack }) });
  return { device, welcome: await device.next() };
}

const stored = async (id: string) => {
  const [series] = await influxd.query(`SELECT light FROM environment WHERE device = '${id}'`, 'telemetry');
  return series?.values.map(([, light]) => light) ?? [];
};
const silent = (device: RawDevice) =>
  Promise.race([
    device.next().then((answer) => JSON.stringify(answer)),
    new Promise((resolve) => setTimeout(() => resolve('nothing'), 1_500)),
  ]);

it.each([['journaled'], [undefined]])('acknowledges what is journaled while the store is away (%s)', async (ack) => {
  const id = `j-${ack}`;
  const { device } = await connect(await hub.addDevice(id), ack);
  await influxd.stop();
  for (const seq of [1, 2, 3]) {
    await say(device, seq);
    expect(await device.next()).toEqual({ type: 'ack', seq });
  }
  await hub.kill();
  await influxd.start();
  expect(await stored(id)).toEqual([]);
  await hub.start();
  await expect.poll(() => stored(id)).toEqual([1, 2, 3]);
});

it('acknowledges what is stored only when the store has it, also over a kill of the hub', async () => {
  const token = await hub.addDevice('s');
  const { device } = await connect(token, 'stored');
  await say(device, 1);
  expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
  expect(await stored('s')).toEqual([1]);
  await influxd.stop();
  await say(device, 2);
  expect(await silent(device)).toBe('nothing');
  await hub.kill();
  await hub.start();
  // It is durable and not stored: what the device may forget is what it was told.
  const again = await connect(token, 'stored');
  expect(Number(again.welcome.resume)).toBeLessThan(2);
  await say(again.device, 2);
  expect(await silent(again.device)).toBe('nothing');
  await influxd.start();
  await expect.poll(() => stored('s')).toEqual([1, 2]);
  again.device.close();
  const last = await connect(token, 'stored');
  await say(last.device, 3);
  let answer = await last.device.next();
  while (answer.seq !== 3) answer = await last.device.next();
  expect(answer).toEqual({ type: 'ack', seq: 3 });
  expect(await stored('s')).toEqual([1, 2, 3]);
  last.device.close();
});
