import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HubStatus } from '../../hub/api/status.ts';
import type { Command } from '../../hub/commands/command.ts';
import { nodeFiles } from '../../hub/telemetry/files.node.ts';
import { checkJournal } from '../../hub/telemetry/journal-check.ts';
import { exportJournal } from '../../hub/telemetry/journal-export.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { hitBy, spoil } from '../helpers/journal-damage.ts';
import { ledgerDevice } from '../helpers/ledger.ts';
import { seededRandom } from '../helpers/random.ts';
import { connectRaw, type RawDevice } from '../helpers/raw-device.ts';
import { goneWithinMs } from '../helpers/revocation.ts';
import { mountSmallDisk } from '../helpers/small-disk.ts';
import { balanceOf } from '../helpers/stored.ts';
import { acksIn, attachStrace } from '../helpers/strace.ts';

const SEED = Number(process.env.TEST_SEED ?? 20_261_121);
const ROUNDS = 5;
const FULL_RATE = { HUB_LIMITS__READINGS_PER_SECOND: '1000000' };

let folder: string;
let hub: TestHub | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-promises-'));
});

afterEach(async () => {
  await hub?.dispose();
  hub = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const statusOf = (each: TestHub) => each.call<HubStatus>('GET', '/v1/status');

async function untilDelivered(each: TestHub): Promise<void> {
  const lag = async () => Math.max(...(await statusOf(each)).sinks.map(({ lagFrames }) => lagFrames));
  await expect.poll(lag, { interval: 100 }).toBe(0);
}

it('I1: acknowledges nothing before the write with it and an fdatasync after it returned, as the system calls show', async () => {
  hub = await startTestHub({ ...FULL_RATE, HUB_GATEWAY__TLS__ENABLED: 'false' });
  const trace = join(folder, 'trace');
  const calls = 'trace=write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync';
  const strace = await attachStrace(hub.pid, ['-y', '-s', '65536', '-e', calls, '-o', trace]);
  const device = await connectRaw(hub, { token: await hub.addDevice('d1') });
  device.say({ type: 'hello', epoch: 'e1' });
  await device.next();
  const frames = 300;
  for (let seq = 1; seq <= frames; seq++) {
    device.say({ type: 'telemetry', seq, stream: 'environment', readings: [{ light: seq }] });
    if (seq % 7 === 0) await new Promise((resolve) => setTimeout(resolve, seq % 5));
  }
  for (let acked = 0; acked < frames; ) {
    const answer = await device.next();
    if (answer.type === 'ack') acked = answer.seq as number;
  }
  device.close();
  await strace.detach();
  const seen = acksIn(readFileSync(trace, 'utf8'));
  expect(seen.early).toEqual([]);
  expect(Math.max(...seen.acked)).toBe(frames);
  expect(seen.acked.size).toBeGreaterThan(5);
  expect(seen.syncs).toBeGreaterThanOrEqual(seen.acked.size);
});

it(`I13: starts with any damage, says where it is, and misses only what was hit (seed ${SEED})`, async () => {
  hub = await startTestHub({ ...FULL_RATE, HUB_JOURNAL__SEGMENT_BYTES: '65536' });
  const random = seededRandom(SEED);
  const device = await ledgerDevice(hub, 'd1', Date.now() - 3_600_000);
  for (let frame = 0; frame < 3_000; frame++) device.sendFrame(1);
  await device.settled(60_000);
  await device.stop();
  await untilDelivered(hub);
  const dir = join(hub.dataDir, 'journal');
  let left = await framesIn(dir);
  expect(left.size).toBe(3_000);
  let missing = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await hub.kill();
    const hit = damageOne(dir, random);
    // Sinks shall read all of it again, and so find what is broken.
    rmSync(join(dir, 'cursors.json'), { force: true });
    await hub.start();
    await untilDelivered(hub);
    const found = await framesIn(dir);
    const lost = [...left.keys()].filter((offset) => !found.has(offset));
    expect(
      lost.filter((offset) => !hit.has(offset)),
      `round ${round}: lost without damage`,
    ).toEqual([]);
    for (const [offset, frame] of found) expect(frame).toEqual(left.get(offset));
    if (lost.length > 0) expect((await statusOf(hub)).journal.damage.length).toBeGreaterThan(0);
    missing += lost.length;
    left = found;
  }
  expect(missing).toBeGreaterThan(0);
  const { findings } = await checkJournal(nodeFiles, dir, Date.now());
  for (const { file, at } of findings)
    expect([file, at]).toEqual([expect.stringMatching(/\.journal$/), expect.any(Number)]);
  const again = await connectRaw(hub, { token: await hub.addDevice('d2') });
  again.say({ type: 'hello', epoch: 'e1' });
  again.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 1 }] });
  expect([(await again.next()).type, await again.next()]).toEqual(['welcome', { type: 'ack', seq: 1 }]);
  again.close();
});

/** Every frame of a journal by its offset. */
async function framesIn(dir: string): Promise<Map<number, unknown>> {
  const frames = new Map<number, unknown>();
  for await (const frame of exportJournal(nodeFiles, dir, {}, Date.now(), () => {})) frames.set(frame.offset, frame);
  return frames;
}

