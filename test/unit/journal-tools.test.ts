/** Looking into a journal from outside: list, check, export, repair. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../hub/kit/errors.ts';
import { checkJournal } from '../../hub/telemetry/journal-check.ts';
import { type ExportFilter, exportJournal } from '../../hub/telemetry/journal-export.ts';
import { listJournal } from '../../hub/telemetry/journal-list.ts';
import { repairJournal } from '../../hub/telemetry/journal-repair.ts';
import type { Finding } from '../../hub/telemetry/journal-survey.ts';
import { CrashDisk } from '../helpers/crash-fs.ts';
import { T0 } from '../helpers/frames.ts';
import { blocksOf, segmentFiles } from '../helpers/journal-damage.ts';
import { commit, DIR, frame, open, readAll } from '../helpers/journals.ts';

const FRAMES = 30;
const SMALL = { segmentBytes: 800, memoryReadings: 0 };
const LOG = { info() {}, warn() {}, error() {} };

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);
const check = (disk: CrashDisk) => checkJournal(disk.mount(), DIR, T0);
const repair = (disk: CrashDisk) => repairJournal(disk.mount(), DIR, LOG, T0);

/** A closed journal of so many frames, one block each. */
async function written(): Promise<CrashDisk> {
  const disk = new CrashDisk();
  let now = T0;
  const journal = await open(disk.mount(), { ...SMALL, now: () => now });
  for (const seq of upTo(FRAMES)) {
    const committed = commit(journal);
    const stream = seq % 2 === 0 ? 'even' : 'odd';
    journal.append(frame(seq % 3 === 0 ? 'b' : 'a', seq, { receivedAt: ++now, stream }));
    await committed;
  }
  journal.advance('store', 12);
  await journal.close();
  return disk;
}

/** Changes a byte of the `index`-th block of a segment; returns where the block is. */
function breakBlock(disk: CrashDisk, path: string, index: number): { at: number; bytes: number; offset: number } {
  let broken = { at: 0, bytes: 0, offset: 0 };
  disk.damage(path, (bytes) => {
    const block = blocksOf(bytes)[index]!;
    broken = { at: block.at, bytes: block.end - block.at, offset: block.base };
    bytes[block.at + 40]! ^= 1;
    return bytes;
  });
  return broken;
}

const nameOf = (path: string) => path.slice(DIR.length + 1);

async function exported(disk: CrashDisk, filter: ExportFilter, findings: Finding[] = []): Promise<number[]> {
  const offsets: number[] = [];
  const frames = exportJournal(disk.mount(), DIR, filter, T0, (finding) => findings.push(finding));
  for await (const { offset, seq } of frames) {
    expect(offset).toBe(seq - 1);
    offsets.push(offset);
  }
  return offsets;
}

describe('a list of the journal', () => {
  it('has its segments, and who has not read them', async () => {
    const disk = await written();
    const list = await listJournal(disk.mount(), DIR, T0);
    expect(list).toMatchObject({ first: 0, next: FRAMES, cursors: { store: { offset: 12, lagFrames: 18 } } });
    expect(list.holder).toBeUndefined();
    expect(list.segments.map(({ file }) => file)).toEqual(segmentFiles(disk).map(nameOf));
    for (const { next, waitingFor } of list.segments) expect(waitingFor).toEqual(next > 12 ? ['store'] : []);
  });

  it('is refused with a word where there is no journal', async () => {
    await expect(listJournal(new CrashDisk().mount(), DIR, T0)).resolves.toMatchObject({ segments: [] });
    const files = {
      ...new CrashDisk().mount(),
      list: () => Promise.reject(Object.assign(new Error(), { code: 'ENOENT' })),
    };
    await expect(listJournal(files, DIR, T0)).rejects.toThrow(UserError);
  });
});

