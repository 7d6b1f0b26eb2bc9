/** A command to all of many connected devices at once: every one comes to its end, each device runs it once. */
import { afterEach, expect, it } from 'vitest';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { Command } from '../../hub/commands/command.ts';
import { type Group, noCounts } from '../../hub/commands/group.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';

const DEVICES = 1_000;
/** Made, and connecting, at a time. */
const AT_ONCE = 50;

let hub: TestHub;
const devices: Device[] = [];

afterEach(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  await hub.dispose();
});

/** Makes the device and waits until it is online. */
async function connect(id: string, identify: () => Promise<Record<string, unknown>>): Promise<void> {
  const token = await hub.addDevice(id);
  const { promise, resolve } = Promise.withResolvers<void>();
  const events = { onState: (state: string) => state === 'online' && resolve() };
  const device = new Device(createConnect({ url: hub.gateway, ca: hub.ca }), { token, commands: { identify } }, events);
  devices.push(device);
  device.start();
  await promise;
}

it(`reaches ${DEVICES} devices at once: all terminal, nothing twice, nothing left over`, async () => {
  hub = await startTestHub({ HUB_LOG__LEVEL: 'warn' });
  const ran: string[] = [];
  for (let first = 0; first < DEVICES; first += AT_ONCE) {
    const ids = Array.from({ length: AT_ONCE }, (_, step) => `m${first + step}`);
    await Promise.all(ids.map((id) => connect(id, async () => ({ ran: ran.push(id) }))));
  }
  const { id: group } = await hub.call<{ id: string }>('POST', '/v1/commands', {
    selector: { tags: {} },
    name: 'identify',
    timeoutMs: 60_000,
  });
  const shown = () => hub.call<Group>('GET', `/v1/groups/${group}`);
  await expect.poll(async () => (await shown()).finished).toBe(true);
  const { counts, ...summary } = await shown();
  expect(summary).toMatchObject({ total: DEVICES, pending: 0, refused: 0 });
  expect(counts).toEqual({ ...noCounts(), succeeded: DEVICES });
  expect([ran.length, new Set(ran).size]).toEqual([DEVICES, DEVICES]);
  const { commands } = await hub.call<{ commands: Command[] }>('GET', `/v1/commands?group=${group}&limit=1000`);
  expect(commands.filter(({ state }) => state !== 'succeeded')).toEqual([]);
  expect(commands).toHaveLength(DEVICES);
});
