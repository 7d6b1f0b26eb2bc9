/** What devices and operators do to the hub: poison, floods, reboots, takeovers, garbage, revocations, replays. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnect } from '../device-sim/socket.ws.ts';
import { goneWithinMs } from '../test/helpers/revocation.ts';
import type { ReadingKind, TortureDevice } from './device.ts';
import type { World } from './world.ts';

const PATIENCE_MS = 60_000;
const LOOK_MS = 10;
const STAY_MS = 300;
const FLOOD_FRAMES = 150;
const FLOOD_READINGS = 100;

const oneOf = <T>({ random }: World, all: readonly T[]): T => all[Math.floor(random() * all.length)]!;

/** Some frames hold a reading that breaks the schema, one that the store will refuse, or both. */
export async function poison(world: World): Promise<void> {
  const kinds: ReadingKind[] = ['good', 'good', 'refused-by-hub', 'refused-by-store'];
  for (let frame = 0; frame < 20; frame++) {
    const size = 1 + Math.floor(world.random() * 10);
    oneOf(world, world.devices).send(Array.from({ length: size }, () => oneOf(world, kinds)));
    await sleep(20);
  }
}

/** More in a moment than a device may send in seconds. */
export async function flood(world: World): Promise<void> {
  const device = oneOf(world, world.devices);
  for (let frame = 0; frame < FLOOD_FRAMES; frame++) device.send(Array(FLOOD_READINGS).fill('good'));
}

export async function reboot(world: World): Promise<void> {
  const device = oneOf(world, world.devices);
  if (device.state === 'online') await device.reboot(world.random() * 1_000);
}

/** The newest session wins; the device that was replaced comes back when it is told to, as by a person. */
export async function takeOver(world: World): Promise<void> {
  const device = oneOf(world, world.devices);
  if (device.state !== 'online') return;
  const connect = createConnect({ url: world.hub.gateway, ca: world.hub.ca });
  const silent = { opened() {}, received() {}, pinged() {}, closed() {} };
  const thief = connect(device.token, silent);
  await until(() => device.state !== 'online', 5_000);
  await thief.close();
  await comeBack(device);
}

/** Frames that no device should send, on a session that is otherwise good. */
export async function vandalise(world: World): Promise<void> {
  const device = oneOf(world, world.devices);
  await device.stop();
  const connect = createConnect({ url: world.hub.gateway, ca: world.hub.ca });
  const { promise, resolve } = Promise.withResolvers<void>();
  const vandal = connect(device.token, {
    opened() {
      for (const text of GARBAGE) vandal.send(text);
    },
    received() {},
    pinged() {},
    closed: () => resolve(),
  });
  await Promise.race([promise, sleep(1_000)]);
  await vandal.close();
  await comeBack(device);
}

const GARBAGE = [
  '{"type":"hello","epoch":"vandal"}',
  '{"type":"telemetry","seq":9007199254740993,"stream":"environment","readings":[{}]}',
  '{"type":"telemetry","seq":-1,"stream":"__proto__","readings":[]}',
  '{"type":"telemetry","stream":"environment\\n,x=1 y=2","readings":[{"__proto__":{"light":1}}]}',
  `{"type":"telemetry","stream":"environment","readings":[${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}]}`,
  '{"type":"result","id":"nobody","ok":true,"value":1e999}',
  '{"type":"no-such-type"}',
  '\u0000\u0001 not JSON at all',
];

/** Its socket must end, and it must not come back with that token. Then it gets another. */
export async function revoke(world: World): Promise<void> {
  const { hub, outages, broken } = world;
  const device = oneOf(world, world.devices);
  if (device.state !== 'online') return;
  const asked = Date.now();
  const isRevoked = await hub.call('DELETE', `/v1/devices/${device.id}/tokens`).then(
    () => true,
    () => false,
  );
  const told = Date.now();
  // Whether it was revoked before the hub was killed nobody knows.
  if (isRevoked) {
    const isOut = await until(() => device.state === 'refused', PATIENCE_MS);
    const tookMs = Date.now() - told;
    const limitMs = goneWithinMs(told - asked);
    if (!isOut) broken.push(`${device.id} is ${device.state} ${tookMs} ms after its token was revoked`);
    else if (tookMs > limitMs && outages.wasUp(asked, Date.now()))
      broken.push(`the socket of ${device.id} ended ${tookMs} ms after its token was revoked`);
  }
  await renew(world, device);
}

/** Asks until the hub is there to answer. */
async function renew(world: World, device: TortureDevice): Promise<void> {
  const path = `/v1/devices/${device.id}/tokens`;
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(100)) {
    const made = await world.hub.call<{ token: string }>('POST', path, { overlapMs: 0 }).catch(() => undefined);
    if (!made) continue;
    device.token = made.token;
    await sleep(200);
    return comeBack(device);
  }
  world.broken.push(`${device.id} got no new token in ${PATIENCE_MS} ms`);
}

/** All pages; the hub may be killed on the way. */
export async function replayQuarantine({ hub }: World): Promise<void> {
  let after: number | undefined = 0;
  while (after !== undefined) {
    const body: object = { all: true, after, limit: 200 };
    const page: { next?: number } | undefined = await hub
      .call<{ next?: number }>('POST', '/v1/quarantine/replay', body)
      .catch(() => undefined);
    after = page?.next;
  }
}

/**
 * An end that was on its way may meet the device just after it came back, so it has to stay. Whether it comes back for
 * good is judged in the end: the hub may be killed again and again meanwhile.
 */
async function comeBack(device: TortureDevice): Promise<void> {
  let onlineSince = Number.POSITIVE_INFINITY;
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(LOOK_MS)) {
    if (device.state === 'refused' || device.state === 'stopped') device.start();
    onlineSince = device.state === 'online' ? Math.min(onlineSince, Date.now()) : Number.POSITIVE_INFINITY;
    if (Date.now() - onlineSince > STAY_MS) return;
    if (device.state === 'connecting') await sleep(100);
  }
}

/** False when it did not happen in that time. */
async function until(happened: () => boolean, withinMs: number): Promise<boolean> {
  for (const deadline = Date.now() + withinMs; !happened(); await sleep(LOOK_MS))
    if (Date.now() > deadline) return false;
  return true;
}