describe('a check', () => {
  it('finds nothing in a journal that is as it was written, and changes nothing', async () => {
    const disk = await written();
    const calls = new Set<string>();
    const files = disk.mount();
    disk.onCall = ({ kind }) => void calls.add(kind);
    expect(await checkJournal(files, DIR, T0)).toMatchObject({ frames: FRAMES, first: 0, next: FRAMES, findings: [] });
    expect([...calls].sort()).toEqual(['open', 'read']);
  });

  it('says which bytes are damaged and which frames were in them', async () => {
    const disk = await written();
    const path = segmentFiles(disk)[1]!;
    const { at, bytes, offset } = breakBlock(disk, path, 1);
    expect((await check(disk)).findings).toEqual([
      { file: nameOf(path), at, bytes, from: offset, to: offset + 1, what: `damaged: frame ${offset} lost` },
    ]);
  });

  it('says which frames a segment that ends early, or is gone, took with it', async () => {
    const disk = await written();
    const [first, second, third] = segmentFiles(disk) as [string, string, string];
    const lost = Number(nameOf(second).slice(0, 16));
    disk.damage(first, (bytes) => bytes.subarray(0, blocksOf(bytes).at(-1)!.at));
    const files = disk.mount();
    await files.unlink(second);
    const end = Number(nameOf(third).slice(0, 16));
    expect((await check(disk)).findings).toMatchObject([{ file: nameOf(first), bytes: 0, from: lost - 1, to: end }]);
  });

  it('says which frames are gone from the end that a sink has read, also after a repair', async () => {
    const disk = await written();
    const journal = await open(disk.mount(), SMALL);
    journal.advance('store', FRAMES);
    await journal.close();
    expect((await check(disk)).findings).toEqual([]);
    const last = segmentFiles(disk).at(-1)!;
    disk.damage(last, (bytes) => bytes.subarray(0, blocksOf(bytes).at(-1)!.at));
    const missing = { file: nameOf(last), bytes: 0, from: FRAMES - 1, to: FRAMES };
    const { findings } = await check(disk);
    expect(findings).toMatchObject([missing]);
    expect(findings[0]!.what).toBe(
      `frame ${FRAMES - 1} missing at the end: a sink has read them, and no file has them`,
    );
    expect(await repair(disk)).toMatchObject({ findings: [missing], changed: [] });
    expect((await check(disk)).findings).toMatchObject([missing]);
  });

  it('finds damaged beginnings of segments, and damaged cursors', async () => {
    const disk = await written();
    const [first, second] = segmentFiles(disk) as [string, string];
    for (const [path, at] of [
      [first, 14],
      [second, 40],
      [`${DIR}/cursors.json`, 20],
    ] as const) {
      disk.damage(path, (bytes) => {
        bytes[at]! ^= 1;
        return bytes;
      });
    }
    const { findings, frames } = await check(disk);
    expect(frames).toBe(FRAMES);
    expect(findings.map(({ file, what }) => [file, what.split(' ')[1]])).toEqual([
      [nameOf(first), 'header'],
      // Without the header the blocks are searched for from the beginning.
      [nameOf(first), 'but'],
      [nameOf(second), 'checkpoint'],
      ['cursors.json', 'cursors'],
    ]);
  });

  it('takes a torn end for damage when no hub writes, and for a block in the making when one does', async () => {
    const disk = await written();
    const last = segmentFiles(disk).at(-1)!;
    disk.damage(last, (bytes) => bytes.subarray(0, bytes.length - 3));
    const [finding] = (await check(disk)).findings;
    expect(finding).toMatchObject({
      file: nameOf(last),
      what: expect.stringContaining('the next start cuts them off'),
    });
    const files = disk.mount();
    const journal = await open(files, SMALL);
    disk.damage(last, (bytes) => Buffer.concat([bytes, Buffer.alloc(17)]));
    expect(await checkJournal(files, DIR, T0)).toMatchObject({ holder: files.pid, findings: [] });
    await journal.close();
  });
});

