import { describe, expect, it } from 'vitest';
import { UserError } from '../../hub/kit/errors.ts';
import type { JournalOptions } from '../../hub/telemetry/journal.file.ts';
import { CrashDisk } from '../helpers/crash-fs.ts';
import { T0 } from '../helpers/frames.ts';
import { commit, DIR, frame, Listener, open, readAll, until } from '../helpers/journals.ts';
import { createTestLog } from '../helpers/log.ts';

const FIRST = `${DIR}/0000000000000000.journal`;
const FRAMES = 30;
/** Everything from the disk, so that what is read is what is there. */
const COLD: Partial<JournalOptions> = { memoryReadings: 0, segmentBytes: 800 };

const seqs = (frames: { seq: number }[]) => frames.map(({ seq }) => seq);
const segmentFiles = (disk: CrashDisk) => disk.paths().filter((path) => path.endsWith('.journal'));
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);

/** A disk with a journal of so many frames, one group each, closed. */
async function written(options: Partial<JournalOptions> = COLD): Promise<CrashDisk> {
  const disk = new CrashDisk();
  const journal = await open(disk.mount(), options);
  for (const seq of upTo(FRAMES)) {
    const committed = commit(journal);
    journal.append(frame('a', seq));
    await committed;
  }
  await journal.close();
  return disk;
}

function flip(bytes: Buffer, at: number): Buffer {
  bytes[at]! ^= 0x10;
  return bytes;
}

describe('a write that fails', () => {
  it.each(['write', 'datasync'] as const)(
    '(%s) leaves its file alone for ever and goes on in another',
    async (kind) => {
      const disk = new CrashDisk();
      const journal = await open(disk.mount());
      journal.append(frame('a', 1));
      await commit(journal);
      const owners = [new Listener(), new Listener()] as const;
      let meanwhile: string | undefined;
      const asker = {
        durable() {},
        refused() {
          meanwhile = journal.append(frame('c', 1));
        },
      };
      const touched: string[] = [];
      let isFirst = true;
      disk.onCall = (call) => {
        if (['write', 'datasync'].includes(call.kind)) touched.push(call.path.slice(DIR.length + 1));
        if (call.kind !== kind || !isFirst) return undefined;
        isFirst = false;
        // What arrives now is in the open group, and must not overtake what fails.
        journal.append(frame('a', 4, { owner: owners[0] }));
        return 'EIO';
      };
      journal.append(frame('a', 2, { owner: owners[0] }));
      journal.append(frame('b', 9, { owner: owners[1] }));
      journal.append(frame('c', 1, { owner: asker }));
      journal.append(frame('a', 3, { owner: owners[0] }));
      await until(() => owners[0].refusals.length > 0);
      expect(meanwhile).toBe('failing');
      await until(() => !journal.status(T0).failing);
      expect(owners.map(({ acks, refusals }) => [acks, refusals])).toEqual([
        [[], [2]],
        [[], [9]],
      ]);
      journal.append(frame('a', 2, { owner: owners[0] }));
      await commit(journal);
      expect(owners[0].acks).toEqual([2]);
      const failed = touched.indexOf('0000000000000001.journal.tmp');
      expect(new Set(touched.slice(failed))).toEqual(new Set(['0000000000000001.journal.tmp']));
      disk.powerLoss(Math.random);
      expect(seqs(await readAll(await open(disk.mount())))).toEqual([1, 2]);
    },
  );

  it('is tried in new segments until one works', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    const owner = new Listener();
    let failures = 4;
    disk.onCall = ({ kind }) => (kind === 'datasync' && failures-- > 0 ? 'EIO' : undefined);
    journal.append(frame('a', 1, { owner }));
    await until(() => owner.refusals.length > 0);
    await until(() => !journal.append(frame('a', 1, { owner })));
    await until(() => owner.acks.length > 0);
    expect(segmentFiles(disk)).toEqual([FIRST]);
  });

  it('is no failure when the disk only took less than asked', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    disk.onCall = ({ kind }) => (kind === 'write' ? 'short' : undefined);
    for (const seq of upTo(20)) journal.append(frame('a', seq));
    await commit(journal);
    disk.powerLoss(Math.random);
    expect(seqs(await readAll(await open(disk.mount())))).toEqual(upTo(20));
  });

  it('and cannot even be cut off counts no more than if it were', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), COLD);
    for (const seq of [1, 2]) {
      journal.append(frame('a', seq));
      await commit(journal);
    }
    let failures = 2;
    disk.onCall = ({ kind, path }) =>
      path.startsWith(FIRST) && ['datasync', 'truncate'].includes(kind) && failures-- > 0 ? 'EIO' : undefined;
    journal.append(frame('never', 1));
    await until(() => failures === 0 && !journal.status(T0).failing);
    journal.append(frame('a', 3));
    await commit(journal);
    await journal.close();
    // Offsets of the refused block are those of the next segment, also where damage hides how far this one went.
    disk.damage(FIRST, (bytes) => flip(bytes, bytes.lastIndexOf('"value":2')));
    disk.damage(segmentFiles(disk)[1]!, (bytes) => flip(bytes, 40));
    const again = await open(disk.mount(), COLD);
    expect(again.held('never')).toBeUndefined();
    expect(seqs(await readAll(again))).toEqual([1, 3]);
  });

  it('that the page cache still shows after a kill is on the disk before anybody hears of it', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount());
    journal.append(frame('a', 1));
    await commit(journal);
    disk.onCall = ({ kind }) => {
      if (kind === 'datasync') return 'EIO';
      if (kind === 'truncate') disk.kill();
      return undefined;
    };
    const owner = new Listener();
    journal.append(frame('a', 2, { owner }));
    await until(() => owner.refusals.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    disk.onCall = () => undefined;
    expect((await open(disk.mount())).held('a')).toEqual({ epoch: 'e1', seq: 2 });
    disk.powerLoss(() => 0.9);
    expect((await open(disk.mount())).held('a')).toEqual({ epoch: 'e1', seq: 2 });
  });
});

