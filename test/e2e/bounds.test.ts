/** I6: peers that never read, or say far too much, cost the hub a bounded amount of memory, and others nothing. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';
import { asHttp, upgradeRequest, wireFrame } from '../helpers/raw-socket.ts';

const PEERS = 20;
/** Each peer sends so much, if it is let; what the hub would keep for all of them without a bound is far beyond the limit. */
const PEER_MIB = 32;
const LIMIT_MIB = 250;
/** Far less than all of them together. */
const LONG_LIMIT_MIB = 550;
const PATIENCE_MS = 60_000;

let hub: TestHub;

afterEach(async () => {
  await hub.dispose();
});

const rssMib = () => Number(readFileSync(`/proc/${hub.pid}/statm`, 'latin1').split(' ')[1]) / 256;

/** A peer that sends the same bytes until it has sent its share, or is cut off. It never reads if `isDeaf`. */
async function peer(token: string, bytes: Buffer, isDeaf: boolean): Promise<TLSSocket> {
  const { hostname, port } = new URL(hub.gateway);
  const socket = connect({ host: hostname, port: Number(port), ca: hub.ca, servername: 'localhost' });
  socket.on('error', () => {});
  socket.write(asHttp(upgradeRequest(token)));
  await new Promise((resolve) => socket.once('data', resolve));
  if (isDeaf) socket.pause();
  else socket.resume();
  let sent = 0;
  const more = () => {
    while (sent < PEER_MIB * 2 ** 20 && !socket.destroyed) {
      sent += bytes.length;
      if (!socket.write(bytes)) return void socket.once('drain', more);
    }
  };
  more();
  return socket;
}

const ping = wireFrame({ opcode: 9, payload: 'x'.repeat(125) });
const rubbish = wireFrame({ opcode: 1, payload: '{"type":' });
const crumb = wireFrame({ opcode: 0, payload: 'x', fin: false });
const repeated = (bytes: Buffer) => Buffer.concat(Array.from({ length: 500 }, () => bytes));

it.each<[string, Buffer, boolean]>([
  ['send pings and never read the pongs', repeated(ping), true],
  ['send pings without end, and read', repeated(ping), false],
  ['send nonsense and never read the errors', repeated(rubbish), true],
  [
    'send a message in crumbs of one byte',
    Buffer.concat([wireFrame({ opcode: 1, payload: '', fin: false }), repeated(crumb)]),
    true,
  ],
])(`${PEERS} peers that %s cost at most ${LIMIT_MIB} MiB`, async (_, bytes, isDeaf) => {
  hub = await startTestHub();
  const witness = await connectRaw(hub, { token: await hub.addDevice('witness') });
  const before = rssMib();
  const tokens = await Promise.all(Array.from({ length: PEERS }, (_peer, at) => hub.addDevice(`peer-${at}`)));
  const peers = await Promise.all(tokens.map((token) => peer(token, bytes, isDeaf)));
  let most = 0;
  let seq = 0;
  const until = Date.now() + PATIENCE_MS;
  const isBusy = () => peers.some((socket) => !socket.destroyed && socket.writableLength > 0);
  while (seq < 10 || (isBusy() && Date.now() < until && seq < 200)) {
    witness.say({ type: 'telemetry', seq: ++seq, stream: 'environment', readings: [{ light: seq }] });
    expect(await witness.next()).toEqual({ type: 'ack', seq });
    most = Math.max(most, rssMib() - before);
    await sleep(20);
  }
  for (const socket of peers) socket.destroy();
  expect(most).toBeLessThan(LIMIT_MIB);
});

it(`refused readings as long as a frame cost at most ${LONG_LIMIT_MIB} MiB, however many are kept`, async () => {
  hub = await startTestHub({ HUB_LIMITS__BYTES_PER_SECOND: '1000000000' });
  const long = 'x'.repeat(120_000);
  const device = await connectRaw(hub, { token: await hub.addDevice('d1') });
  device.say({ type: 'hello', epoch: 'long' });
  await device.next();
  const before = rssMib();
  let most = 0;
  const FRAMES = 5_500;
  const AHEAD = 20;
  let acked = 0;
  for (let seq = 1; acked < FRAMES; ) {
    while (seq <= FRAMES && seq - acked <= AHEAD) {
      device.say({ type: 'telemetry', seq, stream: 'unknown', readings: [{ text: long }] });
      seq++;
    }
    const answer = await device.next();
    if (answer.type === 'ack') acked = Number(answer.seq);
    else expect(answer.type).toBe('reject');
    most = Math.max(most, rssMib() - before);
  }
  device.close();
  expect(most).toBeLessThan(LONG_LIMIT_MIB);
});
