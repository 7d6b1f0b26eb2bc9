import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Journal } from '../../hub/telemetry/journal.ts';
import { type Call, CrashDisk } from '../helpers/crash-fs.ts';
import { T0 } from '../helpers/frames.ts';
import { commit, DIR, frame, Listener, open, readAll, until } from '../helpers/journals.ts';
import { createTestLog } from '../helpers/log.ts';

const FIRST = `${DIR}/0000000000000000.journal`;
const KIB = 1024;
const BIG = [{ ts: T0, text: 'x'.repeat(KIB) }];

/** Appends frames of about 1 KiB, one group each, until there are as many. */
async function fill(journal: Journal, from: number, to: number): Promise<void> {
  for (let seq = from; seq <= to; seq++) {
    const committed = commit(journal);
    expect(journal.append(frame('a', seq, { readings: BIG }))).toBeUndefined();
    await committed;
  }
}

/** Remembers the calls on the disk. */
function trace(disk: CrashDisk): Call[] {
  const calls: Call[] = [];
  disk.onCall = (call) => {
    calls.push(call);
    return undefined;
  };
  return calls;
}

const seqs = (frames: { seq: number }[]) => frames.map(({ seq }) => seq);
const segmentFiles = (disk: CrashDisk) => disk.paths().filter((path) => path.endsWith('.journal'));

afterEach(() => {
  vi.useRealTimers();
});

describe('a group commit', () => {
  it('tells each owner once, by its highest number, and then those who listen', async () => {
    const journal = await open(new CrashDisk().mount());
    const [a, b] = [new Listener(), new Listener()];
    const committed = new Promise<void>((resolve) => {
      journal.onCommit((frames, next) => {
        expect(seqs([...frames])).toEqual([7, 8, 3, 0, 9]);
        expect(next).toBe(5);
        expect([a.acks, b.acks]).toEqual([[9], [3]]);
        resolve();
      });
    });
    for (const seq of [7, 8]) journal.append(frame('a', seq, { owner: a }));
    journal.append(frame('b', 3, { owner: b }));
    journal.append(frame('b', 0, { owner: b }));
    journal.append(frame('a', 9, { owner: a }));
    await committed;
  });

  it('has moved what is held on when the owner hears of it', async () => {
    const journal = await open(new CrashDisk().mount());
    const heard = new Promise((resolve) => {
      const owner = { durable: () => resolve(journal.held('a')), refused() {} };
      journal.append(frame('a', 1, { owner }));
      expect(journal.held('a')).toBeUndefined();
    });
    expect(await heard).toEqual({ epoch: 'e1', seq: 1 });
  });

  it('tells nobody before the fdatasync returned', async () => {
    const files = new CrashDisk().mount();
    const gate = Promise.withResolvers<void>();
    let syncs = 0;
    const slow = async (path: string, mode: 'read' | 'update' | 'create' | 'exclusive') => {
      const file = await files.open(path, mode);
      const datasync = async () => {
        // The first is that of the new segment's header.
        if (++syncs > 1) await gate.promise;
        await file.datasync();
      };
      return { ...file, datasync };
    };
    const journal = await open({ ...files, open: slow });
    const owner = new Listener();
    journal.append(frame('a', 1, { owner }));
    await until(() => syncs === 2);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([owner.acks, journal.held('a'), await journal.read(0, 10)]).toEqual([[], undefined, undefined]);
    gate.resolve();
    await until(() => owner.acks.length > 0);
    expect(owner.acks).toEqual([1]);
  });

  it('takes as the next group what arrives while the disk is busy', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    const groups: number[] = [];
    journal.onCommit((frames) => groups.push(frames.length));
    journal.append(frame('a', 1));
    let seq = 1;
    disk.onCall = ({ kind }) => {
      if (kind === 'datasync' && seq < 4) journal.append(frame('a', ++seq));
      if (kind === 'write' && seq < 4) journal.append(frame('a', ++seq));
      return undefined;
    };
    await until(() => groups.reduce((sum, count) => sum + count, 0) === 4);
    expect(groups).toEqual([1, 3]);
    expect(seqs(await readAll(journal))).toEqual([1, 2, 3, 4]);
  });

  it('waits for company as long as the linger says', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const journal = await open(new CrashDisk().mount(), { lingerMs: 5 });
    const owner = new Listener();
    journal.append(frame('a', 1, { owner }));
    vi.advanceTimersByTime(4);
    journal.append(frame('a', 2, { owner }));
    for (let turns = 0; turns < 30; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(owner.acks).toEqual([]);
    vi.advanceTimersByTime(1);
    await commit(journal);
    expect(owner.acks).toEqual([2]);
  });

  it('does not wait for a timer that is late when the group is large', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const journal = await open(new CrashDisk().mount(), { lingerMs: 1000 });
    const committed = commit(journal);
    for (let seq = 1; seq <= 600; seq++) journal.append(frame('a', seq, { readings: BIG }));
    await committed;
  });

  it('refuses frames when the group that waits for a slow disk is 16 MiB large', async () => {
    const files = new CrashDisk().mount();
    const gate = Promise.withResolvers<void>();
    const stuck: typeof files.open = async (path, mode) => {
      const file = await files.open(path, mode);
      return { ...file, datasync: () => gate.promise };
    };
    const journal = await open({ ...files, open: stuck });
    const megabyte = [{ ts: T0, text: 'x'.repeat(KIB * KIB) }];
    let taken = 0;
    while (!journal.append(frame('a', taken + 1, { readings: megabyte }))) taken++;
    expect(journal.append(frame('a', taken + 1, { readings: megabyte }))).toBe('busy');
    // One is in flight, fifteen with their headers fit into 16 MiB.
    expect(taken).toBe(16);
    gate.resolve();
    await journal.close();
  });
});

