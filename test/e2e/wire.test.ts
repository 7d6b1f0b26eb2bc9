/** The wire of docs/protocol.md against a running hub: every right thing, and every wrong one. */
import { readdirSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw, type RawDevice, refusal } from '../helpers/raw-device.ts';
import { asHttp, connectSocket, upgradeRequest } from '../helpers/raw-socket.ts';

let hub: TestHub;
let token: string;
/** A device that goes on while others misbehave. */
let witness: RawDevice;
let witnessSeq = 0;
let ids = 0;

beforeAll(async () => {
  hub = await startTestHub();
  token = await hub.addDevice('d1');
  witness = await connectRaw(hub, { token: await hub.addDevice('witness') });
});

afterAll(async () => {
  await hub.dispose();
});

const reading = (fields: object = { temperature: 21.4 }) => ({ ts: Date.now(), ...fields });
const telemetry = (seq: number, ...readings: unknown[]) => ({
  type: 'telemetry',
  seq,
  stream: 'environment',
  readings,
});

async function freshDevice(): Promise<RawDevice> {
  return connectRaw(hub, { token: await hub.addDevice(`fresh-${++ids}`) });
}

/** Nothing else is disturbed: the witness still gets its ack on the same socket. */
async function expectCalm(): Promise<void> {
  witness.say(telemetry(++witnessSeq, reading()));
  expect(await witness.next()).toEqual({ type: 'ack', seq: witnessSeq });
}

/** How many came to the door, by what became of them. */
async function knocksCounted(): Promise<Record<string, number>> {
  const headers = { authorization: `Bearer ${hub.adminToken}` };
  const metrics = await (await fetch(`${hub.api}/metrics`, { headers })).text();
  const found = metrics.matchAll(/^hub_knocks_total\{outcome="([^"]+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, outcome, count]) => [outcome!, Number(count)]));
}

describe('at the door', () => {
  it('lets a device in with the header, and with the bearer subprotocol, which is never echoed', async () => {
    const byHeader = await connectRaw(hub, { token });
    const byProtocol = await connectRaw(hub, { protocols: ['telemetry-hub.v1', `bearer.${token}`] });
    expect(byProtocol.ws.protocol).toBe('telemetry-hub.v1');
    expect(await byHeader.closed).toBe(4500);
    byProtocol.close();
  });

  it.each([
    ['no token', {}, 401, 'token-missing'],
    ['garbage', { token: 'thd_garbage' }, 401, 'token-invalid'],
    ['a token in the query string', { path: '/v1/device?token=thd_x' }, 400, 'token-in-query'],
    ['another subprotocol', { token: 'x', protocols: ['mqtt'] }, 426, 'subprotocol'],
    ['no subprotocol', { token: 'x', protocols: [] }, 426, 'subprotocol'],
    ['a strange Origin', { token: 'x', headers: { origin: 'https://evil.example' } }, 403, 'origin'],
    ['another path', { token: 'x', path: '/v2/device' }, 404, 'not-found'],
  ])('refuses %s with a problem document', async (_, options, status, code) => {
    const refused = await refusal(hub, options);
    expect(refused).toMatchObject({
      status,
      problem: { status, code, title: expect.any(String), type: 'about:blank' },
    });
    expect(refused.headers['content-type']).toBe('application/problem+json');
    if (status === 401) expect(refused.headers['www-authenticate']).toContain('Bearer');
    await expectCalm();
  });

  it('ends the socket of a revoked, disabled or removed device at once, and refuses it afterwards', async () => {
    for (const [method, path, body, close, status] of [
      ['DELETE', '/tokens', undefined, 4502, 401],
      ['PATCH', '', { enabled: false }, 4503, 403],
      ['DELETE', '', undefined, 4503, 401],
    ] as const) {
      const id = `doomed-${++ids}`;
      const doomed = await hub.addDevice(id);
      const device = await connectRaw(hub, { token: doomed });
      await hub.call(method, `/v1/devices/${id}${path}`, body);
      expect(await device.closed).toBe(close);
      expect((await refusal(hub, { token: doomed })).status).toBe(status);
    }
    await expectCalm();
  });

  it.each<[string, RegExp, string, number, string]>([
    ['an upgrade by POST', /^GET/, 'POST', 405, 'method'],
    ['an upgrade to HTTP/2', /^Upgrade.*/, 'Upgrade: h2c', 400, 'handshake'],
    ['a key that is none', /^Sec-WebSocket-Key.*/, 'Sec-WebSocket-Key: short', 400, 'handshake'],
    ['a version of the past', /^Sec-WebSocket-Version.*/, 'Sec-WebSocket-Version: 7', 400, 'handshake'],
    ['a subprotocol twice', /(^Sec-WebSocket-Protocol): (.*)/, '$1: $2, $2', 400, 'handshake'],
  ])('refuses %s with a problem document, and counts it as what it is', async (_, from, to, status, code) => {
    const knocks = await knocksCounted();
    const socket = await connectSocket(hub);
    socket.write(asHttp(upgradeRequest(token).map((line) => line.replace(from, to))));
    const [head = '', body = ''] = (await socket.ended()).toString().split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toContain('application/problem+json');
    if (status === 405) expect(head).toContain('Allow: GET');
    expect(JSON.parse(body)).toMatchObject({ status, code });
    expect(await knocksCounted()).toEqual({ ...knocks, [code]: (knocks[code] ?? 0) + 1 });
    await expectCalm();
  });

  it('answers plain HTTP on the device port with 426', async () => {
    const { status } = await new Promise<{ status: number }>((resolve, reject) => {
      import('node:https').then(({ get }) =>
        get(hub.gateway.replace('wss:', 'https:'), { ca: hub.ca }, (response) => {
          response.resume();
          resolve({ status: response.statusCode ?? 0 });
        }).on('error', reject),
      );
    });
    expect(status).toBe(426);
  });
});

