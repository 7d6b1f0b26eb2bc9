/** How long the hub bears with a device that does not listen, on real sockets; and that others notice nothing of it. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Answer, connectRaw, type RawDevice } from '../helpers/raw-device.ts';
import { asHttp, connectSocket, upgradeRequest, wireFrame } from '../helpers/raw-socket.ts';

/** Four windows of 256 frames: so many in a row may be of no use. */
const PATIENCE = 1_024;
const PER_BATCH = 64;
const FLOOD_BYTES = 64 * 2 ** 20;

let hub: TestHub;

beforeAll(async () => {
  hub = await startTestHub({ HUB_LIMITS__READINGS_PER_SECOND: '1' });
});

afterAll(async () => {
  await hub.dispose();
});

/** Sends the frame again and again, reading what comes back, until the hub closes; the answers and the code. */
async function insist(
  device: RawDevice,
  frame: unknown,
  first: Answer['type'],
): Promise<{ code: number; answers: number }> {
  let code = 0;
  let answers = 0;
  void device.closed.then((with_) => {
    code = with_;
  });
  device.ws.on('message', () => answers++);
  for (let sent = 0; code === 0 && sent < 10 * PATIENCE; sent += PER_BATCH) {
    for (let at = 0; at < PER_BATCH; at++) device.say(frame);
    await new Promise((resolve) => device.ws.ping(resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect((await device.next()).type).toBe(first);
  return { code, answers };
}

const topTalker = async (by: string) => {
  const { talkers } = await hub.call<{ talkers: { device: string }[] }>('GET', `/v1/talkers?by=${by}`);
  return talkers[0]?.device;
};

it('sends a device away with 4501 that says nothing but nonsense', async () => {
  const device = await connectRaw(hub, { token: await hub.addDevice('babbler') });
  const { code, answers } = await insist(device, 'nonsense', 'error');
  expect(code).toBe(4501);
  expect(answers).toBe(PATIENCE + 1);
});

it('says flow to a flood, tells operators who it is, then sends it away with 4003; the device beside it keeps its acks', async () => {
  const witness = await connectRaw(hub, { token: await hub.addDevice('witness') });
  const flood = await connectRaw(hub, { token: await hub.addDevice('flood') });
  const readings = Array.from({ length: 11 }, (_, at) => ({ ts: Date.now() - at, light: 1 }));
  flood.say({ type: 'telemetry', seq: 1, stream: 'environment', readings });
  expect(await flood.next()).toEqual({ type: 'ack', seq: 1 });
  const { code } = await insist(flood, { type: 'telemetry', seq: 3, stream: 'environment', readings }, 'flow');
  expect(code).toBe(4003);
  await expect.poll(() => topTalker('flows')).toBe('flood');
  for (let seq = 1; seq <= 5; seq++) {
    witness.say({ type: 'telemetry', seq, stream: 'environment', readings: [{ light: seq }] });
    expect(await witness.next()).toEqual({ type: 'ack', seq });
  }
  witness.close();
});

/** What the hub has read since it started, from sockets and files. */
const bytesRead = () => Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${hub.pid}/io`, 'utf8'))?.[1]);

it('reads little of a flood that goes on after the goodbye', async () => {
  const socket = await connectSocket(hub);
  socket.write(asHttp(upgradeRequest(await hub.addDevice('endless'))));
  await socket.answer((data) => data.includes('\r\n\r\n'));
  const frame = wireFrame({ opcode: 1, payload: 'nonsense'.repeat(10) });
  const before = bytesRead();
  socket.write(Buffer.alloc(FLOOD_BYTES - (FLOOD_BYTES % frame.length), frame));
  await socket.ended();
  expect(bytesRead() - before).toBeLessThan(FLOOD_BYTES / 8);
});