/** Spoils a segment; resolves to the offsets that were in what is spoilt. */
function damageOne(dir: string, random: () => number): Set<number> {
  const segments = readdirSync(dir).filter((name) => name.endsWith('.journal'));
  const path = join(dir, segments[Math.floor(random() * segments.length)]!);
  const bytes = readFileSync(path);
  const { from, to, spoiled } = spoil(bytes, random);
  writeFileSync(path, spoiled);
  return new Set(hitBy(bytes, from, to));
}

it('I14: acknowledges nothing that a failing fdatasync did not put on the disk, and goes on in another file', async () => {
  hub = await startTestHub(FULL_RATE);
  const device = await ledgerDevice(hub, 'd1', Date.now() - 3_600_000);
  device.sendFrame(1);
  await device.settled(10_000);
  const first = join(hub.dataDir, 'journal/0000000000000000.journal');
  const spoilt = [
    '-P',
    first,
    '-e',
    'trace=fdatasync',
    '-e',
    'inject=fdatasync:error=EIO',
    '-o',
    join(folder, 'trace'),
  ];
  const strace = await attachStrace(hub.pid, spoilt);
  for (let frame = 0; frame < 500; frame++) {
    device.sendFrame(2);
    if (frame % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await device.settled(60_000);
  await strace.detach();
  expect(readFileSync(join(folder, 'trace'), 'utf8')).toContain('(INJECTED)');
  await expect.poll(hub.log).toContain('journal: a write failed; devices are told to wait');
  expect((await statusOf(hub)).journal.failing).toBe(false);
  await hub.kill();
  await hub.start();
  await untilDelivered(hub);
  expect(await balanceOf(hub, [device])).toEqual({ lost: 0, phantom: 0, duplicated: 0 });
  await device.stop();
});

it('I14: waits while its disk is full, serves the rest, and goes on without a restart', async () => {
  const disk = await mountSmallDisk(4 * 2 ** 20);
  try {
    await fillAndFree(disk.path);
  } finally {
    await hub?.kill();
    await disk.unmount();
  }
});

/** What is left of it is filled by the readings. */
async function fillAndFree(disk: string): Promise<void> {
  const sizes = { HUB_JOURNAL__DIR: join(disk, 'journal'), HUB_JOURNAL__LIMIT_BYTES: String(4 * 2 ** 20) };
  const each = await startTestHub({ ...FULL_RATE, ...sizes, HUB_JOURNAL__SEGMENT_BYTES: '65536' });
  hub = each;
  const filler = join(disk, 'filler');
  writeFileSync(filler, Buffer.alloc(4 * 2 ** 20 - 200 * 1024, 1));
  const device = await ledgerDevice(each, 'd1', Date.now() - 3_600_000);
  const other = await connectRaw(each, { token: await each.addDevice('other') });
  const { pid } = each;
  const isFailing = async () => (await statusOf(each)).journal.failing;
  while (!(await isFailing())) {
    for (let frame = 0; frame < 50; frame++) device.sendFrame(3);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const ackedWhenFull = device.acked.size;
  await expect.poll(async () => (await statusOf(each)).journal.space).toMatchObject({ endsBy: 'disk', alarm: 95 });
  expect((await fetch(`${each.api}/readyz`)).status).toBe(503);
  await commandAndRevoke(each, other, 'other');
  // A newcomer too: nothing of this needs the journal.
  const late = await connectRaw(each, { token: await each.addDevice('late') });
  await commandAndRevoke(each, late, 'late');
  expect(await isFailing()).toBe(true);
  expect(device.sent.size).toBeGreaterThan(ackedWhenFull);
  rmSync(filler);
  await device.settled(60_000);
  expect([each.pid, await isFailing()]).toEqual([pid, false]);
  await expect.poll(each.log).toContain('journal: a new segment was begun, frames are taken again');
  await expect.poll(async () => (await statusOf(each)).journal.space.alarm).toBe(0);
  await each.kill();
  await each.start();
  await untilDelivered(each);
  expect(await balanceOf(each, [device])).toEqual({ lost: 0, phantom: 0, duplicated: 0 });
  await device.stop();
}

/** While nothing can be acknowledged the device is told to wait, is sent a command, answers it, and loses its token. */
async function commandAndRevoke(each: TestHub, device: RawDevice, id: string): Promise<void> {
  device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 1 }] });
  expect(await device.next()).toMatchObject({ type: 'flow', reason: 'disk', from: 1 });
  const sent = await each.call<Command>('POST', `/v1/devices/${id}/commands`, { name: 'identify' });
  expect(await device.next()).toMatchObject({ type: 'command', id: sent.id });
  device.say({ type: 'result', id: sent.id, ok: true });
  const ended = await each.call<Command>('GET', `/v1/commands/${sent.id}?wait=10s`);
  expect(ended.state).toBe('succeeded');
  const askedAt = performance.now();
  await each.call('DELETE', `/v1/devices/${id}/tokens`);
  const revokedAt = performance.now();
  expect(await device.closed).toBe(4502);
  expect(performance.now() - revokedAt).toBeLessThan(goneWithinMs(revokedAt - askedAt));
}
