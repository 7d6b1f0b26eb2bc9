/** Bytes that RFC 6455 and HTTP forbid, or allow though nobody expects them, against a running hub. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw, type RawDevice } from '../helpers/raw-device.ts';
import {
  asHttp,
  closeCodeIn,
  connectSocket,
  type RawSocket,
  upgradeRequest,
  type WireFrame,
  wireFrame,
} from '../helpers/raw-socket.ts';

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const ACK_1 = '{"type":"ack","seq":1}';
const reading = '{"type":"telemetry","seq":1,"stream":"environment","readings":[{"light":1}]}';

let hub: TestHub;
let pid: number;
/** A device that goes on while others misbehave. */
let witness: RawDevice;
let witnessSeq = 0;
let ids = 0;

beforeAll(async () => {
  hub = await startTestHub();
  pid = hub.pid;
  witness = await connectRaw(hub, { token: await hub.addDevice('witness') });
});

afterAll(async () => {
  await hub.dispose();
});

async function expectCalm(): Promise<void> {
  witness.say({ type: 'telemetry', seq: ++witnessSeq, stream: 'environment', readings: [{ light: witnessSeq }] });
  expect(await witness.next()).toEqual({ type: 'ack', seq: witnessSeq });
  expect((await fetch(`${hub.api}/healthz`)).status).toBe(200);
}