describe('a full disk', () => {
  it('stops the acks, and nothing else; they go on without a restart when there is space', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { memoryReadings: 0 });
    const owner = new Listener();
    let seq = 0;
    disk.capacityBytes = 2000;
    while (owner.refusals.length === 0) {
      if (!journal.append(frame('a', seq + 1, { owner }))) seq++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const acked = owner.acks.at(-1)!;
    expect(owner.refusals[0]).toBe(acked + 1);
    expect(seqs(await readAll(journal))).toEqual(upTo(acked));
    disk.capacityBytes = 2_000_000;
    await until(() => !journal.append(frame('a', acked + 1, { owner })));
    await until(() => owner.acks.at(-1)! > acked);
    expect(journal.status(T0).failing).toBe(false);
    disk.powerLoss(Math.random);
    expect(seqs(await readAll(await open(disk.mount())))).toEqual(upTo(acked + 1));
  });

  /** All delivered, and not a byte left; then a frame more. */
  async function fullOfDelivered(now: () => number) {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { segmentBytes: 800, replayMs: 1e9, limitBytes: 12_000, now });
    for (const seq of upTo(FRAMES)) {
      const committed = commit(journal);
      journal.append(frame('a', seq));
      await committed;
    }
    journal.advance('store', FRAMES);
    await journal.sweep(T0);
    const second = Number(segmentFiles(disk)[1]!.slice(-24, -8));
    disk.capacityBytes = disk.bytesUsed();
    const owner = new Listener();
    journal.append(frame('a', FRAMES + 1, { owner }));
    await until(() => owner.refusals.length > 0);
    return { disk, journal, second, owner };
  }

  it('costs the oldest delivered segment after ten minutes, although it is inside the replay window', async () => {
    let now = T0;
    const { journal, second, owner } = await fullOfDelivered(() => now);
    now += 10 * 60_000 + 1;
    await until(() => !journal.append(frame('a', FRAMES + 1, { owner })));
    await until(() => owner.acks.length > 0);
    expect(journal.status(now)).toMatchObject({ failing: false, first: second });
  });

  it('costs nothing that arrived in the last ten minutes: devices wait until there is room', async () => {
    const { disk, journal, owner } = await fullOfDelivered(() => T0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(journal.append(frame('a', FRAMES + 1, { owner }))).toBe('failing');
    disk.capacityBytes = 1_000_000;
    await until(() => !journal.append(frame('a', FRAMES + 1, { owner })));
    await until(() => owner.acks.length > 0);
    expect(journal.status(T0)).toMatchObject({ failing: false, first: 0 });
  });
});

describe('a start on a full disk', () => {
  it('is refused with a word, and succeeds when there is room', async () => {
    const disk = await written();
    disk.capacityBytes = disk.bytesUsed() + 10;
    const refusal = await open(disk.mount()).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UserError);
    expect((refusal as Error).message).toBe(`The disk of the journal in ${DIR} is full: make room, then start again.`);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect((await open(disk.mount())).held('a')).toEqual({ epoch: 'e1', seq: FRAMES });
  });
});