describe('reading', () => {
  it('resolves to undefined at the end', async () => {
    const journal = await open(new CrashDisk().mount());
    expect(await journal.read(0, 10)).toBeUndefined();
  });

  it('takes what is recent from memory, without touching the disk', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    await fill(journal, 1, 20);
    const calls = trace(disk);
    expect(seqs(await readAll(journal))).toHaveLength(20);
    expect(calls).toEqual([]);
  });

  it('takes what is older from the disk, in the same order, in batches about as large as wanted', async () => {
    const journal = await open(new CrashDisk().mount(), { memoryReadings: 10, segmentBytes: 8 * KIB });
    await fill(journal, 1, 40);
    expect(seqs(await readAll(journal, 0, 3))).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    // Each is long enough to count as two.
    const batch = await journal.read(2, 6);
    expect(batch).toMatchObject({ from: 2, next: 5, committedAt: T0 });
    expect(batch!.frames).toEqual([3, 4, 5].map((seq) => frame('a', seq, { readings: BIG })));
  });

  it('begins in the middle of a group', async () => {
    const journal = await open(new CrashDisk().mount(), { memoryReadings: 0 });
    for (let seq = 1; seq <= 10; seq++) journal.append(frame('a', seq));
    await commit(journal);
    expect(seqs(await readAll(journal, 3, 2))).toEqual([4, 5, 6, 7, 8, 9, 10]);
  });

  it('begins at the first offset when what was asked for is gone', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { memoryReadings: 0, segmentBytes: 4 * KIB });
    await fill(journal, 1, 20);
    journal.advance('store', 20);
    await journal.sweep(T0 + 1);
    const { first } = journal.status(T0);
    expect(first).toBeGreaterThan(4);
    expect((await journal.read(2, 1))!.frames[0]!.seq).toBe(first + 1);
  });

  it('reads on where it stopped instead of searching the segment again', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { memoryReadings: 0 });
    await fill(journal, 1, 300);
    await readAll(journal, 0, 50);
    const calls = trace(disk);
    await journal.read(150, 1);
    await journal.read(250, 1);
    expect(calls.filter(({ kind }) => kind === 'read').length).toBeLessThanOrEqual(2);
  });
});