describe('peers that do not play fair', () => {
  const openFiles = () => readdirSync(`/proc/${hub.pid}/fd`).length;

  it('cannot hold a socket after they were refused, even if they never close their half', async () => {
    const before = openFiles();
    const { port, hostname } = new URL(hub.gateway);
    const request = 'GET /v1/device HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';
    const peers = Array.from({ length: 20 }, () => {
      const socket = connectPlain({ port: Number(port), host: hostname, allowHalfOpen: true });
      const peer = connect({ socket, ca: hub.ca, servername: 'localhost' });
      peer.on('error', () => {});
      peer.write(request);
      peer.resume();
      return peer;
    });
    await Promise.all(peers.map((peer) => new Promise((resolve) => peer.once('end', resolve))));
    await expect.poll(openFiles).toBeLessThanOrEqual(before);
    for (const peer of peers) peer.destroy();
  });

  it('cannot take a place for each of their sockets: replaced ones count until they are gone', async () => {
    const small = await startTestHub({ HUB_LIMITS__CONNECTIONS: '3' });
    try {
      const tokens = await Promise.all(['a', 'b', 'c', 'd'].map((id) => small.addDevice(id)));
      for (const own of tokens.slice(0, 3)) await connectRaw(small, { token: own });
      const refused = await refusal(small, { token: tokens[3]! });
      expect(refused).toMatchObject({ status: 503, problem: { code: 'full' } });
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    } finally {
      await small.dispose();
    }
  });
});

