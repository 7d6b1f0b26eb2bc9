/** A hub whose password InfluxDB does not take: devices notice nothing, operators hear of it, and nothing is lost or quarantined. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { HubStatus } from '../../hub/api/status.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { type LedgerDevice, ledgerDevice } from '../helpers/ledger.ts';
import { balanceOf } from '../helpers/stored.ts';

const PASSWORD = 'the right one';
const FRAMES = 50;
const PER_FRAME = 10;

let influxd: Influxd;
let hub: TestHub | undefined;

beforeAll(async () => {
  influxd = await startInfluxd({ auth: true });
});

afterEach(async () => {
  await hub?.dispose();
});

afterAll(() => influxd.remove());

const statusOf = (each: TestHub) => each.call<HubStatus>('GET', '/v1/status');
const storeOf = async (each: TestHub) => (await statusOf(each)).sinks.find(({ name }) => name === 'store')!;

async function makeUser(name: string): Promise<void> {
  await influxd.query(`CREATE USER ${name} WITH PASSWORD '${PASSWORD}' WITH ALL PRIVILEGES`);
}

async function sendAll(device: LedgerDevice): Promise<void> {
  for (let frame = 0; frame < FRAMES; frame++) device.sendFrame(PER_FRAME);
  await device.settled(20_000);
}

it.each([
  ['the hub is given the right password', 'mistyped', (): Promise<void> => makeUser('mistyped')],
  ['the user is made in InfluxDB', 'nobody', (): Promise<void> => Promise.resolve()],
])('stalls with an alarm while acks go on, until %s', async (_, user, before) => {
  await before();
  const isMistyped = user === 'mistyped';
  const env = {
    ...{ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url, HUB_STORE__DATABASE: user },
    ...{ HUB_STORE__USERNAME: user, HUB_STORE__PASSWORD: isMistyped ? 'a wrong one' : PASSWORD },
  };
  const each = await startTestHub(env);
  hub = each;
  const device = await ledgerDevice(each, 'd1', Date.now() - 3_600_000);
  await sendAll(device);
  await expect.poll(async () => (await storeOf(each)).state).toBe('stalled');
  expect(await storeOf(each)).toMatchObject({ written: 0, refused: 0, lastError: expect.stringContaining('auth') });
  const alarms = each
    .log()
    .split('\n')
    .filter((line) => line.includes('a sink is stalled until somebody acts'));
  expect(alarms.map((line) => JSON.parse(line))).toEqual([expect.objectContaining({ level: 50, sink: 'store' })]);
  await sendAll(device);
  expect((await statusOf(each)).quarantine.readings).toBe(0);
  expect(each.log()).not.toContain(env.HUB_STORE__PASSWORD);
  if (isMistyped) {
    await each.stop();
    env.HUB_STORE__PASSWORD = PASSWORD;
    await each.start();
  } else await makeUser(user);
  // A stalled sink tries again every 30 s.
  await expect.poll(async () => (await storeOf(each)).lagFrames, { interval: 200 }).toBe(0);
  expect(await storeOf(each)).toMatchObject({ state: expect.stringMatching(/^(ok|waiting)$/), refused: 0 });
  expect(await balanceOf(each, [device])).toEqual({ lost: 0, phantom: 0, duplicated: 0 });
  expect((await statusOf(each)).quarantine.readings).toBe(0);
  await device.stop();
});
