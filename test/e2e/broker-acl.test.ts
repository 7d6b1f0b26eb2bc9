/** The access list that docs/mqtt.md shows, on a real Mosquitto: the hub can do its work with it, and nobody can use the hub. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { BridgeStatus } from '../../hub/bridge/status.ts';
import { startTestHub } from '../helpers/hub.ts';
import { startMosquitto } from '../helpers/mosquitto.ts';
import { startPaho } from '../helpers/paho.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const DOCS = readFileSync(join(import.meta.dirname, '../../docs/mqtt.md'), 'utf8');
const ACL = /```conf\n(# acl: [\s\S]*?)```/.exec(DOCS)![1]!;
const PASSWORD = 'fox-in-the-snow';
/** That password, as mosquitto_passwd writes it. */
const HASH =
  '$7$101$RySTNqYihX9DbZ7V$jmPIJhVyiNUjUKgvtEUfZppAxIFK5N8cvGp8+4D3zJHSCaeU4r65/O6pXVn9LNePrvS/BaPKp1T0eab+1CWwvQ==';
const USERS = ['hub', 'panel', 'viewer'];
const as = (user: string) => ['-u', user, '-P', PASSWORD];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start() {
  const mosquitto = await startMosquitto({
    config: 'allow_anonymous false\npassword_file {dir}/passwd\nacl_file {dir}/acl',
    files: { acl: ACL, passwd: USERS.map((user) => `${user}:${HASH}\n`).join('') },
  });
  cleanups.push(() => mosquitto.remove());
  const broker = { url: mosquitto.url, username: 'hub', password: PASSWORD };
  const hub = await startTestHub({
    HUB_MQTT__BROKERS: JSON.stringify([broker]),
    HUB_MQTT__HOME_ASSISTANT__ENABLED: 'true',
    HUB_MQTT__SPARKPLUG__ENABLED: 'true',
  });
  cleanups.push(() => hub.dispose());
  const bridge = () => hub.call<BridgeStatus>('GET', '/v1/bridge');
  const states = async () => (await bridge()).brokers.map(({ state }) => state);
  await expect.poll(states).toEqual(['connected', 'connected']);
  const device = await connectRaw(hub, { token: await hub.addDevice('meter-7') });
  const panel = await startPaho(mosquitto.port, 5, 'panel', { user: 'panel', password: PASSWORD });
  cleanups.push(() => panel.close());
  return { mosquitto, hub, device, panel, bridge };
}

it('lets the hub publish, be commanded and answer', async () => {
  const { mosquitto, device, panel, bridge } = await start();
  await panel.subscribe('answers/panel/#');
  const viewer = await mosquitto.listen('hub/#', as('viewer'));
  device.say({ type: 'hello', epoch: 'e1' });
  device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ ts: Date.now(), light: 5 }] });
  await viewer.until(({ topic }) => topic === 'hub/meter-7/telemetry/environment');
  await viewer.until(({ topic, payload }) => topic === 'hub/meter-7/status' && payload === 'online');
  await viewer.until(({ topic, payload }) => topic === 'hub/$state' && payload === 'online');
  const command = { topic: 'hub/meter-7/command/set-interval', payload: '{"seconds":5}' };
  await panel.publish({ ...command, responseTopic: 'answers/panel/1' });
  for (let frame = await device.next(); ; frame = await device.next()) {
    if (frame.type !== 'command') continue;
    device.say({ type: 'result', id: frame.id, ok: true, value: { seconds: 5 } });
    break;
  }
  const answer = await panel.until(({ topic }) => topic === 'answers/panel/1');
  expect(JSON.parse(answer.payload)).toMatchObject({ state: 'succeeded', value: { seconds: 5 } });
  await viewer.until(({ topic }) => topic === 'hub/meter-7/result/set-interval');
  await expect.poll(async () => (await bridge()).brokers[0]!.announced).toBeGreaterThan(0);
  await expect.poll(async () => (await bridge()).brokers.map(({ lagFrames }) => lagFrames)).toEqual([0, 0]);
  // Nothing that the hub published was forbidden.
  expect(mosquitto.log()).not.toMatch(/Denied PUBLISH/);
});

it('keeps who may command devices from having the hub write elsewhere, and from writing in its name', async () => {
  const { mosquitto, hub, panel, bridge } = await start();
  await panel.subscribe('hub/#');
  const refused = { topic: 'hub/meter-7/command/set-interval', payload: 'often' };
  await panel.publish({ ...refused, responseTopic: 'zigbee2mqtt/bridge/request/permit_join' });
  await panel.until(({ topic }) => topic === 'hub/meter-7/result/set-interval');
  await expect.poll(() => hub.log()).toContain('the broker refused a result');
  await expect.poll(async () => (await bridge()).commands[0]!.waiting).toBe(0);
  await expect.poll(mosquitto.log).toMatch(/Denied PUBLISH from telemetry-hub-.*permit_join/);
  await panel.publish({ topic: 'hub/meter-7/telemetry/environment', payload: '{"light":7}' });
  await panel.publish({ topic: 'hub/meter-7/command/identify', payload: '{"seconds":0}' });
  await panel.until(({ topic }) => topic === 'hub/meter-7/result/identify');
  expect(panel.heard.filter(({ topic }) => topic.includes('/telemetry/'))).toEqual([]);
});