describe('telemetry', () => {
  it('is acknowledged, and can be read back through the API', async () => {
    const device = await connectRaw(hub, { token });
    const ts = Date.now() - 5.25;
    device.say({ type: 'hello', epoch: 'e1' });
    expect(await device.next()).toMatchObject({
      type: 'welcome',
      resume: 0,
      limits: { window: 256, frameBytes: 131_072 },
    });
    device.say(telemetry(1, { ts, temperature: 21.5, occupied: true }));
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    await expect
      .poll(
        async () =>
          (await hub.call<{ rows: unknown[] }>('GET', '/v1/devices/d1/telemetry?stream=environment&from=-1h')).rows,
      )
      .toEqual([{ ts, temperature: 21.5, occupied: true }]);
    device.close();
  });

  it.each([
    ['an unknown field', { colour: 3 }, '/colour', 'additionalProperties'],
    ['a value out of range', { temperature: 200 }, '/temperature', 'maximum'],
    ['NaN as text', { temperature: 'NaN' }, '/temperature', 'type'],
    ['null for a number', { temperature: null }, '/temperature', 'type'],
    ['a clock a year ahead', { ts: Date.now() + 31_536_000_000, temperature: 1 }, '/ts', 'clock'],
    ['no field', {}, '', 'minProperties'],
  ])('rejects %s by index and path, stores the rest, and acknowledges', async (_, bad, path, code) => {
    const device = await freshDevice();
    device.say(telemetry(1, reading(), reading(bad)));
    expect(await device.next()).toMatchObject({ type: 'reject', seq: 1, errors: [{ index: 1, path, code }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    device.close();
  });

  it('rejects numbers that are not finite, and __proto__ as a field', async () => {
    const device = await freshDevice();
    device.sendRaw('{"type":"telemetry","seq":1,"stream":"environment","readings":[{"temperature":1e999}]}');
    expect(await device.next()).toMatchObject({ type: 'reject', errors: [{ index: 0, path: '/temperature' }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    device.sendRaw('{"type":"telemetry","seq":2,"stream":"environment","readings":[{"__proto__":{"light":1}}]}');
    expect(await device.next()).toMatchObject({ type: 'reject', errors: [{ index: 0, path: '/__proto__' }] });
    device.close();
    await expectCalm();
  });

  it('rejects a frame of an unknown stream as a whole, keeps it in quarantine, and goes on', async () => {
    const device = await freshDevice();
    device.say({ type: 'telemetry', seq: 1, stream: 'weather', readings: [{ rain: 1 }] });
    expect(await device.next()).toMatchObject({
      type: 'reject',
      seq: 1,
      errors: [{ path: '/stream', code: 'stream' }],
    });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    device.close();
    const id = `fresh-${ids}`;
    await expect
      .poll(async () => JSON.stringify(await hub.call('GET', `/v1/quarantine?device=${id}`)))
      .toContain('"reading":{"rain":1}');
  });

  it.each([
    ['not JSON', 'not-json', '{"type":'],
    ['a bare NaN', 'not-json', '{"type":"telemetry","seq":1,"stream":"environment","readings":[{"temperature":NaN}]}'],
    ['an array', 'not-json', '[1]'],
    ['an unknown type', 'unknown-type', '{"type":"greeting"}'],
    ['JSON nested 5,000 deep', 'too-deep', `{"type":"telemetry","x":${'['.repeat(5000)}${']'.repeat(5000)}}`],
    ['a frame without readings', 'invalid-frame', '{"type":"telemetry","seq":1,"stream":"environment"}'],
    ['the result of no command', 'unknown-command', '{"type":"result","id":"x","ok":true}'],
  ])('answers %s with error %s on an open socket', async (_, code, text) => {
    const device = await freshDevice();
    device.sendRaw(text);
    expect(await device.next()).toMatchObject({ type: 'error', code, temporary: false });
    device.say(telemetry(1, reading()));
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    device.close();
  });

  it.each([
    ['a frame that is too big', 1009, (device: RawDevice) => device.sendRaw('x'.repeat(140_000))],
    ['a binary frame', 1003, (device: RawDevice) => device.sendRaw(Buffer.from('{}'), { binary: true })],
    ['invalid UTF-8', 1007, (device: RawDevice) => device.sendRaw(Buffer.from([0xff, 0xfe]), { binary: false })],
  ])('closes the socket on %s with %i', async (_, code, misbehave) => {
    const device = await freshDevice();
    misbehave(device);
    expect(await device.closed).toBe(code);
    await expectCalm();
  });

  it('resumes an epoch after a reconnect and stores a repeated frame once', async () => {
    const own = await hub.addDevice('resumer');
    const first = await connectRaw(hub, { token: own });
    first.say({ type: 'hello', epoch: 'e' });
    await first.next();
    first.say(telemetry(1, { light: 1 }));
    expect(await first.next()).toEqual({ type: 'ack', seq: 1 });
    first.close();
    const second = await connectRaw(hub, { token: own });
    second.say({ type: 'hello', epoch: 'e' });
    expect(await second.next()).toMatchObject({ type: 'welcome', resume: 1 });
    second.say(telemetry(1, { light: 1 }));
    expect(await second.next()).toEqual({ type: 'ack', seq: 1 });
    await expect
      .poll(
        async () =>
          (await hub.call<{ rows: unknown[] }>('GET', '/v1/devices/resumer/telemetry?stream=environment&from=-1h'))
            .rows,
      )
      .toHaveLength(1);
    second.close();
  });
});

describe('the hub itself', () => {
  it('lived through all of it in one process, without a word of alarm or a token in its log', async () => {
    await expectCalm();
    expect(hub.log()).not.toContain('"level":50');
    expect(hub.log()).not.toMatch(/th[do]_[A-Za-z0-9]{12}_/);
  });
});