async function webSocket(): Promise<RawSocket> {
  const socket = await connectSocket(hub);
  socket.write(asHttp(upgradeRequest(await hub.addDevice(`fuzz-${++ids}`))));
  const said = (await socket.answer((data) => data.includes('\r\n\r\n'))).toString();
  expect(said).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

const frames = (...wire: WireFrame[]) => Buffer.concat(wire.map(wireFrame));
const closeOf = (code: number, reason: Buffer | string = '') => {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  payload.writeUInt16BE(code);
  return frames({ opcode: CLOSE, payload });
};
const opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
const text = (length: number) => 'x'.repeat(length);
const wide = (value: bigint, bits: 16 | 64 = 64) => ({ wide: bits, value });

const wrong: [string, number, Buffer][] = [
  ...[1, 2, 3, 4, 5, 6, 7].map((reserved): [string, number, Buffer] => [
    `reserved bits ${reserved}`,
    1002,
    frames({ opcode: TEXT, payload: reading, reserved }),
  ]),
  ...opcodes.map((opcode): [string, number, Buffer] => [`opcode ${opcode}`, 1002, frames({ opcode, payload: 'x' })]),
  ['a frame without a mask', 1002, frames({ opcode: TEXT, payload: reading, isMasked: false })],
  ['a ping without a mask', 1002, frames({ opcode: PING, payload: 'x', isMasked: false })],
  ['a continuation of nothing', 1002, frames({ opcode: 0, payload: 'x' })],
  [
    'a new message within another',
    1002,
    frames({ opcode: TEXT, fin: false, payload: '{' }, { opcode: TEXT, payload: '}' }),
  ],
  ['a ping in fragments', 1002, frames({ opcode: PING, fin: false, payload: 'x' })],
  ['a close in fragments', 1002, frames({ opcode: CLOSE, fin: false })],
  ['a ping of 126 bytes', 1002, frames({ opcode: PING, payload: text(126) })],
  ['a pong that says it has 2^63 bytes', 1002, frames({ opcode: PONG, length: wide(2n ** 63n) })],
  ['a length of 2^64 - 1', 1009, frames({ opcode: TEXT, length: wide(2n ** 64n - 1n) })],
  ['a length of 2^53', 1009, frames({ opcode: TEXT, length: wide(2n ** 53n) })],
  ['a length of 1 GiB', 1009, frames({ opcode: TEXT, length: wide(2n ** 30n) })],
  ['one byte more than fits', 1009, frames({ opcode: TEXT, length: wide(131_073n) })],
  [
    'fragments that are too long together',
    1009,
    frames(
      { opcode: TEXT, fin: false, payload: text(65_000) },
      { opcode: 0, fin: false, payload: text(65_000) },
      { opcode: 0, payload: text(2_000) },
    ),
  ],
  [
    'more fragments than anybody needs',
    1008,
    frames(
      { opcode: TEXT, fin: false, payload: 'x' },
      ...Array.from({ length: 1_100 }, () => ({ opcode: 0, fin: false, payload: 'x' })),
    ),
  ],
  ['bytes that are no UTF-8', 1007, frames({ opcode: TEXT, payload: Buffer.from([0xc3, 0x28]) })],
  ['UTF-8 of a surrogate', 1007, frames({ opcode: TEXT, payload: Buffer.from([0xed, 0xa0, 0x80]) })],
  ['UTF-8 that is longer than need be', 1007, frames({ opcode: TEXT, payload: Buffer.from([0xc0, 0xaf]) })],
  ['UTF-8 beyond Unicode', 1007, frames({ opcode: TEXT, payload: Buffer.from([0xf4, 0x90, 0x80, 0x80]) })],
  [
    'UTF-8 that ends in the middle of a letter',
    1007,
    frames({ opcode: TEXT, fin: false, payload: '"' }, { opcode: 0, payload: Buffer.from([0xe2, 0x82]) }),
  ],
  ['a binary message', 1003, frames({ opcode: BINARY, payload: reading })],
  ['an empty binary message', 1003, frames({ opcode: BINARY })],
  ['a close with half a code', 1002, frames({ opcode: CLOSE, payload: Buffer.from([3]) })],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map((code): [string, number, Buffer] => [
    `close code ${code}`,
    1002,
    closeOf(code),
  ]),
  ['a close whose reason is no UTF-8', 1007, closeOf(1000, Buffer.from([0xff]))],
  ['a close of 126 bytes', 1002, closeOf(1000, text(124))],
];

describe('frames that RFC 6455 forbids', () => {
  it.each(wrong)('%s ends the connection with %i, and nothing else', async (_, code, bytes) => {
    const socket = await webSocket();
    socket.write(bytes);
    const said = await socket.answer((data) => closeCodeIn(data) !== undefined);
    expect(closeCodeIn(said)).toBe(code);
    await expectCalm();
    socket.destroy();
  });
});

const right: [string, Buffer | Buffer[]][] = [
  ['in one frame', frames({ opcode: TEXT, payload: reading })],
  [
    'in frames of one byte',
    frames(
      ...[...reading].map((payload, at) => ({ opcode: at === 0 ? TEXT : 0, payload, fin: at === reading.length - 1 })),
    ),
  ],
  ['in bytes that come one by one', [...frames({ opcode: TEXT, payload: reading })].map((byte) => Buffer.from([byte]))],
  [
    'with empty frames within it',
    frames({ opcode: TEXT, fin: false }, { opcode: 0, fin: false, payload: reading }, { opcode: 0 }),
  ],
  [
    'with control frames within it',
    frames(
      { opcode: TEXT, fin: false, payload: reading.slice(0, 20) },
      { opcode: PONG, payload: text(125) },
      { opcode: 0, payload: reading.slice(20) },
    ),
  ],
  [
    'with a length that is written wider than need be',
    frames({ opcode: TEXT, payload: reading, length: wide(BigInt(reading.length)) }),
  ],
  [
    'after pongs that nobody asked for',
    frames(...Array.from({ length: 500 }, () => ({ opcode: PONG })), { opcode: TEXT, payload: reading }),
  ],
  ['as long as fits', frames({ opcode: TEXT, payload: reading.padEnd(131_072), length: wide(131_072n) })],
];

describe('frames that RFC 6455 allows', () => {
  it.each(right)('a reading %s is taken', async (_, bytes) => {
    const socket = await webSocket();
    for (const piece of Array.isArray(bytes) ? bytes : [bytes]) socket.write(piece);
    expect((await socket.answer((data) => data.includes(ACK_1))).toString()).toContain(ACK_1);
    socket.destroy();
  });

  it.each([1000, 1001, 1003, 1011, 3000, 4999])('a goodbye with %i is returned', async (code) => {
    const socket = await webSocket();
    socket.write(closeOf(code, 'bye'));
    expect(closeCodeIn(await socket.ended())).toBe(code);
  });

  it('a ping is answered with what it said, within a message too', async () => {
    const socket = await webSocket();
    socket.write(frames({ opcode: TEXT, fin: false, payload: '{' }, { opcode: PING, payload: 'are you there' }));
    const said = await socket.answer((data) => data.includes('are you there'));
    expect(said[0]! & 15).toBe(PONG);
    socket.destroy();
  });

  it('what comes after a goodbye is not looked at', async () => {
    const socket = await webSocket();
    socket.write(Buffer.concat([closeOf(1000), frames({ opcode: TEXT, payload: reading })]));
    expect((await socket.ended()).toString()).not.toContain(ACK_1);
    await expectCalm();
  });
});

/** The good request with one line changed, left out (empty) or added. */
function changed(token: string, from: RegExp, to: string): string {
  const lines = upgradeRequest(token).map((line) => (from.test(line) ? to : line));
  return asHttp(lines.filter((line) => line !== ''));
}

const added = (token: string, ...lines: string[]) => asHttp([...upgradeRequest(token), ...lines]);

/** What comes to the door, and the status it gets. */
const requests: [string, number, (token: string) => string | Buffer][] = [
  [
    'another version of WebSocket',
    400,
    (token) => changed(token, /^Sec-WebSocket-Version/, 'Sec-WebSocket-Version: 12'),
  ],
  ['no version', 400, (token) => changed(token, /^Sec-WebSocket-Version/, '')],
  ['no key', 400, (token) => changed(token, /^Sec-WebSocket-Key/, '')],
  ['a key that is too short', 400, (token) => changed(token, /^Sec-WebSocket-Key/, 'Sec-WebSocket-Key: x')],
  ['another method', 405, (token) => changed(token, /^GET/, 'POST /v1/device HTTP/1.1')],
  ['a method that there is not', 400, (token) => changed(token, /^GET/, 'HACK /v1/device HTTP/1.1')],
  ['another upgrade', 400, (token) => changed(token, /^Upgrade/, 'Upgrade: h2c')],
  ['no upgrade', 426, (token) => changed(token, /^Upgrade/, '')],
  ['an HTTP that there is not', 400, (token) => changed(token, /^GET/, 'GET /v1/device HTTP/9.9')],
  ['HTTP/0.9', 426, () => 'GET /v1/device\r\n\r\n'],
  ['a path with a null', 400, (token) => changed(token, /^GET/, 'GET /v1/device\0 HTTP/1.1')],
  ['a path that climbs', 404, (token) => changed(token, /^GET/, 'GET /v1/device/../../etc/passwd HTTP/1.1')],
  ['a path of another host', 404, (token) => changed(token, /^GET/, 'GET http://evil.example/ HTTP/1.1')],
  ['a path that is no URL', 400, (token) => changed(token, /^GET/, 'GET :::: HTTP/1.1')],
  ['a path of 8 KiB', 404, (token) => changed(token, /^GET/, `GET /${text(8_000)} HTTP/1.1`)],
  ['headers of 20 KiB', 431, (token) => added(token, `X-Much: ${text(20_000)}`)],
  [
    'three thousand headers',
    431,
    (token) => added(token, ...Array.from({ length: 3_000 }, (_, at) => `X-${at}: ${at}`)),
  ],
  ['a header without a colon', 400, (token) => added(token, 'nonsense')],
  ['a header with a space before the colon', 400, (token) => added(token, 'X-A : b')],
  ['a header with a null', 400, (token) => added(token, 'X-A: \0')],
  ['a header that is folded', 400, (token) => added(token, 'X-A: b', ' c')],
  ['two lengths', 400, (token) => added(token, 'Content-Length: 5', 'Content-Length: 6')],
  ['a length and chunks', 400, (token) => added(token, 'Content-Length: 5', 'Transfer-Encoding: chunked')],
  [
    'a token with a line break',
    401,
    (token) => changed(token, /^Authorization/, `Authorization: Bearer ${token.slice(0, 20)}`),
  ],
  ['a token of 8 KiB', 401, (token) => changed(token, /^Authorization/, `Authorization: Bearer ${text(8_000)}`)],
  [
    'a hundred subprotocols and not ours',
    426,
    (token) =>
      changed(
        token,
        /^Sec-WebSocket-Protocol/,
        `Sec-WebSocket-Protocol: ${Array.from({ length: 100 }, (_, at) => `p${at}`).join(', ')}`,
      ),
  ],
  [
    'subprotocols that cannot be read',
    400,
    (token) => changed(token, /^Sec-WebSocket-Protocol/, 'Sec-WebSocket-Protocol: telemetry-hub.v1,,;"'),
  ],
  ['bytes that are no HTTP', 400, () => Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 151) % 256))],
  ['a WebSocket frame instead of a request', 400, () => frames({ opcode: TEXT, payload: reading })],
];