describe('a disk with a few bytes of room', () => {
  it('is not filled and failed again in turn: the journal waits until there is room', async () => {
    const disk = new CrashDisk();
    const { log, entries } = createTestLog();
    const journal = await open(disk.mount(), { limitBytes: 64_000, log });
    disk.capacityBytes = 3000;
    const owner = new Listener();
    const big = [{ ts: T0, text: 'x'.repeat(3500) }];
    journal.append(frame('a', 1, { owner, readings: big }));
    await until(() => owner.refusals.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(journal.append(frame('a', 1))).toBe('failing');
    expect(entries.filter(({ level }) => level === 'error')).toHaveLength(2);
    disk.capacityBytes = 8000;
    await until(() => !journal.append(frame('a', 1, { owner, readings: big })));
    await until(() => owner.acks.length > 0);
    await journal.close();
  });
});

describe('a broken disk', () => {
  it('costs no delivered segment: there is room, and the replay window stays', async () => {
    const disk = new CrashDisk();
    const journal = await open(disk.mount(), { segmentBytes: 800, replayMs: 1e9 });
    for (const seq of upTo(FRAMES)) {
      const committed = commit(journal);
      journal.append(frame('a', seq));
      await committed;
    }
    journal.advance('store', FRAMES);
    let failures = 4;
    disk.onCall = ({ kind }) => (kind === 'datasync' && failures-- > 0 ? 'EIO' : undefined);
    const owner = new Listener();
    journal.append(frame('a', FRAMES + 1, { owner }));
    await until(() => owner.refusals.length > 0);
    await until(() => !journal.append(frame('a', FRAMES + 1, { owner })));
    await until(() => owner.acks.length > 0);
    expect(journal.status(T0)).toMatchObject({ failing: false, first: 0 });
  });
});

describe('a torn tail', () => {
  it('is cut at every length it can have, and what was whole before it is there', async () => {
    const whole = await written({ ...COLD, segmentBytes: 1e6 });
    let length = 0;
    whole.damage(FIRST, (bytes) => {
      length = bytes.length;
      return bytes;
    });
    for (let cut = 1; cut < 250; cut += 3) {
      const disk = await written({ ...COLD, segmentBytes: 1e6 });
      disk.damage(FIRST, (bytes) => bytes.subarray(0, length - cut));
      const journal = await open(disk.mount(), COLD);
      const seq = journal.held('a')!.seq;
      expect(seq).toBeGreaterThanOrEqual(FRAMES - 3);
      journal.append(frame('a', seq + 1));
      await commit(journal);
      expect(seqs(await readAll(journal))).toEqual(upTo(seq + 1));
      for (const { what } of journal.status(T0).damage)
        expect(what).toMatch(/^\d+ bytes after the last whole block were cut off$/);
    }
  });

  it('of zeros is cut from the file itself', async () => {
    const disk = await written({ ...COLD, segmentBytes: 1e6 });
    let length = 0;
    disk.damage(FIRST, (bytes) => {
      length = bytes.length;
      return Buffer.concat([bytes, Buffer.alloc(5000)]);
    });
    const journal = await open(disk.mount(), COLD);
    expect(journal.status(T0).damage).toEqual([
      { file: '0000000000000000.journal', at: length, what: '5000 bytes after the last whole block were cut off' },
    ]);
    await journal.close();
    expect((await open(disk.mount(), COLD)).status(T0)).toMatchObject({ damage: [], bytes: length });
  });
});

describe('damage', () => {
  it('in the middle costs the block it is in, is reported with its place and copied aside', async () => {
    const disk = await written({ ...COLD, segmentBytes: 1e6 });
    let damaged: Buffer = Buffer.alloc(0);
    let at = 0;
    disk.damage(FIRST, (bytes) => {
      // The bytes of a block, found by the first of them.
      const magic = Buffer.from([0x54, 0x48, 0x42, 0xff]);
      at = bytes.indexOf(magic, 1000);
      damaged = Buffer.from(flip(bytes, at + 60).subarray(at, bytes.indexOf(magic, at + 1)));
      return bytes;
    });
    const journal = await open(disk.mount(), COLD);
    expect(seqs(await readAll(journal))).toHaveLength(FRAMES - 1);
    expect(journal.held('a')).toEqual({ epoch: 'e1', seq: FRAMES });
    const what = `${damaged.length} bytes are damaged and were skipped`;
    expect(journal.status(T0).damage).toEqual([{ file: '0000000000000000.journal', at, what }]);
    let aside: Buffer = Buffer.alloc(0);
    disk.damage(`${DIR}/damaged/0000000000000000.journal-${at}`, (bytes) => {
      aside = bytes;
      return bytes;
    });
    expect(aside).toEqual(damaged);
  });

  it('in an older segment is found when it is read, and reported once', async () => {
    const disk = await written();
    disk.damage(FIRST, (bytes) => flip(bytes, 200));
    const journal = await open(disk.mount(), COLD);
    expect(journal.status(T0).damage).toEqual([]);
    expect((await readAll(journal)).length).toBe(FRAMES - 1);
    await readAll(journal);
    expect(journal.status(T0).damage).toHaveLength(1);
  });

  it('of a header costs no frame', async () => {
    const disk = await written();
    for (const path of segmentFiles(disk)) disk.damage(path, (bytes) => flip(bytes, 14));
    const journal = await open(disk.mount(), COLD);
    expect(journal.held('a')).toEqual({ epoch: 'e1', seq: FRAMES });
    expect(seqs(await readAll(journal))).toEqual(upTo(FRAMES));
    expect(journal.status(T0).damage).toHaveLength(segmentFiles(disk).length);
  });

  it('of a checkpoint is healed from the one before it, and by the next', async () => {
    const disk = await written();
    const files = segmentFiles(disk);
    for (const path of files.slice(1)) disk.damage(path, (bytes) => flip(bytes, 40));
    const journal = await open(disk.mount(), COLD);
    expect(journal.held('a')).toEqual({ epoch: 'e1', seq: FRAMES });
    journal.append(frame('b', 1));
    await commit(journal);
    await journal.close();
    disk.damage(files[0]!, (bytes) => flip(bytes, 40));
    expect((await open(disk.mount())).held('a')).toEqual({ epoch: 'e1', seq: FRAMES });
  });

  it('that leaves nothing of the last segment does not stop the journal', async () => {
    for (const leave of [() => Buffer.alloc(0), () => Buffer.alloc(700), (bytes: Buffer) => bytes.subarray(0, 20)]) {
      const disk = await written();
      disk.damage(segmentFiles(disk).at(-1)!, leave);
      const journal = await open(disk.mount(), COLD);
      const { seq } = journal.held('a')!;
      journal.append(frame('a', seq + 1));
      await commit(journal);
      expect(seqs(await readAll(journal))).toEqual(upTo(seq + 1));
    }
  });

  it('anywhere costs only the frames it hits', async () => {
    for (let place = 0; place < 60; place++) {
      const disk = await written();
      const files = segmentFiles(disk);
      const path = files[place % files.length]!;
      disk.damage(path, (bytes) => {
        const at = (place * 7919) % bytes.length;
        if (place % 3 === 0) bytes.fill(0, at, Math.min(bytes.length, at + 100));
        else flip(bytes, at);
        return bytes;
      });
      const journal = await open(disk.mount(), COLD);
      const found = seqs(await readAll(journal));
      expect(found.length, `place ${place}`).toBeGreaterThanOrEqual(FRAMES - 2);
      expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
      journal.append(frame('a', FRAMES + 1));
      await commit(journal);
      expect(seqs(await readAll(journal)).at(-1)).toBe(FRAMES + 1);
    }
  });

  it('that the disk cannot even read is passed over', async () => {
    const disk = await written();
    disk.onCall = ({ kind, path }) => (kind === 'read' && path === FIRST ? 'EIO' : undefined);
    const journal = await open(disk.mount(), COLD);
    const [first] = await readAll(journal);
    expect(first!.seq).toBe(Number(segmentFiles(disk)[1]!.slice(-24, -8)) + 1);
    expect(journal.held('a')).toEqual({ epoch: 'e1', seq: FRAMES });
  });

  it('is not supposed where another version of the hub wrote', async () => {
    const disk = await written();
    const { crc32 } = await import('node:zlib');
    disk.damage(FIRST, (bytes) => {
      bytes.writeUInt32LE(2, 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(8, 36)), 4);
      return bytes;
    });
    const refusal = await open(disk.mount()).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UserError);
    expect((refusal as Error).message).toBe(`${FIRST} was written by another version of the hub (format 2).`);
    expect(disk.paths()).not.toContain(`${DIR}/lock`);
  });
});