describe('a segment', () => {
  it('is named by its first offset and begun by temporary file, sync, rename, sync of the folder', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { segmentBytes: 3 * KIB });
    const calls = trace(disk);
    await fill(journal, 1, 4);
    const next = `${DIR}/0000000000000003.journal`;
    expect(segmentFiles(disk)).toEqual([FIRST, next]);
    const from = calls.findIndex(({ path }) => path === `${next}.tmp`);
    expect(calls.slice(from, from + 6).map(({ kind, path }) => `${kind} ${path.slice(DIR.length)}`)).toEqual([
      'open /0000000000000003.journal.tmp',
      'write /0000000000000003.journal.tmp',
      'datasync /0000000000000003.journal.tmp',
      'rename /0000000000000003.journal',
      'syncDirectory ',
      'write /0000000000000003.journal.tmp',
    ]);
  });

  it('knows from its checkpoint what was held before it', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { segmentBytes: 2 * KIB });
    journal.append(frame('old', 7, { epoch: 'e7' }));
    await fill(journal, 1, 12);
    await journal.close();
    const calls = trace(disk);
    const again = await open(disk.mount());
    expect([again.held('old'), again.held('a'), again.held('b')]).toEqual([
      { epoch: 'e7', seq: 7 },
      { epoch: 'e1', seq: 12 },
      undefined,
    ]);
    const updated = calls.filter(({ kind, path }) => kind === 'datasync' && path.endsWith('.journal'));
    expect(updated).toHaveLength(1);
  });

  it('may be smaller than the checkpoint of many devices, and the limit holds all the same', async () => {
    const limitBytes = 40 * KIB;
    const journal = await open(new CrashDisk().mount(), { segmentBytes: 4 * KIB, limitBytes });
    for (let i = 0; i < 100; i++) journal.append(frame(`a-device-with-a-long-name-${i}`, 1));
    await commit(journal);
    let seq = 0;
    while (!journal.append(frame('a', seq + 1, { readings: BIG }))) {
      seq++;
      await commit(journal);
      expect(journal.status(T0).bytes).toBeLessThanOrEqual(limitBytes);
    }
    const { segments, next } = journal.status(T0);
    expect(next).toBe(100 + seq);
    // Four frames to a segment, whatever its checkpoint takes.
    expect(seq).toBeGreaterThan(2 * segments);
  });

  it('forgets a removed device', async () => {
    const journal = await open(new CrashDisk().mount());
    await fill(journal, 1, 1);
    journal.forget('a');
    expect(journal.held('a')).toBeUndefined();
  });

  it('forgets at a start those that were removed since, and no later checkpoint brings them back', async () => {
    const disk = new CrashDisk();
    const old = await open(disk.mount());
    for (const device of ['a', 'b', 'c']) {
      const committed = commit(old);
      old.append(frame(device, 7));
      await committed;
    }
    await old.close();
    const journal = await open(disk.mount(), { segmentBytes: 4 * KIB });
    expect(journal.held('b')).toEqual({ epoch: 'e1', seq: 7 });
    journal.forgetAllBut((device) => device !== 'b');
    expect([journal.held('a'), journal.held('b')]).toEqual([{ epoch: 'e1', seq: 7 }, undefined]);
    await fill(journal, 8, 20);
    await journal.close();
    expect(segmentFiles(disk).length).toBeGreaterThan(2);
    const again = await open(disk.mount());
    expect(['a', 'b', 'c'].map((device) => again.held(device)?.seq)).toEqual([20, undefined, 7]);
  });
});

