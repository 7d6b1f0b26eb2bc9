/** A command to all of many connected devices at once: every one comes to its end, each device runs it once. */
import { afterEach, expect, it } from 'vitest';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { Command } from '../../hub/commands/command.ts';
import type { Group } from '../../hub/commands/group.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';

/** A thousand are in the bench (`npm run bench:commands`). */
const DEVICES = 200;

let hub: TestHub;
const devices: Device[] = [];

afterEach(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  await hub.dispose();
});

it(`reaches ${DEVICES} devices at once: all terminal, nothing twice, nothing left over`, async () => {
  hub = await startTestHub({ HUB_LOG__LEVEL: 'warn' });
  const ran: string[] = [];
  for (let index = 0; index < DEVICES; index++) {
    const id = `m${index}`;
    const token = await hub.addDevice(id);
    const identify = async () => {
      ran.push(id);
      return {};
    };
    devices.push(new Device(createConnect({ url: hub.gateway, ca: hub.ca }), { token, commands: { identify } }));
  }
  for (const device of devices) device.start();
  await expect.poll(() => devices.filter(({ state }) => state === 'online').length, { timeout: 60_000 }).toBe(DEVICES);
  const { group } = await hub.call<{ group: string }>('POST', '/v1/commands', {
    selector: { tags: {} },
    name: 'identify',
  });
  const shown = () => hub.call<Group>('GET', `/v1/groups/${group}`);
  await expect.poll(async () => (await shown()).finished, { timeout: 60_000 }).toBe(true);
  expect(await shown()).toMatchObject({ total: DEVICES, pending: 0, refused: 0, counts: { succeeded: DEVICES } });
  expect([ran.length, new Set(ran).size]).toEqual([DEVICES, DEVICES]);
  const { commands } = await hub.call<{ commands: Command[] }>('GET', `/v1/commands?group=${group}&limit=1000`);
  expect(commands.filter(({ state }) => state !== 'succeeded')).toEqual([]);
  expect(commands).toHaveLength(DEVICES);
});
