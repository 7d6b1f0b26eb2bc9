/** Frames that a device left out are written down, as durable as the acknowledgement of the frame after them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Gap } from '../../hub/telemetry/gaps.ts';
import { runHub } from '../helpers/cli.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

let hub: TestHub;

beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub.dispose());

const gapsOf = async (path: string) => (await hub.call<{ gaps: Gap[] }>('GET', path)).gaps;
const told = async (path: string) =>
  (await gapsOf(path)).map(({ device, epoch, from, to }) => [device, epoch, from, to]);

async function connect(token: string, epoch: string) {
  const device = await connectRaw(hub, { token });
  device.say({ type: 'hello', epoch });
  const welcome = await device.next();
  const send = async (seq: number, expected = seq) => {
    device.say({ type: 'telemetry', seq, stream: 'power', readings: [{ power: seq }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: expected });
  };
  return { welcome, send, close: device.close };
}

it('knows of every gap whose next frame was acknowledged, over kills, once', async () => {
  const token = await hub.addDevice('g');
  const first = await connect(token, 'boot-1');
  for (const seq of [1, 2, 6, 7, 9]) await first.send(seq);
  await hub.kill();
  await hub.start();
  await expect
    .poll(() => told('/v1/devices/g/gaps'))
    .toEqual([
      ['g', 'boot-1', 8, 8],
      ['g', 'boot-1', 3, 5],
    ]);
  const again = await connect(token, 'boot-1');
  expect(again.welcome).toMatchObject({ resume: 9 });
  await again.send(4, 9);
  await again.send(10);
  await again.send(13);
  again.close();
  const other = await connect(token, 'boot-2');
  await other.send(3);
  other.close();
  await expect
    .poll(() => told('/v1/gaps?device=g&limit=2'))
    .toEqual([
      ['g', 'boot-2', 1, 2],
      ['g', 'boot-1', 11, 12],
    ]);
  expect(await gapsOf('/v1/gaps')).toHaveLength(4);
  const headers = { authorization: `Bearer ${hub.adminToken}` };
  const metrics = await (await fetch(`${hub.api}/metrics`, { headers })).text();
  expect(Number(/^hub_gaps_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThanOrEqual(2);
  const { stdout } = await runHub(['gaps', 'g', '--data', hub.dataDir]);
  expect(stdout).toMatch(/ g +boot-1 +3 +5 +3$/m);
});

it('is told of no gap by a device that was asked to wait, and forgets a device that was removed', async () => {
  const device = await connectRaw(hub, { token: await hub.addDevice('f') });
  device.say({ type: 'hello', epoch: 'boot-1' });
  const { limits } = (await device.next()) as unknown as { limits: { window: number } };
  const frame = (seq: number) => device.say({ type: 'telemetry', seq, stream: 'power', readings: [{ power: seq }] });
  const last = 2 * limits.window;
  for (let seq = 1; seq <= last; seq++) frame(seq);
  let flows = 0;
  for (let acked = 0; acked < last; ) {
    const answer = await device.next();
    if (answer.type === 'ack') acked = Number(answer.seq);
    if (answer.type !== 'flow') continue;
    flows++;
    await new Promise((resolve) => setTimeout(resolve, Number(answer.retryAfterMs) + 50));
    for (let seq = Number(answer.from); seq <= last; seq++) frame(seq);
  }
  expect(flows).toBeGreaterThan(0);
  frame(last + 2);
  await expect.poll(() => told('/v1/devices/f/gaps')).toEqual([['f', 'boot-1', last + 1, last + 1]]);
  await hub.call('DELETE', '/v1/devices/f');
  await expect.poll(() => gapsOf('/v1/gaps?device=f')).toEqual([]);
});
