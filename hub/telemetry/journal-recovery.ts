/** What the journal does before it takes the first frame: finds its segments, cuts a torn tail, restores what is held. */
import { UserError } from '../kit/errors.ts';
import { type Files, type OpenFile, openIfThere, TEMPORARY, writeFully } from './files.ts';
import type { Held, Offset } from './journal.ts';
import { foldHeld, isVersionKnown, SEGMENT_HEADER_BYTES } from './journal-format.ts';
import { readCheckpoint, readSegmentHeader, scanBlocks } from './journal-scan.ts';
import {
  baseOf,
  createSegments,
  isSegmentFile,
  type JournalLog,
  type Segment,
  type Segments,
} from './journal-segments.ts';

export interface Recovered {
  segments: Segments;
  held: Map<string, Held>;
  /** The offset after the last frame found. */
  next: Offset;
  /** The last segment, open for more blocks, when it can take them. */
  last: { segment: Segment; file: OpenFile } | undefined;
}

/**
 * Reads the headers of all segments, and the blocks of the last one (with those before it as far back as its checkpoint
 * is damaged). Damage in older segments is found when they are read. `now`: Unix milliseconds.
 */
export async function recover(files: Files, folder: string, log: JournalLog, now: number): Promise<Recovered> {
  await removeTemporary(files, folder);
  const list = await findSegments(files, folder, now);
  // The last process may have been killed between the rename of a segment and this.
  await files.syncDirectory(folder);
  const segments = createSegments(files, folder, list, log);
  const checkpoint = await latestCheckpoint(files, segments);
  const { held, from } = checkpoint ?? { held: new Map<string, Held>(), from: 0 };
  let next = list[from]?.base ?? 0;
  let last: Recovered['last'];
  for (const segment of list.slice(from)) {
    const file = await files.open(segment.path, 'update');
    const isLast = segment === list.at(-1);
    const found = await replay(segments, segment, file, held);
    next = Math.max(next, segment.base, found.next);
    if (isLast) await makeDurable(file, segment, found.lastBlock);
    // A segment that cannot tell what was held before it is not continued: the next one gets an intact checkpoint.
    if (isLast && checkpoint?.from === list.length - 1) last = { segment, file };
    else await file.close();
  }
  return { segments, held, next, last };
}

/** What was being placed when a process died names nothing yet. Needs the lock. */
export async function removeTemporary(files: Files, folder: string): Promise<void> {
  for (const name of await files.list(folder)) if (name.endsWith(TEMPORARY)) await files.unlink(`${folder}/${name}`);
}

/**
 * The segments of a folder, changing nothing. `now`: Unix milliseconds, for a segment that does not tell its age. Throws
 * `UserError` when another version of the hub wrote them.
 */
export async function findSegments(files: Files, folder: string, now: number): Promise<Segment[]> {
  const list: Segment[] = [];
  for (const name of (await files.list(folder)).filter(isSegmentFile).sort()) {
    const segment = await readSegment(files, `${folder}/${name}`, baseOf(name), now);
    if (segment) list.push(segment);
  }
  return list;
}

/** Undefined when it is gone. */
async function readSegment(files: Files, path: string, base: Offset, now: number): Promise<Segment | undefined> {
  const file = await openIfThere(files, path);
  if (!file) return undefined;
  try {
    const header = await readSegmentHeader(file);
    if (header && !isVersionKnown(header)) {
      throw new UserError(`${path} was written by another version of the hub (format ${header.version}).`);
    }
    const bytes = await file.size();
    // Without a believable header the blocks are searched for from the beginning.
    const dataAt = header ? Math.min(bytes, SEGMENT_HEADER_BYTES + header.checkpointBytes) : 0;
    return { base, path, dataAt, bytes, createdAt: header?.createdAt ?? now };
  } finally {
    await file.close();
  }
}

/** The newest checkpoint that is intact, and the index of its segment, if there is one. */
async function latestCheckpoint(files: Files, segments: Segments) {
  for (let from = segments.list.length - 1; from >= 0; from--) {
    const segment = segments.list[from]!;
    const file = await files.open(segment.path, 'read');
    try {
      const header = await readSegmentHeader(file);
      const held = header && (await readCheckpoint(file, header, segment.bytes));
      if (held) return { held, from };
      if (header) await segments.report(segment, file, 0, segment.dataAt, 'the checkpoint is damaged');
    } finally {
      await file.close();
    }
  }
  return undefined;
}

/** Follows the blocks of a segment to the last one and the offset after it; shortens `bytes` to the end of that block. */
async function replay(segments: Segments, segment: Segment, file: OpenFile, held: Map<string, Held>) {
  const following = segments.after(segment);
  const limit = following?.base ?? Number.POSITIVE_INFINITY;
  const end = segment.bytes;
  let next = segment.base;
  let goodEnd = segment.dataAt;
  let lastBlock: Buffer = Buffer.alloc(0);
  const onDamage = (from: number, to: number) =>
    to === end && !following
      ? segments.report(segment, file, from, to, `${to - from} bytes after the last whole block were cut off`)
      : segments.report(segment, file, from, to);
  for await (const block of scanBlocks(file, segment.dataAt, end, onDamage)) {
    if (block.header.base >= limit) break;
    foldHeld(block.bytes, held);
    next = block.header.base + block.header.count;
    goodEnd = block.at + block.header.bytes;
    // A block that something follows, be it torn, was durable before that was written.
    if (goodEnd === end) lastBlock = Buffer.from(block.bytes);
    if (next >= limit) break;
  }
  segment.bytes = goodEnd;
  return { next, lastBlock };
}

/**
 * Cuts what follows the last block. That block may be in the page cache only, when the last process was killed before
 * its fdatasync returned, or after it failed, which leaves pages that are called clean and are not on the disk: it is
 * written again. Nothing may count as held before the disk has it too.
 */
async function makeDurable(file: OpenFile, segment: Segment, lastBlock: Buffer): Promise<void> {
  if ((await file.size()) > segment.bytes) await file.truncate(segment.bytes);
  await writeFully(file, lastBlock, segment.bytes - lastBlock.length);
  await file.datasync();
}