describe('cursors', () => {
  it('begin at the first offset on the disk, move forward only, and not beyond what is durable', async () => {
    const journal = await open(new CrashDisk().mount());
    await fill(journal, 1, 5);
    expect(journal.cursor('store')).toBe(0);
    journal.advance('store', 3);
    journal.advance('store', 2);
    expect(journal.cursor('store')).toBe(3);
    journal.advance('store', 99);
    expect(journal.cursor('store')).toBe(5);
  });

  it('are on the disk a second after they moved, and after close', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    await fill(journal, 1, 5);
    journal.advance('store', 3);
    const calls = trace(disk);
    vi.advanceTimersByTime(1000);
    await until2(() => calls.some(({ kind }) => kind === 'syncDirectory'));
    disk.powerLoss(() => 0.9);
    const again = await open(disk.mount());
    expect(again.cursor('store')).toBe(3);
    again.advance('store', 4);
    await again.close();
    disk.powerLoss(() => 0.9);
    expect((await open(disk.mount())).cursor('store')).toBe(4);
  });

  it('say how far behind a sink is, in frames and in time', async () => {
    let now = T0;
    const journal = await open(new CrashDisk().mount(), { now: () => now, memoryReadings: 6 });
    for (; now < T0 + 10; now++) await fill(journal, now - T0 + 1, now - T0 + 1);
    journal.cursor('bridge');
    journal.advance('store', 8);
    journal.advance('quick', 10);
    await journal.read(2, 1);
    journal.advance('bridge', 2);
    expect(journal.status(T0 + 100).cursors).toEqual({
      bridge: { offset: 2, lagFrames: 8, lagMs: 98 },
      store: { offset: 8, lagFrames: 2, lagMs: 92 },
      quick: { offset: 10, lagFrames: 0, lagMs: 0 },
    });
  });

  it('that are damaged are not believed: every sink begins again', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    await fill(journal, 1, 5);
    journal.advance('store', 3);
    await journal.close();
    disk.damage(`${DIR}/cursors.json`, (bytes) => Buffer.from(bytes.toString().replace('"store":3', '"store":9')));
    const again = await open(disk.mount());
    expect(again.cursor('store')).toBe(0);
    expect(again.status(T0).damage).toMatchObject([{ file: 'cursors.json', at: 0 }]);
    expect(disk.paths()).toContain(`${DIR}/damaged/cursors.json-0`);
  });

  it('stay meaningful when the end of the journal was lost: its offsets are given to nobody else', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    await fill(journal, 1, 5);
    journal.advance('store', 5);
    await journal.close();
    disk.damage(FIRST, (bytes) => bytes.subarray(0, bytes.length - 1500));
    const again = await open(disk.mount(), { memoryReadings: 0 });
    await fill(again, 4, 6);
    expect(seqs(await readAll(again, again.cursor('store')))).toEqual([4, 5, 6]);
    expect(seqs(await readAll(again, 0))).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

/** Like `until`, while timers are fake. */
async function until2(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a sweep', () => {
  it('deletes what all sinks have passed once it is older than the replay window', async () => {
    let now = T0;
    const journal = await open(new CrashDisk().mount(), { now: () => now, segmentBytes: 4 * KIB, replayMs: 100 });
    for (; now < T0 + 20; now++) await fill(journal, now - T0 + 1, now - T0 + 1);
    journal.advance('store', 20);
    journal.advance('bridge', 9);
    expect(await journal.sweep(T0 + 100)).toBe(0);
    expect(await journal.sweep(T0 + 105)).toBe(1);
    expect(await journal.sweep(T0 + 500)).toBe(1);
    expect(journal.status(now).first).toBe(8);
    journal.advance('bridge', 20);
    expect(await journal.sweep(T0 + 500)).toBe(2);
    expect(journal.status(now)).toMatchObject({ first: 16, segments: 1 });
  });

  it('keeps what was delivered within the replay window for at most half of the limit', async () => {
    const options = { segmentBytes: 4 * KIB, replayMs: 1e9, limitBytes: 64 * KIB };
    const journal = await open(new CrashDisk().mount(), options);
    await fill(journal, 1, 48);
    journal.advance('store', 48);
    expect(await journal.sweep(T0)).toBeGreaterThan(0);
    const { bytes, first } = journal.status(T0);
    expect(bytes).toBeLessThan(37 * KIB);
    expect(bytes).toBeGreaterThan(28 * KIB);
    expect(first).toBeLessThan(22);
  });

  it('deletes nothing while there is no sink', async () => {
    const journal = await open(new CrashDisk().mount(), { segmentBytes: 4 * KIB });
    await fill(journal, 1, 20);
    expect(await journal.sweep(T0 + 1e9)).toBe(0);
  });

  it('has the cursors on the disk before a segment leaves it', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { segmentBytes: 4 * KIB });
    await fill(journal, 1, 20);
    journal.advance('store', 20);
    const calls = trace(disk);
    await journal.sweep(T0 + 1);
    const steps = calls.map(({ kind, path }) => `${kind} ${path.slice(DIR.length + 1)}`);
    expect(steps.slice(0, 6)).toEqual([
      'open cursors.json.tmp',
      'write cursors.json.tmp',
      'datasync cursors.json.tmp',
      'rename cursors.json',
      'syncDirectory ',
      'unlink 0000000000000000.journal',
    ]);
  });

  it('deletes nothing that the cursors on the disk have not passed', async () => {
    const disk = new CrashDisk();
    const { log, entries } = createTestLog();
    const journal = await open(disk.mount(), { segmentBytes: 4 * KIB, log });
    await fill(journal, 1, 20);
    journal.advance('store', 20);
    disk.onCall = ({ path }) => (path.includes('cursors') ? 'ENOSPC' : undefined);
    expect(await journal.sweep(T0 + 1)).toBe(0);
    expect(entries.map(({ message }) => message)).toContain('journal: cursors could not be saved');
    disk.onCall = () => undefined;
    expect(await journal.sweep(T0 + 1)).toBe(4);
  });
});

