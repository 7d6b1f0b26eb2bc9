/** I3: a server that is slow, cut off, refusing or full costs nothing that was acknowledged, and no acks. */
import { afterEach, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { ledgerDevice } from '../helpers/ledger.ts';
import { seededRandom } from '../helpers/random.ts';
import { mountSmallDisk } from '../helpers/small-disk.ts';
import { balanceOf, careOf } from '../helpers/stored.ts';
import { startWeatherProxy, type Weather } from '../helpers/weather-proxy.ts';

const SEED = Number(process.env.TEST_SEED ?? 20_261_121);
const NOTHING = { lost: 0, phantom: 0, duplicated: 0 };
const PACE = { interval: 300 };
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startHub(url: string): Promise<TestHub> {
  const hub = await startTestHub({
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: url,
    HUB_STORE__TIMEOUT_MS: '500',
    HUB_STORE__BATCH_READINGS: '500',
    HUB_LIMITS__READINGS_PER_SECOND: '100000',
  });
  cleanUps.push(() => hub.dispose());
  return hub;
}

async function startServer(dir?: string): Promise<Influxd> {
  const influxd = await startInfluxd(dir === undefined ? {} : { dir });
  cleanUps.push(() => influxd.remove());
  return influxd;
}

it('loses and refuses nothing in any weather between hub and server', async () => {
  const weathers: Weather[] = [
    { kind: 'slow', ms: 300 },
    { kind: 'slow', ms: 900 },
    { kind: 'deaf' },
    { kind: 'cut-request', bytes: 30 },
    { kind: 'cut-request', bytes: 600 },
    { kind: 'cut-answer' },
    { kind: 'answer', status: 500, body: '{"error":"timeout"}' },
    { kind: 'answer', status: 503, headers: { 'retry-after': '1' } },
    { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
    { kind: 'answer', status: 502, body: '<html>' },
  ];
  const random = seededRandom(SEED);
  const influxd = await startServer();
  const proxy = await startWeatherProxy(influxd.url);
  cleanUps.push(() => proxy.close());
  const hub = await startHub(proxy.url);
  const device = await ledgerDevice(hub, 'w', Date.now() - 86_400_000);
  cleanUps.push(() => device.stop());
  const stream = setInterval(() => device.sendFrame(5), 5);
  for (const weather of weathers.toSorted(() => random() - 0.5)) {
    proxy.weather = weather;
    const before = proxy.counts[weather.kind];
    await expect.poll(() => proxy.counts[weather.kind], PACE).toBeGreaterThan(before);
    await new Promise((resolve) => setTimeout(resolve, 300));
    proxy.weather = { kind: 'fair' };
    await expect.poll(async () => (await careOf(hub)).state, PACE).toMatch(/ok|waiting/);
  }
  clearInterval(stream);
  await device.settled(10_000);
  await expect.poll(() => balanceOf(hub, [device]), { ...PACE, message: `seed ${SEED}` }).toEqual(NOTHING);
  expect(await careOf(hub)).toMatchObject({ refused: 0, restarts: 0 });
});

it('waits while the disk of the server is full, and loses nothing', async () => {
  const disk = await mountSmallDisk(48 * 2 ** 20);
  cleanUps.push(() => disk.unmount());
  const influxd = await startServer(disk.path);
  const hub = await startHub(influxd.url);
  const device = await ledgerDevice(hub, 'f', Date.now() - 86_400_000);
  cleanUps.push(() => device.stop());
  const send = async (frames: number) => {
    for (let frame = 0; frame < frames; frame++) device.sendFrame(20);
    await device.settled(20_000);
  };
  await send(50);
  await expect.poll(async () => (await careOf(hub)).lagFrames, PACE).toBe(0);
  disk.fill();
  await send(500);
  await expect
    .poll(() => careOf(hub), PACE)
    .toMatchObject({ state: 'stalled', lastError: expect.stringContaining('no space left') });
  expect((await careOf(hub)).refused).toBe(0);
  disk.free();
  // InfluxDB 1.x takes nothing until it is restarted, and reads its log only up to the place where it broke.
  await influxd.kill();
  await influxd.start();
  await expect.poll(async () => (await careOf(hub)).lagFrames, PACE).toBe(0);
  await expect.poll(async () => (await careOf(hub)).restarts, PACE).toBe(1);
  await expect.poll(async () => (await careOf(hub)).leftFrames, PACE).toBe(0);
  expect(await balanceOf(hub, [device])).toEqual(NOTHING);
  expect((await careOf(hub)).refused).toBe(0);
});

it('goes on when a paused server wakes up, also in the middle of a replay', async () => {
  const influxd = await startServer();
  const hub = await startHub(influxd.url);
  const device = await ledgerDevice(hub, 'p', Date.now() - 86_400_000);
  cleanUps.push(() => device.stop());
  for (let frame = 0; frame < 1_000; frame++) device.sendFrame(20);
  await device.settled(20_000);
  await expect.poll(async () => (await careOf(hub)).lagFrames, PACE).toBe(0);
  await expect
    .poll(async () => (await hub.call<{ store: { replay: object } }>('GET', '/v1/status')).store.replay, PACE)
    .toMatchObject({ tells: true });
  await influxd.kill();
  await influxd.start();
  await influxd.query('DROP MEASUREMENT environment', 'telemetry');
  await expect.poll(async () => (await careOf(hub)).replayed, { interval: 20 }).toBeGreaterThan(0);
  influxd.pause();
  for (let frame = 0; frame < 10; frame++) device.sendFrame(20);
  await device.settled(10_000);
  await expect.poll(async () => (await careOf(hub)).state, PACE).toBe('retrying');
  influxd.resume();
  await expect.poll(() => balanceOf(hub, [device]), PACE).toEqual(NOTHING);
});