describe('an export', () => {
  it('has every frame as it was taken', async () => {
    const disk = await written();
    const frames = [];
    for await (const each of exportJournal(disk.mount(), DIR, {}, T0, () => {})) frames.push(each);
    expect(frames).toHaveLength(FRAMES);
    expect(frames[4]).toEqual({ offset: 4, ...frame('a', 5, { receivedAt: T0 + 5, stream: 'odd' }) });
  });

  it.each<[string, ExportFilter, number[]]>([
    ['offsets', { fromOffset: 7, toOffset: 11 }, [7, 8, 9, 10]],
    ['times of arrival', { fromMs: T0 + 28, toMs: T0 + 30 }, [27, 28]],
    ['devices', { devices: ['b', 'c'], toOffset: 9 }, [2, 5, 8]],
    ['streams', { streams: ['even'], fromOffset: 24 }, [25, 27, 29]],
  ])('of certain %s has those only', async (_, filter, offsets) => {
    expect(await exported(await written(), filter)).toEqual(offsets);
  });

  it('reads no segment that has none of the offsets that are wanted', async () => {
    const disk = await written();
    const [first, second] = segmentFiles(disk) as [string, string];
    for (const path of [first, second]) breakBlock(disk, path, 1);
    const findings: Finding[] = [];
    const end = Number(nameOf(second).slice(0, 16));
    await exported(disk, { toOffset: end }, findings);
    expect(findings.map(({ file }) => file)).toEqual([nameOf(first)]);
  });

  it('passes over what is damaged and says so', async () => {
    const disk = await written();
    const { offset } = breakBlock(disk, segmentFiles(disk)[2]!, 0);
    const findings: Finding[] = [];
    const offsets = await exported(disk, {}, findings);
    expect(offsets).toEqual(
      upTo(FRAMES)
        .map((seq) => seq - 1)
        .filter((each) => each !== offset),
    );
    expect(findings).toHaveLength(1);
  });
});

describe('a repair', () => {
  it('leaves out what is damaged, keeps it aside, and every other frame at its offset', async () => {
    const disk = await written();
    const [first, second, third] = segmentFiles(disk) as [string, string, string];
    const { at, offset } = breakBlock(disk, second, 1);
    for (const [path, place] of [
      [first, 14],
      [third, 40],
    ] as const) {
      disk.damage(path, (bytes) => {
        bytes[place]! ^= 1;
        return bytes;
      });
    }
    const { changed } = await repair(disk);
    expect(changed).toEqual([first, second, third].map(nameOf));
    expect(disk.paths()).toContain(`${DIR}/damaged/${nameOf(second)}-${at}`);
    const { findings } = await check(disk);
    expect(findings).toMatchObject([{ file: nameOf(second), bytes: 0, from: offset, to: offset + 1 }]);
    const journal = await open(disk.mount(), SMALL);
    expect(journal.held('a')).toEqual({ epoch: 'e1', seq: FRAMES - 1 });
    expect(journal.held('b')).toEqual({ epoch: 'e1', seq: FRAMES });
    expect((await readAll(journal, 0, 1)).map(({ seq }) => seq - 1)).not.toContain(offset);
    expect(await readAll(journal, 0, 1)).toHaveLength(FRAMES - 1);
    expect(journal.status(T0).damage.map(({ what }) => what)).toEqual([
      `frames ${offset} to ${offset} are missing: no file has them`,
    ]);
  });

  it('takes damaged cursors away, so that sinks read all again', async () => {
    const disk = await written();
    disk.damage(`${DIR}/cursors.json`, () => Buffer.from('{'));
    expect(await repair(disk)).toMatchObject({ changed: ['cursors.json'] });
    expect((await check(disk)).findings).toEqual([]);
    expect((await open(disk.mount(), SMALL)).cursor('store')).toBe(0);
  });

  it('of a journal that is whole changes nothing', async () => {
    const disk = await written();
    const before = disk.paths();
    expect(await repair(disk)).toEqual({ findings: [], changed: [] });
    expect(disk.paths()).toEqual(before);
  });

  it('is refused while a hub uses the journal', async () => {
    const disk = await written();
    const files = disk.mount();
    await open(files, SMALL);
    const refusal = await repairJournal(files, DIR, LOG, T0).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ exitCode: 75, message: expect.stringContaining(`process ${files.pid}`) });
  });

  it('that finds no room for the new file leaves the old one', async () => {
    const disk = await written();
    breakBlock(disk, segmentFiles(disk)[1]!, 1);
    const before = disk.paths();
    disk.capacityBytes = disk.bytesUsed() + 300;
    await expect(repair(disk)).rejects.toMatchObject({ code: 'ENOSPC' });
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect(disk.paths().filter((path) => !path.includes('/damaged/'))).toEqual(before);
    expect(await repair(disk)).toMatchObject({ changed: [nameOf(segmentFiles(disk)[1]!)] });
  });
});
