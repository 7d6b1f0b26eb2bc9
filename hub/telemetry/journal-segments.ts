/** The segment files of a journal: found at start, begun, read and deleted. */
import { basename } from 'node:path';
import { errorCode, type Files, type OpenFile, placeFile, readFully, writeFully } from './files.ts';
import type { Held, JournalStatus, Offset } from './journal.ts';
import { encodeSegmentStart } from './journal-format.ts';

export type JournalLog = Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;

const SUFFIX = '.journal';
const OFFSET_DIGITS = 16;
const COPY_BYTES = 256 * 1024;
/** Policy of the list of damage: the oldest stay, the rest is in the log only. */
const MAX_DAMAGE = 1000;

export interface Segment {
  /** Offset of its first frame; it ends where the next segment begins. */
  base: Offset;
  path: string;
  /** Where its blocks begin. */
  dataAt: number;
  /** Length up to the end of its last block that counts; beyond it lies nothing or what was never acknowledged. */
  bytes: number;
  /** Unix milliseconds. */
  createdAt: number;
}

export interface Segments {
  /** In the order of their offsets. The list itself changes as segments come and go. */
  readonly list: readonly Segment[];
  readonly damage: JournalStatus['damage'];
  bytes(): number;
  /** The segment in which this offset lies or, when it is gone, the first one after it. */
  holding(offset: Offset): Segment | undefined;
  after(segment: Segment): Segment | undefined;
  /** Begins a segment at an offset, durable when it resolves, in place of one that holds nothing from there on. */
  begin(
    base: Offset,
    createdAt: number,
    held: ReadonlyMap<string, Held>,
  ): Promise<{ segment: Segment; file: OpenFile }>;
  /** Unlinks the oldest segment. */
  dropOldest(): Promise<void>;
  /** Remembers damage once and copies the damaged bytes to `damaged/`. */
  report(segment: Pick<Segment, 'path'>, file: OpenFile, from: number, to: number, what?: string): Promise<void>;
  /** The same for the whole of another file of the folder. */
  reportFile(name: string, what: string): Promise<void>;
}

export function isSegmentFile(name: string): boolean {
  return name.length === OFFSET_DIGITS + SUFFIX.length && /^\d+\.journal$/.test(name);
}

export function baseOf(name: string): Offset {
  return Number(name.slice(0, OFFSET_DIGITS));
}

export function createSegments(files: Files, folder: string, list: Segment[], log: JournalLog): Segments {
  const damage: JournalStatus['damage'] = [];

  async function begin(base: Offset, createdAt: number, held: ReadonlyMap<string, Held>) {
    const start = encodeSegmentStart(base, createdAt, held);
    const name = String(base).padStart(OFFSET_DIGITS, '0') + SUFFIX;
    const file = await placeFile(files, folder, name, start);
    const segment = { base, path: `${folder}/${name}`, dataAt: start.length, bytes: start.length, createdAt };
    // A segment whose very first block failed has the same name, and has just been replaced.
    if (list.at(-1)?.base === base) list.pop();
    list.push(segment);
    return { segment, file };
  }

  async function dropOldest() {
    const oldest = list[0];
    if (!oldest) return;
    await files.unlink(oldest.path).catch((error: unknown) => {
      if (errorCode(error) !== 'ENOENT') throw error;
    });
    list.shift();
    // In this order on the disk too: after a power cut no segment shall lie before a gap.
    await files.syncDirectory(folder);
  }

  async function report(
    segment: Pick<Segment, 'path'>,
    file: OpenFile,
    from: number,
    to: number,
    what = `${to - from} bytes are damaged and were skipped`,
  ) {
    const name = basename(segment.path);
    if (damage.some((known) => known.file === name && known.at === from)) return;
    if (damage.length < MAX_DAMAGE) damage.push({ file: name, at: from, what });
    log.error({ file: name, at: from, bytes: to - from }, `journal: ${what}`);
    if (from === to) return;
    try {
      await copyAside(files, `${folder}/damaged`, `${name}-${from}`, file, from, to);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') log.warn({ err: error }, 'journal: damaged bytes could not be copied aside');
    }
  }

  async function reportFile(name: string, what: string) {
    const path = `${folder}/${name}`;
    const file = await files.open(path, 'read');
    try {
      await report({ path }, file, 0, await file.size(), what);
    } finally {
      await file.close();
    }
  }

  return {
    list,
    damage,
    bytes: () => list.reduce((sum, segment) => sum + segment.bytes, 0),
    holding: (offset) => list.findLast((segment) => segment.base <= offset) ?? list[0],
    after: (segment) => list.find(({ base }) => base > segment.base),
    begin,
    dropOldest,
    report,
    reportFile,
  };
}

async function copyAside(files: Files, folder: string, name: string, file: OpenFile, from: number, to: number) {
  await files.makeDirectory(folder);
  const copy = await files.open(`${folder}/${name}`, 'exclusive');
  try {
    const chunk = Buffer.allocUnsafe(Math.min(COPY_BYTES, to - from));
    for (let at = from; at < to; ) {
      const length = await readFully(file, chunk.subarray(0, Math.min(chunk.length, to - at)), at);
      if (length === 0) break;
      await writeFully(copy, chunk.subarray(0, length), at - from);
      at += length;
    }
  } finally {
    await copy.close();
  }
}