describe('the limit', () => {
  const options = { segmentBytes: 4 * KIB, limitBytes: 32 * KIB, replayMs: 1e9 };

  it('refuses frames when nothing was delivered, and takes them again once something is', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), options);
    journal.cursor('store');
    let seq = 0;
    while (!journal.append(frame('a', seq + 1, { readings: BIG }))) {
      seq++;
      await commit(journal);
    }
    expect(journal.status(T0).bytes).toBeLessThanOrEqual(32 * KIB);
    expect(journal.status(T0)).toMatchObject({ failing: false, first: 0, next: seq });
    expect(journal.append(frame('a', seq + 1, { readings: BIG }))).toBe('full');
    journal.advance('store', seq);
    await until(() => !journal.append(frame('a', seq + 1)));
  });

  it('lets delivered segments go, the oldest first, inside the replay window too', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), options);
    for (let seq = 1; seq <= 200; seq++) {
      await until(() => !journal.append(frame('a', seq, { readings: BIG })));
      await commit(journal);
      journal.advance('store', seq);
    }
    const { first, bytes, segments } = journal.status(T0);
    expect(bytes).toBeLessThanOrEqual(32 * KIB);
    expect(segments).toBeGreaterThan(4);
    expect(first).toBeGreaterThan(160);
  });

  it('does not hold the hub up for a sink that is configured no more', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), options);
    journal.cursor('removed');
    await fill(journal, 1, 10);
    await journal.close();
    const again = await open(disk.mount(), options);
    expect(again.status(T0).cursors.removed).toMatchObject({ lagFrames: 10 });
    again.cursor('store');
    for (let seq = 11; seq <= 60; seq++) {
      await until(() => !again.append(frame('a', seq, { readings: BIG })));
      await commit(again);
      again.advance('store', seq);
    }
    expect(again.cursor('removed')).toBe(again.status(T0).first);
  });
});

describe('closing', () => {
  it('commits what is open, takes nothing more, and lets the next one in', async () => {
    const disk = new CrashDisk();
    const files = disk.mount();
    const journal = await open(files, { lingerMs: 1e6 });
    const owner = new Listener();
    journal.append(frame('a', 1, { owner }));
    await Promise.all([journal.close(), journal.close()]);
    await journal.close();
    expect(owner.acks).toEqual([1]);
    expect(journal.append(frame('a', 2))).toBe('closed');
    expect(disk.paths().filter((path) => !path.endsWith('.journal'))).toEqual([]);
    expect(seqs(await readAll(await open(files)))).toEqual([1]);
  });

  it('ends while the disk fails', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    const owner = new Listener();
    disk.onCall = ({ kind }) => (kind === 'write' ? 'EIO' : undefined);
    journal.append(frame('a', 1, { owner }));
    await until(() => journal.status(T0).failing);
    await journal.close();
    expect(owner).toMatchObject({ acks: [], refusals: [1] });
  });
});
