/** Tokens with a real hub and real sockets: the next one follows without a gap, and a dead one has no socket after a second. */
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw, type RawDevice, refusal } from '../helpers/raw-device.ts';
import { goneWithinMs } from '../helpers/revocation.ts';

const SOCKETS = 100;

let hub: TestHub;

beforeAll(async () => {
  hub = await startTestHub({ HUB_LIMITS__WINDOW: '4096' });
});
afterAll(() => hub.dispose());

interface Next {
  token: string;
  keyId: string;
  pushed: boolean;
}
const rotate = (id: string, body: object = {}) => hub.call<Next>('POST', `/v1/devices/${id}/tokens`, body);
const keysOf = async (id: string) => {
  const { tokens } = await hub.call<{ tokens: { keyId: string }[] }>('GET', `/v1/devices/${id}`);
  return tokens.map(({ keyId }) => keyId);
};

it('a connected device gets its next token, uses it from the next connection on, and the old one is refused', async () => {
  const old = await hub.addDevice('live');
  const received: string[] = [];
  const events = { onToken: (token: string) => void received.push(token) };
  const device = new Device(createConnect({ url: hub.gateway, ca: hub.ca }), { token: old }, events);
  device.start();
  await expect.poll(() => device.state).toBe('online');
  const { token, keyId, pushed } = await rotate('live', { overlapMs: 60_000 });
  expect(pushed).toBe(true);
  await expect.poll(() => received).toEqual([token]);
  expect(await keysOf('live')).toHaveLength(2);
  await device.stop();
  device.start();
  await expect.poll(() => device.state).toBe('online');
  await expect.poll(() => keysOf('live')).toEqual([keyId]);
  expect((await refusal(hub, { token: old })).problem.code).toBe('token-invalid');
  await device.stop();
  expect(hub.log()).not.toContain(token);
});

it('the old token works until the overlap ends, and its socket ends with it', async () => {
  const old = await hub.addDevice('overlap');
  const { pushed } = await rotate('overlap', { overlapMs: 4_000 });
  expect(pushed).toBe(false);
  const device = await connectRaw(hub, { token: old });
  expect(await device.closed).toBe(4502);
  expect((await refusal(hub, { token: old })).status).toBe(401);
});

it('a third rotation replaces the token that was never used', async () => {
  const old = await hub.addDevice('thrice');
  const { token: unused } = await rotate('thrice');
  const { token: next } = await rotate('thrice');
  expect(await keysOf('thrice')).toHaveLength(2);
  expect((await refusal(hub, { token: unused })).status).toBe(401);
  (await connectRaw(hub, { token: old })).close();
  (await connectRaw(hub, { token: next })).close();
  await expect.poll(async () => (await refusal(hub, { token: old })).status).toBe(401);
});

it('one of two tokens can be revoked, and only its socket goes', async () => {
  const old = await hub.addDevice('one');
  const device = await connectRaw(hub, { token: old });
  const { keyId } = await rotate('one');
  await hub.call('DELETE', `/v1/devices/one/tokens/${keyId}`);
  device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 1 }] });
  expect((await device.next()).type).toBe('token');
  expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
  const [left] = await keysOf('one');
  await hub.call('DELETE', `/v1/devices/one/tokens/${left}`);
  expect(await device.closed).toBe(4502);
});

it.each([
  ['revoked', 'DELETE', '/tokens', undefined, [4502, 'an operator revoked its token']],
  ['rotated', 'POST', '/tokens', { overlapMs: 0 }, [4502, 'its token gave way to the next one']],
  [
    'overlapped',
    'POST',
    '/tokens',
    { overlapMs: 100 },
    [4502, 'its token gave way to the next one, and the overlap is over'],
  ],
  ['disabled', 'PATCH', '', { enabled: false }, [4503, 'an operator disabled the device']],
  ['removed', 'DELETE', '', undefined, [4503, 'an operator removed the device']],
])('a device that was %s is told so when its socket is closed', async (id, method, path, body, told) => {
  const device = await connectRaw(hub, { token: await hub.addDevice(id) });
  const ended = once(device.ws, 'close');
  await hub.call(method, `/v1/devices/${id}${path}`, body);
  const [code, reason] = await ended;
  expect([code, String(reason)]).toEqual(told);
});

it('under a flood, revoked and expired tokens have no socket after a second, and nothing sent later is acked', async () => {
  const expiresInMs = 10_000;
  const flooding = await Promise.all(
    Array.from({ length: SOCKETS }, async (_, index) => {
      const id = `flood-${index}`;
      const isExpiring = index % 2 === 1;
      const body = { id, ...(isExpiring && { expiresInMs }) };
      const made = await hub.call<{ token: string; tokens: { expiresAt?: number }[] }>('POST', '/v1/devices', body);
      return flood(id, await connectRaw(hub, { token: made.token }), made.tokens[0]!.expiresAt);
    }),
  );
  await expect.poll(() => flooding.every(({ acked }) => acked() > 0)).toBe(true);
  let slowestMs = 0;
  for (const each of flooding.filter(({ expiresAt }) => expiresAt === undefined)) {
    const askedAt = performance.now();
    await hub.call('DELETE', `/v1/devices/${each.id}/tokens`);
    slowestMs = Math.max(slowestMs, performance.now() - askedAt);
    each.over(Date.now());
  }
  await Promise.all(flooding.map(({ gone }) => gone));
  for (const { closed, acked, sentBefore, expiresAt } of flooding) {
    const { code, at, overAt } = closed();
    expect(code).toBe(4502);
    expect(at - overAt).toBeLessThan(goneWithinMs(slowestMs));
    if (expiresAt === undefined) expect(acked()).toBeLessThanOrEqual(sentBefore());
  }
});

/** Sends and sends, whatever comes back, and writes down what happens. */
function flood(id: string, device: RawDevice, expiresAt: number | undefined) {
  let seq = 0;
  let acked = 0;
  let sentBefore = 0;
  let overAt = expiresAt ?? 0;
  const closed = { code: 0, at: 0 };
  device.ws.on('message', (data) => {
    const frame = JSON.parse(String(data));
    if (frame.type === 'ack') acked = frame.seq;
  });
  const timer = setInterval(() => {
    for (let frame = 0; frame < 4; frame++) {
      seq += 1;
      device.sendRaw(`{"type":"telemetry","seq":${seq},"stream":"power","readings":[{"power":${seq}}]}`);
    }
  }, 20);
  const gone = device.closed.then((code) => {
    clearInterval(timer);
    Object.assign(closed, { code, at: Date.now() });
  });
  return {
    ...{ id, expiresAt, gone },
    acked: () => acked,
    sentBefore: () => sentBefore,
    closed: () => ({ ...closed, overAt }),
    over(at: number) {
      overAt = at;
      sentBefore = seq;
    },
  };
}
