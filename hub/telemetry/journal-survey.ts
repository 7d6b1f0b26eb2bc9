/** Looks through a journal from outside, changing nothing, also while a hub writes it: what is there and what is broken. */
import { basename } from 'node:path';
import { UserError } from '../kit/errors.ts';
import { errorCode, type Files, openIfThere } from './files.ts';
import type { Offset } from './journal.ts';
import { type Cursors, loadCursors } from './journal-cursors.ts';
import { holderOf } from './journal-lock.ts';
import { findSegments } from './journal-recovery.ts';
import { type Block, readCheckpoint, readSegmentHeader, scanBlocks } from './journal-scan.ts';
import type { Segment } from './journal-segments.ts';

export interface Survey {
  folder: string;
  /** In the order of their offsets. */
  segments: readonly Segment[];
  cursors: Cursors;
  areCursorsDamaged: boolean;
  /** The process that writes this journal now. */
  holder: number | undefined;
}

/** Something that is not as it was written: bytes of a file, or frames that no file has any more. */
export interface Finding {
  file: string;
  /** Position in the file, and how many bytes; 0 when bytes are missing. */
  at: number;
  bytes: number;
  /** The frames `from` ≤ offset < `to` are lost, as far as that can be told. */
  from?: Offset;
  to?: Offset;
  what: string;
}

/** A block whose frames count, from the `skip`-th on; the ones before were in an earlier block. */
export interface Found {
  segment: Segment;
  block: Block;
  skip: number;
}

/** Throws `UserError` when there is no journal, or another version of the hub wrote it. `now`: Unix milliseconds. */
export async function surveyJournal(files: Files, folder: string, now: number): Promise<Survey> {
  try {
    const segments = await findSegments(files, folder, now);
    const { cursors, isDamaged } = await loadCursors(files, folder);
    return { folder, segments, cursors, areCursorsDamaged: isDamaged, holder: await holderOf(files, folder) };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw error;
    throw new UserError(`There is no journal in ${folder}: name the data folder by --data, or the journal by --dir.`);
  }
}

/** The frames that a sink has read and no file has: `next` is the offset after the last block. A running hub writes on. */
export function findingAtEnd({ segments, cursors, holder }: Survey, next: Offset): Finding[] {
  const to = cursors.highest();
  if (holder !== undefined || to <= next) return [];
  const last = segments.at(-1);
  const what = `${framesText(next, to)} missing at the end: a sink has read them, and no file has them`;
  return [{ file: last ? basename(last.path) : 'cursors.json', at: last?.bytes ?? 0, bytes: 0, from: next, to, what }];
}

/** What is broken outside the blocks: the beginnings of segments, and the cursors. */
export async function findingsAtStarts(files: Files, survey: Survey): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const segment of survey.segments) {
    const { dataAt, path } = segment;
    const what = await brokenStart(files, segment);
    if (what) findings.push({ file: basename(path), at: 0, bytes: dataAt, what });
  }
  if (survey.areCursorsDamaged) {
    findings.push({
      file: 'cursors.json',
      at: 0,
      bytes: 0,
      what: 'the cursors are damaged: sinks will read all again',
    });
  }
  return findings;
}

async function brokenStart(files: Files, { path, bytes }: Segment): Promise<string | undefined> {
  const file = await openIfThere(files, path);
  if (!file) return undefined;
  try {
    const header = await readSegmentHeader(file);
    if (!header) return 'the header is damaged; its blocks are found all the same';
    return (await readCheckpoint(file, header, bytes))
      ? undefined
      : 'the checkpoint is damaged; the one before it serves';
  } finally {
    await file.close();
  }
}

/**
 * The blocks that count, in the order of their offsets, of the segments that may hold a `wanted` offset. What lies between
 * them is told to `onFinding`, once it is clear which frames were there.
 */
export async function* walkBlocks(
  files: Files,
  { segments, holder }: Pick<Survey, 'segments' | 'holder'>,
  onFinding: (finding: Finding, segment: Segment) => void,
  wanted = { from: 0, to: Number.POSITIVE_INFINITY },
): AsyncGenerator<Found> {
  for (const [index, segment] of segments.entries()) {
    const limit = segments[index + 1]?.base;
    if (segment.base >= wanted.to || (limit !== undefined && limit <= wanted.from)) continue;
    // At the end of the last segment of a running hub is the block that it writes at this moment.
    const isBeingWritten = limit === undefined && holder !== undefined;
    yield* walkSegment(files, segment, limit, (finding) => {
      const isTail = finding.at + finding.bytes === segment.bytes;
      if (!isBeingWritten || !isTail) onFinding(finding, segment);
    });
  }
}

async function* walkSegment(
  files: Files,
  segment: Segment,
  limit: Offset | undefined,
  onFinding: (finding: Finding) => void,
): AsyncGenerator<Found> {
  const file = await openIfThere(files, segment.path);
  if (!file) return;
  const damage: { at: number; bytes: number }[] = [];
  const lose = (from: Offset, to: Offset | undefined, end: number) => {
    const [place] = damage.splice(0);
    if (place || to !== undefined) onFinding(lossOf(segment, place ?? { at: end, bytes: 0 }, from, to));
  };
  let next = segment.base;
  let end = segment.dataAt;
  try {
    const blocks = scanBlocks(file, segment.dataAt, segment.bytes, async (from, to) => {
      damage.push({ at: from, bytes: to - from });
    });
    for await (const block of blocks) {
      const { base, count, bytes } = block.header;
      // Behind the last offset of a segment may lie what is left of a write that failed.
      if (limit !== undefined && base >= limit) break;
      if (damage.length > 0 || base > next) lose(next, base > next ? base : undefined, block.at);
      if (base + count > next) yield { segment, block, skip: Math.max(0, next - base) };
      next = Math.max(next, base + count);
      end = block.at + bytes;
      if (next === limit) return;
    }
    if (limit === undefined || next < limit) lose(next, limit, end);
  } finally {
    await file.close();
  }
}

function lossOf(segment: Segment, place: { at: number; bytes: number }, from: Offset, to: Offset | undefined): Finding {
  const file = basename(segment.path);
  const isTail = to === undefined && place.at + place.bytes === segment.bytes;
  const frames = to === undefined ? '' : framesText(from, to);
  if (place.bytes === 0) return { file, ...place, from, to: to!, what: `${frames} missing: no file has them` };
  if (isTail) return { file, ...place, what: 'bytes after the last whole block; the next start cuts them off' };
  if (to === undefined) return { file, ...place, what: 'damaged, but no frame was in them' };
  return { file, ...place, from, to, what: `damaged: ${frames} lost` };
}

function framesText(from: Offset, to: Offset): string {
  return to - from === 1 ? `frame ${from}` : `frames ${from} to ${to - 1}`;
}
