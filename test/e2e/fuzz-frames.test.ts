/** Frames that RFC 6455 forbids, or allows though nobody expects them, against a running hub. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CalmWatch, watchCalm } from '../helpers/calm.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
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
let watch: CalmWatch;
let ids = 0;

beforeAll(async () => {
  hub = await startTestHub();
  watch = await watchCalm(hub);
});

afterAll(async () => {
  await hub.dispose();
});

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
    await watch.expectCalm();
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
    await watch.expectCalm();
  });
});

it('the hub is the process it was, and its log has no alarm and no broken line', () => watch.expectSane());
