import { afterEach, expect, it, vi } from 'vitest';
import { alarmAt, createSpaceWatch, type SpaceWatch } from '../../hub/telemetry/journal-space.ts';
import { CrashDisk } from '../helpers/crash-fs.ts';
import { T0 } from '../helpers/frames.ts';
import { commit, frame, open } from '../helpers/journals.ts';
import { createTestLog } from '../helpers/log.ts';

const LIMIT = 1000;

let bytes = 0;
let freeBytes: number | undefined;
let watch: SpaceWatch | undefined;
const { log, entries } = createTestLog();

function space(): Promise<{ freeBytes: number }> {
  return freeBytes === undefined ? Promise.reject(new Error('ENOSYS')) : Promise.resolve({ freeBytes });
}

async function look(used: number, free = 1e9) {
  bytes = used;
  freeBytes = free;
  watch ??= createSpaceWatch({ files: { space }, folder: '/', limitBytes: LIMIT, bytes: () => bytes, log });
  await watch.look();
  return watch.status();
}

afterEach(() => {
  watch?.close();
  watch = undefined;
  entries.length = 0;
  vi.useRealTimers();
});

it('measures by the limit while the disk has more room than that', async () => {
  expect(await look(250, 750)).toEqual({
    ...{ roomBytes: 750, endsBy: 'limit', usedPercent: 25, alarm: 0, diskFreeBytes: 750 },
  });
});

it('measures by the disk when it ends before the limit', async () => {
  expect(await look(250, 100)).toMatchObject({ roomBytes: 100, endsBy: 'disk', usedPercent: 90, alarm: 85 });
});

it.each([
  [0, 69.9, 0],
  [0, 70, 70],
  [0, 100, 95],
  [70, 68, 70],
  [70, 67, 0],
  [95, 92.5, 95],
  [95, 91, 85],
  [95, 10, 0],
  [85, 96, 95],
] as const)('after alarm %i, at %d percent stands alarm %i', (before, percent, alarm) => {
  expect(alarmAt(percent, before)).toBe(alarm);
});

it('logs each crossing once, up and down', async () => {
  for (const used of [100, 710, 690, 720, 860, 870, 990, 930, 900, 500, 400]) await look(used);
  expect(entries.map(({ level, fields }) => [level, (fields as { alarm: number }).alarm])).toEqual([
    ['warn', 70],
    ['warn', 85],
    ['error', 95],
    ['info', 85],
    ['info', 0],
  ]);
});

it('goes by the limit alone where the machine does not tell, and says so once', async () => {
  await look(100);
  freeBytes = undefined;
  await watch!.look();
  await watch!.look();
  expect(watch!.status()).toEqual({ roomBytes: 900, endsBy: 'limit', usedPercent: 10, alarm: 0 });
  expect(entries.map(({ level }) => level)).toEqual(['warn']);
});

it('looks every two seconds until it is closed', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  await look(100);
  bytes = 800;
  vi.advanceTimersByTime(2_000);
  await expect.poll(() => watch!.status().alarm).toBe(70);
  watch!.close();
  bytes = 0;
  vi.advanceTimersByTime(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(watch!.status().alarm).toBe(70);
});

it('is what a journal says of itself from its start on, with what others have left of the disk', async () => {
  const disk = new CrashDisk();
  disk.capacityBytes = 60_000;
  const journal = await open(disk.mount(), { limitBytes: 100_000 });
  expect(journal.status(T0).space).toMatchObject({ endsBy: 'disk', alarm: 0 });
  journal.append(frame('a', 1, { readings: [{ ts: T0, text: 'x'.repeat(50_000) }] }));
  await commit(journal);
  await journal.close();
  const again = await open(disk.mount(), { limitBytes: 100_000 });
  expect(again.status(T0).space).toMatchObject({ endsBy: 'disk', alarm: 85 });
  await again.close();
});
