/** A command to a group of simulated devices, with a hub that is killed in between: each device runs it once. */
import { afterEach, expect, it } from 'vitest';
import { CommandError } from '../../device-sim/answers.ts';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { Group } from '../../hub/commands/group.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';

const DEVICES = 30;

let hub: TestHub;
let devices: Device[] = [];

afterEach(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  devices = [];
  await hub.dispose();
});

/** Connects devices that take some time for a command; `ran` counts how often each ran it. */
async function connect(isBroken: (index: number) => boolean = () => false): Promise<Map<string, number>> {
  hub = await startTestHub();
  const ran = new Map<string, number>();
  for (let index = 0; index < DEVICES; index++) {
    const id = `g${index}`;
    const { token } = await hub.call<{ token: string }>('POST', '/v1/devices', { id, tags: { floor: '1' } });
    const identify = async () => {
      ran.set(id, (ran.get(id) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (isBroken(index)) throw new CommandError('broken', 'it has no lamp');
      return {};
    };
    devices.push(new Device(createConnect({ url: hub.gateway, ca: hub.ca }), { token, commands: { identify } }));
  }
  for (const device of devices) device.start();
  await expect.poll(() => devices.filter(({ state }) => state === 'online').length).toBe(DEVICES);
  return ran;
}

const show = (id: string) => hub.call<Group>('GET', `/v1/groups/${id}`);
const send = async (order: object) =>
  (
    await hub.call<{ id: string }>('POST', '/v1/commands', {
      selector: { tags: { floor: '1' } },
      name: 'identify',
      ...order,
    })
  ).id;

it('reaches every device once, though the hub is killed while it is under way', async () => {
  const ran = await connect();
  // Long enough for a device that waits with its next attempt.
  const group = await send({ parallel: 3, timeoutMs: 60_000 });
  for (let kill = 0; kill < 3; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 120));
    await hub.kill();
    await hub.start();
  }
  await expect.poll(async () => (await show(group)).finished, { interval: 100 }).toBe(true);
  expect(await show(group)).toMatchObject({ total: DEVICES, pending: 0, refused: 0, counts: { succeeded: DEVICES } });
  expect([...ran.values()]).toEqual(Array.from({ length: DEVICES }, () => 1));
});

it('stops when too many fail, and leaves the other devices alone', async () => {
  const ran = await connect((index) => index >= 5);
  const group = await send({ parallel: 1, stopWhenFailedPercent: 10 });
  await expect.poll(async () => (await show(group)).finished).toBe(true);
  // More than a tenth of thirty is four; the order is that of the ids: g0, g1, g10 …
  const { stopped, counts, pending } = await show(group);
  expect({ stopped, failed: counts.failed }).toEqual({ stopped: 'failures', failed: 4 });
  expect(ran.size).toBe(DEVICES - pending);
});
