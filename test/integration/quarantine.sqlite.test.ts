/** The quarantine in its file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import { createSqliteQuarantine } from '../../hub/telemetry/quarantine.sqlite.ts';
import type { Quarantine } from '../../hub/telemetry/quarantine.ts';
import { frameOf, T0 } from '../helpers/frames.ts';

const REJECTED = {
  index: 2,
  path: '/temperature',
  code: 'maximum',
  message: 'must be <= 85',
  reading: { ts: 1, temperature: 99, note: 'a"\n\\ü' },
};
const bad = (device: string, index = 0) => frameOf(device, 'environment', [], [{ ...REJECTED, index }]);

describe('the quarantine', () => {
  let dir: string;
  let quarantine: Quarantine;
  const open = (limitReadings = 100) => createSqliteQuarantine({ file: join(dir, 'quarantine.db'), limitReadings });

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'quarantine-'));
    quarantine = await open();
  });
  afterEach(async () => {
    await quarantine.close();
    await rm(dir, { recursive: true });
  });

  it('keeps what was rejected, with the reason', async () => {
    const frame = frameOf('d', 'environment', [{ ts: T0, temperature: 1 }], [REJECTED]);
    expect(await quarantine.write([frameOf('d', 'environment', [{ ts: T0, light: 1 }]), frame])).toEqual([]);
    const { device, stream, epoch, seq, receivedAt } = frame;
    expect(await quarantine.list({ limit: 10 })).toEqual([
      { id: 1, device, stream, epoch, seq, receivedAt, ...REJECTED },
    ]);
    expect(await quarantine.count()).toEqual({ readings: 1, dropped: 0 });
  });

  it('keeps a frame that was rejected as a whole as one entry with all its readings', async () => {
    const whole = { path: '/stream', code: 'stream', message: 'no such stream', reading: [{ a: 1 }, { b: 2 }, 3] };
    await quarantine.write([frameOf('d', 'nothing', [], [whole])]);
    expect(await quarantine.list({ limit: 10 })).toMatchObject([{ code: 'stream', reading: [{ a: 1 }, { b: 2 }, 3] }]);
  });

  it('keeps what a store refused, in its words', async () => {
    const frame = frameOf('d', 'environment', [
      { ts: T0, temperature: 1 },
      { ts: T0, light: 2 },
    ]);
    const refused = frame.readings.map((reading) => ({ frame, reading, message: 'field type conflict' }));
    await quarantine.add(refused);
    await quarantine.add(refused.map((one) => ({ ...one, message: 'field type conflict dropped=2' })));
    const kept = await quarantine.list({ limit: 10 });
    expect(kept.map(({ code, message, path, reading }) => ({ code, message, path, reading }))).toEqual(
      [
        { ts: T0, light: 2 },
        { ts: T0, temperature: 1 },
      ].map((reading) => ({
        code: 'store',
        message: 'field type conflict',
        path: '',
        reading,
      })),
    );
  });

  it('changes nothing when the same comes again, also after it was opened again', async () => {
    const frames = [bad('a'), bad('b'), { ...bad('c'), seq: 0 }];
    await quarantine.write(frames);
    await quarantine.write(frames);
    await quarantine.close();
    quarantine = await open();
    await quarantine.write([...frames, bad('d')]);
    const kept = await quarantine.list({ limit: 10 });
    expect(kept.map(({ device }) => device)).toEqual(['d', 'c', 'b', 'a']);
    expect(await quarantine.count()).toEqual({ readings: 4, dropped: 0 });
  });

  it('lists one device, and page by page', async () => {
    await quarantine.write(Array.from({ length: 10 }, (_, index) => bad(index % 2 ? 'odd' : 'even', index)));
    const first = await quarantine.list({ device: 'odd', limit: 3 });
    expect(first.map(({ index }) => index)).toEqual([9, 7, 5]);
    const second = await quarantine.list({ device: 'odd', limit: 3, before: first.at(-1)!.id });
    expect(second.map(({ index }) => index)).toEqual([3, 1]);
    expect(await quarantine.list({ device: "' OR 1", limit: 3 })).toEqual([]);
  });

  it('lets the oldest go beyond its limit, and counts them', async () => {
    await quarantine.close();
    quarantine = await open(5);
    const frames = Array.from({ length: 12 }, (_, index) => bad('d', index));
    for (const frame of frames) await quarantine.write([frame, frame]);
    expect((await quarantine.list({ limit: 10 })).map(({ index }) => index)).toEqual([11, 10, 9, 8, 7]);
    expect(await quarantine.count()).toEqual({ readings: 5, dropped: 7 });
  });

  it('keeps nothing when it may not', async () => {
    await quarantine.close();
    quarantine = await open(0);
    await quarantine.write([bad('d')]);
    expect(await quarantine.count()).toEqual({ readings: 0, dropped: 1 });
  });

  it('cuts a reading that is too large', async () => {
    const huge = { ...REJECTED, reading: { note: 'x'.repeat(100_000) } };
    await quarantine.write([frameOf('d', 'environment', [], [huge])]);
    const [kept] = await quarantine.list({ limit: 1 });
    expect(kept!.reading).toBe(`{"note":"${'x'.repeat(16_384 - 9)}`);
  });

  it('closes once', async () => {
    await Promise.all([quarantine.close(), quarantine.close()]);
    await expect(quarantine.list({ limit: 1 })).rejects.toThrow(Unavailable);
  });
});
