/** I11: with a real hub that is killed again and again, a schedule for every second runs no scheduled time twice. */
import { afterEach, expect, it } from 'vitest';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { Command } from '../../hub/commands/command.ts';
import type { RunRow } from '../../hub/commands/schedule.ts';
import type { Schedule } from '../../hub/commands/schedules.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { seededRandom } from '../helpers/random.ts';

const KILLS = 6;
const SEED = Number(process.env.TEST_SEED ?? 20_260_329);

let hub: TestHub;
let device: Device | undefined;

afterEach(async () => {
  await device?.stop();
  await hub.dispose();
});

/** Connects a simulated device; `executed` counts by command how often it ran. */
async function connect(id: string, executed: Map<string, number>): Promise<void> {
  const token = await hub.addDevice(id);
  const identify = (command: { id: string }) => {
    executed.set(command.id, (executed.get(command.id) ?? 0) + 1);
    return {};
  };
  device = new Device(createConnect({ url: hub.gateway, ca: hub.ca }), { token, commands: { identify } });
  device.start();
}

const runsOf = async (id: string) =>
  (await hub.call<{ runs: RunRow[] }>('GET', `/v1/schedules/${id}/runs?limit=1000`)).runs;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it(`runs each scheduled time at most once over ${KILLS} kills (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  hub = await startTestHub();
  const executed = new Map<string, number>();
  await connect('a', executed);
  const add = (id: string, missed: string) =>
    hub.call('POST', '/v1/schedules', { id, cron: '* * * * * *', device: 'a', name: 'identify', missed });
  await add('skips', 'skip');
  await add('makes-up', 'all');
  for (let kill = 0; kill < KILLS; kill++) {
    // Now and then within milliseconds of a full second, when something is just being written.
    const untilTheSecond = 1_000 - (Date.now() % 1_000);
    await sleep(1_000 + (kill % 2 === 0 ? untilTheSecond + random() * 20 : random() * 1_000));
    await hub.kill();
    await sleep(random() * 3_000);
    await hub.start();
  }
  await sleep(2_500);
  for (const id of ['skips', 'makes-up']) await hub.call('PATCH', `/v1/schedules/${id}`, { enabled: false });
  await expect
    .poll(async () => {
      const { commands } = await hub.call<{ commands: Command[] }>('GET', '/v1/devices/a/commands?limit=1000');
      return commands.filter(({ state }) => state !== 'succeeded');
    })
    .toEqual([]);
  const { commands } = await hub.call<{ commands: Command[] }>('GET', '/v1/devices/a/commands?limit=1000');
  const runs = { skips: await runsOf('skips'), 'makes-up': await runsOf('makes-up') };
  for (const [id, all] of Object.entries(runs)) {
    expect(all.length, id).toBeGreaterThan(KILLS);
    expect(new Set(all.map(({ at }) => at)).size, `${id}: a time ran twice`).toBe(all.length);
  }
  const sent = Object.values(runs)
    .flat()
    .filter(({ state }) => state === 'sent');
  expect(commands.map(({ id }) => id).sort()).toEqual(sent.map(({ command }) => command).sort());
  expect(
    [...executed.values()].filter((times) => times !== 1),
    'ran twice in the device',
  ).toEqual([]);
  expect([...executed.keys()].sort()).toEqual(commands.map(({ id }) => id).sort());
  // What makes up for what it missed has no gaps.
  const times = runs['makes-up'].map(({ at }) => at).sort((a, b) => a - b);
  expect(times.at(-1)! - times[0]!).toBe((times.length - 1) * 1_000);
});

it('keeps schedules, pauses and the next runs over a restart', async () => {
  hub = await startTestHub();
  await hub.addDevice('a');
  const daily = { id: 'daily', cron: '30 2 * * *', timeZone: 'Europe/Berlin', device: 'a', name: 'identify' };
  const added = await hub.call<Schedule>('POST', '/v1/schedules', daily);
  await hub.call('POST', '/v1/schedules', { ...daily, id: 'paused', enabled: false });
  await hub.stop();
  await hub.start();
  expect(await hub.call('GET', '/v1/schedules/daily')).toEqual(added);
  expect(await hub.call('GET', '/v1/schedules/paused')).toMatchObject({ enabled: false, nextRuns: [] });
});

it('shows what the housekeeping does', async () => {
  hub = await startTestHub();
  await expect
    .poll(async () => {
      const { jobs } = await hub.call<{ jobs: { name: string; last?: unknown }[] }>('GET', '/v1/jobs');
      return jobs.find(({ name }) => name === 'run schedules')?.last;
    })
    .toMatchObject({ ok: true, did: 0 });
});
