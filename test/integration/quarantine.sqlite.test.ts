/** The quarantine in its file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
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
  let logged: string[];
  let now: number;
  const tell = (level: string) => (_fields: object, message: string) => void logged.push(`${level} ${message}`);
  const log = { error: tell('error'), warn: tell('warn'), info: tell('info') };
  const open = (limitReadings = 100) =>
    createSqliteQuarantine({
      file: join(dir, 'quarantine.db'),
      limitReadings,
      rememberMs: 60_000,
      log,
      now: () => now,
    });
  const reopen = async (limitReadings?: number) => {
    await quarantine.close();
    quarantine = await open(limitReadings);
  };

  beforeEach(async () => {
    logged = [];
    now = T0;
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
    const kept = { id: 1, device, stream, epoch, seq, receivedAt, ...REJECTED };
    expect(await quarantine.list({ limit: 10 })).toEqual([kept]);
    expect(await quarantine.get(1)).toEqual(kept);
    expect(await quarantine.get(2)).toBeUndefined();
    expect(quarantine.status()).toEqual({ readings: 1, limitReadings: 100, alarm: 0, dropped: 0 });
  });

  it('keeps each reading of a frame that was rejected as a whole, with its time', async () => {
    const reading = [{ a: 1 }, { b: 2, ts: 5 }, 3, { c: 3, age: 1000 }];
    const whole = { path: '/stream', code: 'stream', message: 'no such stream', reading, ts: T0 };
    const frame = frameOf('d', 'nothing', [], [whole]);
    expect(quarantine.countOf!(frame)).toBe(4);
    await quarantine.write([frame]);
    const kept = await quarantine.list({ after: 0, limit: 10 });
    expect(kept.map(({ index, code, reading, ts }) => ({ index, code, reading, ts }))).toEqual([
      { index: 0, code: 'stream', reading: { a: 1 }, ts: T0 },
      { index: 1, code: 'stream', reading: { b: 2, ts: 5 }, ts: undefined },
      { index: 2, code: 'stream', reading: 3, ts: undefined },
      { index: 3, code: 'stream', reading: { c: 3, age: 1000 }, ts: T0 - 1000 + 0.003 },
    ]);
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
    await reopen();
    await quarantine.write([...frames, bad('d')]);
    const kept = await quarantine.list({ limit: 10 });
    expect(kept.map(({ device }) => device)).toEqual(['d', 'c', 'b', 'a']);
    expect(quarantine.status()).toMatchObject({ readings: 4, dropped: 0 });
  });

  it('does not take again what was dropped, when a store that is filled again refuses it once more', async () => {
    const frames = [bad('a'), bad('b')];
    await quarantine.write(frames);
    expect(await quarantine.remove({ device: 'a' })).toBe(1);
    await reopen();
    await quarantine.write(frames);
    expect((await quarantine.list({ limit: 10 })).map(({ device }) => device)).toEqual(['b']);
    expect(quarantine.status().readings).toBe(1);
    // After the replay window nothing brings it back but the device itself.
    now += 60_001;
    await quarantine.remove({ device: 'b' });
    await quarantine.write(frames);
    expect((await quarantine.list({ limit: 10 })).map(({ device }) => device)).toEqual(['a']);
  });

  it('lists and removes by device, stream, rule, time and id, page by page', async () => {
    const frames = Array.from({ length: 10 }, (_, index) => bad(index % 2 ? 'odd' : 'even', index));
    await quarantine.write(frames);
    const first = await quarantine.list({ device: 'odd', limit: 3 });
    expect(first.map(({ index }) => index)).toEqual([9, 7, 5]);
    const second = await quarantine.list({ device: 'odd', limit: 3, before: first.at(-1)!.id });
    expect(second.map(({ index }) => index)).toEqual([3, 1]);
    const upwards = await quarantine.list({ device: 'odd', limit: 2, after: second.at(-1)!.id });
    expect(upwards.map(({ index }) => index)).toEqual([3, 5]);
    expect(await quarantine.list({ device: "' OR 1", limit: 3 })).toEqual([]);
    expect(await quarantine.list({ stream: 'environment', code: 'maximum', limit: 99 })).toHaveLength(10);
    expect(await quarantine.list({ code: 'type', limit: 99 })).toEqual([]);
    const [from, to] = [frames[3]!.receivedAt, frames[6]!.receivedAt];
    expect((await quarantine.list({ from, to, limit: 99 })).map(({ index }) => index)).toEqual([5, 4, 3]);
    expect(await quarantine.remove({ ids: first.map(({ id }) => id) })).toBe(3);
    expect(await quarantine.remove({ ids: first.map(({ id }) => id) })).toBe(0);
    expect(await quarantine.remove({ device: 'even', from, to })).toBe(1);
    expect(quarantine.status().readings).toBe(6);
    expect(await quarantine.remove({})).toBe(6);
    expect(quarantine.status().readings).toBe(0);
  });

  it('gives a reading that stays the reason of today', async () => {
    await quarantine.write([bad('d'), bad('e')]);
    await quarantine.amend([{ id: 2, path: '/x', code: 'type', message: 'must be number' }], T0);
    expect(await quarantine.list({ limit: 1 })).toMatchObject([
      { id: 2, device: 'e', path: '/x', code: 'type', message: 'must be number', triedAt: T0 },
    ]);
    expect(await quarantine.get(1)).toMatchObject({ code: 'maximum' });
  });

  it('lets nobody in when it is full, one device in for a quarter of it, and forgets nothing', async () => {
    await reopen(8);
    expect(quarantine.admits('a', 2)).toBe(true);
    expect(quarantine.admits('a', 3)).toBe(false);
    await quarantine.write([bad('a', 1), bad('a', 2)]);
    expect(quarantine.admits('a', 1)).toBe(false);
    expect(logged.map((line) => line.slice(0, 50))).toEqual(['error quarantine: a device has used up its quarter']);
    await quarantine.write([bad('b', 1), bad('b', 2), bad('c', 1), bad('c', 2), bad('d', 1)]);
    expect(quarantine.admits('e', 1)).toBe(true);
    expect(quarantine.admits('e', 2)).toBe(false);
    quarantine.expect([bad('e', 1)]);
    expect(quarantine.admits('f', 1)).toBe(false);
    await quarantine.write([bad('e', 1)]);
    await reopen(8);
    expect(quarantine.admits('f', 1)).toBe(false);
    expect(quarantine.status()).toMatchObject({ readings: 8, alarm: 100 });
    await quarantine.remove({ device: 'a' });
    expect(quarantine.admits('a', 2)).toBe(true);
  });

  it('has as much room again for what was promised or acknowledged, and then stalls', async () => {
    await reopen(2);
    const frame = frameOf('d', 'environment', [{ ts: T0, light: 2 }]);
    const refused = (light: number) => [{ frame, reading: { ts: T0, light }, message: 'field type conflict' }];
    for (let light = 0; light < 4; light++) await quarantine.add(refused(light));
    const failure = await quarantine.add(refused(5)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Unavailable);
    expect(failure).toMatchObject({ stalled: true, message: expect.stringContaining('limits.quarantineReadings') });
    await expect(quarantine.write([bad('d')])).rejects.toThrow(Unavailable);
    await quarantine.remove({});
    await quarantine.add(refused(5));
    expect(quarantine.status().readings).toBe(1);
  });

  it('tells once when it is nearly full, when it is full, and when there is room again', async () => {
    await reopen(10);
    for (let count = 0; count < 12; count++) await quarantine.write([bad('d', count)]);
    expect(quarantine.status().alarm).toBe(100);
    await quarantine.remove({ ids: [1, 2, 3, 4] });
    expect(quarantine.status().alarm).toBe(80);
    await quarantine.remove({ ids: [5] });
    expect(quarantine.status().alarm).toBe(0);
    expect(logged.map((line) => line.slice(0, 30))).toEqual([
      'warn quarantine: 80 % of its r',
      'error quarantine: it is full; ',
      'info quarantine: there is room',
      'info quarantine: there is room',
    ]);
  });

  it('keeps nothing when it may not', async () => {
    await reopen(0);
    expect(quarantine.admits('d', 1)).toBe(true);
    await quarantine.write([bad('d')]);
    expect(quarantine.status()).toMatchObject({ readings: 0, dropped: 1, alarm: 0 });
  });

  it('cuts a reading that is too large', async () => {
    const huge = { ...REJECTED, reading: { note: 'x'.repeat(100_000) } };
    await quarantine.write([frameOf('d', 'environment', [], [huge])]);
    const [kept] = await quarantine.list({ limit: 1 });
    expect(kept!.reading).toBe(`{"note":"${'x'.repeat(16_384 - 9)}`);
  });

  it('opens the file of an earlier version', async () => {
    await quarantine.close();
    const old = new DatabaseSync(join(dir, 'quarantine.db'));
    old.exec('DROP TABLE quarantine');
    old.exec(`CREATE TABLE quarantine (
      id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, device TEXT NOT NULL, stream TEXT NOT NULL, epoch TEXT NOT NULL,
      seq INTEGER NOT NULL, receivedAt REAL NOT NULL, place INTEGER, path TEXT NOT NULL, code TEXT NOT NULL,
      message TEXT NOT NULL, reading TEXT NOT NULL) STRICT`);
    old.exec(`INSERT INTO quarantine VALUES (7, 'k', 'd', 'power', 'e', 1, 1, NULL, '', 'type', 'no', '{"a":1}')`);
    old.close();
    quarantine = await open();
    await quarantine.write([bad('d')]);
    expect((await quarantine.list({ limit: 9 })).map(({ id, code }) => [id, code])).toEqual([
      [8, 'maximum'],
      [7, 'type'],
    ]);
    expect(quarantine.status().readings).toBe(2);
  });

  it('closes once', async () => {
    await Promise.all([quarantine.close(), quarantine.close()]);
    await expect(quarantine.list({ limit: 1 })).rejects.toThrow(Unavailable);
  });
});
