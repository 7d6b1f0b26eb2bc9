/** Alerts by MQTT with a real Mosquitto: what fires and what is over arrives in order, also when broker and hub are killed in between. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Alert, Notice } from '../../hub/alerts/alert.ts';
import type { ChannelStatus } from '../../hub/alerts/deliveries.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Listener, type Mosquitto, startMosquitto } from '../helpers/mosquitto.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const RULE = { id: 'hot', kind: 'field', stream: 'environment', field: 'temperature', above: 30, clear: 28 };
/** Remembers who subscribed, whatever ends it. */
const KEEPING =
  'allow_anonymous true\npersistence true\npersistence_location {dir}/\nautosave_on_changes true\nautosave_interval 1';

let broker: Mosquitto;
let hub: TestHub;
let listener: Listener;
let token: string;

beforeEach(async () => {
  broker = await startMosquitto({ config: KEEPING });
  hub = await startTestHub({
    HUB_MQTT__BROKERS: JSON.stringify([
      { name: 'site', url: broker.url, timeoutMs: 1_000 },
      // Nobody is there, which must hold up nobody.
      { name: 'gone', url: 'mqtt://127.0.0.1:1', timeoutMs: 1_000 },
    ]),
    HUB_ALERTS__RULES: JSON.stringify([RULE]),
    HUB_ALERTS__MQTT_TOPIC: 'site/alerts/{rule}/{device}/{state}',
  });
  listener = await broker.listen('site/alerts/#', ['-c', '-i', 'listener', '-x', '3600', '-t', 'site/other']);
  token = await hub.addDevice('oven');
});
afterEach(async () => {
  await broker.remove();
  await hub.dispose();
});

/** One reading, on a connection of its own. */
async function isNow(temperature: number): Promise<void> {
  const device = await connectRaw(hub, { token });
  device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ temperature }] });
  await device.next();
  device.close();
}

/** Each notice once, in the order in which it came first. */
function notices(): Notice[] {
  const all = listener.heard.map(({ payload }) => JSON.parse(payload) as Notice);
  return [...new Map(all.map((notice) => [notice.notice, notice])).values()];
}

const channel = async () =>
  (await hub.call<{ channels: ChannelStatus[] }>('GET', '/v1/alerts/channels')).channels.find(
    ({ name }) => name === 'mqtt-site',
  )!;
const alert = async () => (await hub.call<{ alerts: Alert[] }>('GET', '/v1/alerts')).alerts[0];

/** The subscription is on its disk. */
async function brokerRemembers(): Promise<void> {
  const file = join(broker.dir, 'mosquitto.db');
  const isThere = () => existsSync(file) && readFileSync(file).includes('site/alerts/#');
  await expect.poll(isThere).toBe(true);
}

it('tells what fires and what is over, on topics of its own', async () => {
  await isNow(35);
  const { payload } = await listener.until(({ topic }) => topic === 'site/alerts/hot/oven/firing');
  expect(JSON.parse(payload)).toMatchObject({ rule: 'hot', device: 'oven', state: 'firing', value: 35 });
  await isNow(20);
  await listener.until(({ topic }) => topic === 'site/alerts/hot/oven/resolved');
  expect(notices().map(({ state }) => state)).toEqual(['firing', 'resolved']);
  expect(await channel()).toMatchObject({ kind: 'mqtt', waiting: 0, delivered: 2, dropped: 0 });
});

it.each([
  ['the hub lives on', async () => {}],
  ['the hub is killed, too', () => hub.kill().then(hub.start)],
])(
  'keeps what a dead broker could not take, and tells it in order when the broker is back: %s',
  async (_, meanwhile) => {
    await isNow(35);
    await listener.until(({ topic }) => topic.endsWith('/firing'));
    await brokerRemembers();
    await broker.kill();
    await isNow(20);
    await expect.poll(async () => (await alert())?.state).toBe('resolved');
    await isNow(40);
    await expect.poll(async () => (await channel()).waiting).toBe(2);
    await expect.poll(async () => (await channel()).lastError).toBeTruthy();
    await meanwhile();
    expect(await channel()).toMatchObject({ waiting: 2, dropped: 0 });
    expect(notices()).toHaveLength(1);
    await broker.start();
    await expect
      .poll(() => notices().map(({ state, value }) => [state, value]))
      .toEqual([
        ['firing', 35],
        ['resolved', expect.anything()],
        ['firing', 40],
      ]);
    await expect.poll(async () => (await channel()).waiting).toBe(0);
    expect((await channel()).lastError).toBeUndefined();
  },
  120_000,
);
