/** The wall clock jumps while a device is connected: it notices nothing, nothing acknowledged is lost, and operators hear of it. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw, type RawDevice, refusal } from '../helpers/raw-device.ts';

const HOUR_MS = 3_600_000;
const JUMPS_MS = [HOUR_MS, -HOUR_MS, -HOUR_MS];
const FRAMES = 20;

let hub: TestHub;

const hubWithJumps = (jumps: number[]) => {
  const preload = join(import.meta.dirname, '../helpers/clock-jump.ts');
  return startTestHub({ NODE_OPTIONS: `--import ${preload}`, CLOCK_JUMPS_MS: jumps.join() });
};

beforeAll(async () => {
  hub = await hubWithJumps(JUMPS_MS);
});

afterAll(async () => {
  await hub.dispose();
});

/** What the hub thinks the time is. */
async function clockOfHub(token: string, of = hub): Promise<number> {
  const device = await connectRaw(of, { token });
  device.say({ type: 'hello', epoch: 'clock' });
  const { time } = await device.next();
  device.close();
  await device.closed;
  return Number(time);
}

async function jumpsCounted(): Promise<number> {
  const headers = { authorization: `Bearer ${hub.adminToken}` };
  const metrics = await (await fetch(`${hub.api}/metrics`, { headers })).text();
  return Number(/^hub_clock_jumps_total (\d+)$/m.exec(metrics)?.[1]);
}

async function send(device: RawDevice, from: number): Promise<void> {
  for (let seq = from; seq < from + FRAMES; seq++) {
    device.say({ type: 'telemetry', seq, stream: 'environment', readings: [{ light: seq }] });
    expect(await device.next()).toEqual({ type: 'ack', seq });
  }
}

it('put back while two clients take a device from each other: the wait stays what it was', async () => {
  const other = await hubWithJumps([-HOUR_MS]);
  try {
    const watch = await other.addDevice('watch');
    const token = await other.addDevice('d1');
    const takeOver = async () => {
      for (;;) await connectRaw(other, { token });
    };
    await expect(takeOver()).rejects.toMatchObject({ status: 429, problem: { code: 'takeover' } });
    const before = Date.now() - HOUR_MS / 2;
    process.kill(other.pid, 'SIGUSR2');
    await expect.poll(() => clockOfHub(watch, other)).toBeLessThan(before);
    const { headers } = await refusal(other, { token });
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(10);
  } finally {
    await other.dispose();
  }
});

it('ahead and back by an hour', async () => {
  const watch = await hub.addDevice('watch');
  const device = await connectRaw(hub, { token: await hub.addDevice('d1') });
  let offset = 0;
  await send(device, 1);
  for (const [index, jump] of JUMPS_MS.entries()) {
    process.kill(hub.pid, 'SIGUSR2');
    offset += jump;
    await expect.poll(async () => Math.round(((await clockOfHub(watch)) - Date.now() - offset) / 60_000)).toBe(0);
    await send(device, 1 + (index + 1) * FRAMES);
    // Two jumps between two looks would be one, or none.
    await expect.poll(jumpsCounted).toBe(index + 1);
  }
  expect(device.ws.readyState).toBe(device.ws.OPEN);
  device.close();
  const lights = async () => {
    const path = '/v1/devices/d1/telemetry?stream=environment&fields=light&limit=1000&order=asc';
    const range = `&from=${Date.now() - 3 * HOUR_MS}&to=${Date.now() + 3 * HOUR_MS}`;
    return (await hub.call<{ rows: { light: number }[] }>('GET', path + range)).rows.map(({ light }) => light);
  };
  const all = Array.from({ length: (JUMPS_MS.length + 1) * FRAMES }, (_, at) => at + 1);
  await expect.poll(async () => (await lights()).toSorted((a, b) => a - b)).toEqual(all);
  expect(hub.log()).not.toContain('"level":50');
  expect((await hub.call<{ ready: boolean }>('GET', '/v1/status')).ready).toBe(true);
  const told = [...hub.log().matchAll(/"byMs":(-?\d+)/g)].map(([, ms]) => Math.round(Number(ms) / HOUR_MS) * HOUR_MS);
  expect(told).toEqual(JUMPS_MS);
});
