/**
 * I4: what InfluxDB acknowledged and then lost in a crash is written again from the replay window. The long form:
 * `npm run test:influx-kills` (TEST_KILLS and TEST_SEED in the environment).
 */
import { execFileSync } from 'node:child_process';
import { rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, newestWal, startInfluxd } from '../helpers/influxd.ts';
import { type LedgerDevice, ledgerDevice } from '../helpers/ledger.ts';
import { seededRandom } from '../helpers/random.ts';
import { balanceOf, careOf } from '../helpers/stored.ts';

const KILLS = Number(process.env.TEST_KILLS ?? 5);
const SEED = Number(process.env.TEST_SEED ?? 20_261_121);
const DEVICES = 4;
const NOTHING = { lost: 0, phantom: 0, duplicated: 0 };
const PACE = { interval: 500 };

let hub: TestHub;
let influxd: Influxd;
let devices: LedgerDevice[] = [];

beforeEach(async () => {
  influxd = await startInfluxd();
  hub = await startTestHub({
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: influxd.url,
    HUB_STORE__TIMEOUT_MS: '2000',
    // Small batches and segments, so that kills and replays meet many of their borders.
    HUB_STORE__BATCH_READINGS: '200',
    HUB_JOURNAL__SEGMENT_BYTES: '65536',
    HUB_LIMITS__READINGS_PER_SECOND: '100000',
  });
  const firstTs = Date.now() - 86_400_000;
  devices = await Promise.all(Array.from({ length: DEVICES }, (_, index) => ledgerDevice(hub, `i${index}`, firstTs)));
});

afterEach(async () => {
  for (const device of devices.splice(0)) await device.stop();
  await hub?.dispose();
  await influxd?.remove();
});

const settled = () => Promise.all(devices.map((device) => device.settled(60_000)));
const untilDelivered = () => expect.poll(async () => (await careOf(hub)).lagFrames, PACE).toBe(0);

it('brings back what a server lost while the hub was away', async () => {
  for (let frame = 0; frame < 50; frame++) for (const device of devices) device.sendFrame(10);
  await settled();
  await untilDelivered();
  // The hub asks every five seconds; it must have met the server that is killed.
  await expect
    .poll(async () => (await hub.call<{ store: { replay: object } }>('GET', '/v1/status')).store.replay, PACE)
    .toMatchObject({ tells: true });
  await hub.stop();
  await influxd.kill();
  rmSync(join(influxd.dir, 'wal/telemetry'), { recursive: true });
  await influxd.start();
  expect(await influxd.query('SELECT count(light) FROM environment', 'telemetry')).toEqual([]);
  await hub.start();
  await expect.poll(() => balanceOf(hub, devices), PACE).toEqual(NOTHING);
  expect(await careOf(hub)).toMatchObject({ restarts: 1, replayed: 50 * 10 * DEVICES });
});

it('fills a store again when somebody asks for it', async () => {
  for (let frame = 0; frame < 20; frame++) for (const device of devices) device.sendFrame(10);
  await settled();
  await untilDelivered();
  await influxd.query('DROP MEASUREMENT environment', 'telemetry');
  expect(await balanceOf(hub, devices)).toEqual({ ...NOTHING, lost: 20 * 10 * DEVICES });
  const run = (...args: string[]) =>
    execFileSync(process.execPath, ['hub/main.ts', ...args, '--data', hub.dataDir], { encoding: 'utf8' });
  expect(run('store', 'replay')).toMatch(/^\d+ frames are written again/);
  await expect.poll(() => balanceOf(hub, devices), PACE).toEqual(NOTHING);
  await expect.poll(() => run('status'), PACE).toMatch(/^store +800 readings written again$/m);
});

it(
  `loses and invents nothing over ${KILLS} kills of InfluxDB with torn tails of its log`,
  async () => {
    const random = seededRandom(SEED);
    const stream = setInterval(() => {
      for (const device of devices) device.sendFrame(1 + Math.floor(random() * 5));
    }, 10);
    let torn = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 100 + random() * 1_500));
      await influxd.kill();
      torn += tearWal(random);
      await influxd.start();
    }
    clearInterval(stream);
    await settled();
    await untilDelivered();
    const balance = () => balanceOf(hub, devices);
    await expect.poll(balance, { ...PACE, message: `seed ${SEED}` }).toEqual(NOTHING);
    // Until the hub has seen the last restart it may replay what is there already: that must change nothing.
    await expect.poll(async () => (await careOf(hub)).leftFrames, PACE).toBe(0);
    expect(await balance(), `seed ${SEED}`).toEqual(NOTHING);
    expect(torn, 'no log was torn').toBeGreaterThan(0);
    expect(await careOf(hub)).toMatchObject({ refused: 0 });
  },
  120_000 + KILLS * 10_000,
);

/** What a power cut leaves of a log: its last bytes are gone. Resolves to how many. */
function tearWal(random: () => number): number {
  const path = newestWal(influxd, 'telemetry');
  if (path === undefined) return 0;
  const { size } = statSync(path);
  const gone = Math.min(size, 1 + Math.floor(random() * (random() < 0.5 ? 100 : size)));
  truncateSync(path, size - gone);
  return gone;
}
