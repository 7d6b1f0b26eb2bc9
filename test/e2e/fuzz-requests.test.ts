/** Requests at the device door that HTTP forbids, or allows though nobody expects them, against a running hub. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CalmWatch, watchCalm } from '../helpers/calm.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { asHttp, connectSocket, upgradeRequest, wireFrame } from '../helpers/raw-socket.ts';

const TEXT = 1;
const ACK_1 = '{"type":"ack","seq":1}';
const READING = wireFrame({
  opcode: TEXT,
  payload: '{"type":"telemetry","seq":1,"stream":"environment","readings":[{"light":1}]}',
});
const text = (length: number) => 'x'.repeat(length);

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
  ['a WebSocket frame instead of a request', 400, () => READING],
];

describe('requests that nobody expects', () => {
  it.each(requests)('%s is refused with %i, and the connection ends', async (_, status, request) => {
    const socket = await connectSocket(hub);
    socket.write(request(await hub.addDevice(`fuzz-${++ids}`)));
    const said = (await socket.ended()).toString('latin1');
    expect(said.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(said.match(/HTTP\/1\.1/g)).toHaveLength(1);
    await watch.expectCalm();
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
    socket.write(READING);
    expect((await socket.answer((data) => data.includes(ACK_1))).toString()).toContain(ACK_1);
    socket.destroy();
    const stranger = await connectSocket(hub);
    stranger.write(changed('thd_garbage', from, to));
    expect((await stranger.ended()).toString()).toMatch(/^HTTP\/1\.1 401 /);
    await watch.expectCalm();
  });
});

it('the hub is the process it was, and its log has no alarm and no broken line', () => watch.expectSane());