describe('requests that nobody expects', () => {
  it.each(requests)('%s is refused with %i, and the connection ends', async (_, status, request) => {
    const socket = await connectSocket(hub);
    socket.write(request(await hub.addDevice(`fuzz-${++ids}`)));
    const said = (await socket.ended()).toString('latin1');
    expect(said.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(said.match(/HTTP\/1\.1/g)).toHaveLength(1);
    await expectCalm();
  });
});

describe('requests that are odd, with a good token,', () => {
  it.each<[string, RegExp, string]>([
    ['without Host', /^Host/, ''],
    ['with two of them', /^Host/, 'Host: a\r\nHost: b'],
    ['with a line break in the path, which ends it', /^GET/, 'GET /v1/device\nX: y HTTP/1.1'],
  ])('%s, are let in for the token, and no further', async (_, from, to) => {
    const socket = await connectSocket(hub);
    socket.write(changed(await hub.addDevice(`fuzz-${++ids}`), from, to));
    socket.write(frames({ opcode: TEXT, payload: reading }));
    expect((await socket.answer((data) => data.includes(ACK_1))).toString()).toContain(ACK_1);
    socket.destroy();
    const stranger = await connectSocket(hub);
    stranger.write(changed('thd_garbage', from, to));
    expect((await stranger.ended()).toString()).toMatch(/^HTTP\/1\.1 401 /);
    await expectCalm();
  });
});

describe('the hub', () => {
  it('is the process it was, and its log has no alarm and no broken line', async () => {
    await expectCalm();
    expect(hub.pid).toBe(pid);
    const levels = hub
      .log()
      .trimEnd()
      .split('\n')
      .map((line) => Number(JSON.parse(line).level));
    expect(levels.filter((level) => !(level < 50))).toEqual([]);
  });
});
