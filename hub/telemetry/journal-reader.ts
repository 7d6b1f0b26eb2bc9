/** Reads frames back from the segment files, for the sinks that are behind what memory holds. */
import { Unavailable } from '../kit/errors.ts';
import { type Files, openIfThere } from './files.ts';
import type { JournalBatch, Offset } from './journal.ts';
import { decodeFrame, visitRecords } from './journal-format.ts';
import { type Block, scanBlocks } from './journal-scan.ts';
import type { Segment, Segments } from './journal-segments.ts';
import { weightOf } from './journal-tail.ts';

export interface Reader {
  /**
   * Up to about `maxReadings` readings from `from` on, of one segment, before `end`. Frames that damage destroyed and
   * segments that are gone are passed over. Throws `Unavailable` when the disk does not answer.
   */
  read(from: Offset, maxReadings: number, end: Offset): Promise<JournalBatch>;
  /** About when the frame at this offset was committed: exact where somebody read, else when its segment began. */
  committedAt(offset: Offset): number;
}

/** Where a reader will go on, so that it does not search its segment from the beginning. */
interface Mark {
  path: string;
  at: number;
  committedAt: number | undefined;
}

/** More readers than this at different offsets search again: the mark unused for longest is forgotten. */
const MAX_MARKS = 64;

export function createReader(files: Files, segments: Segments): Reader {
  const marks = new Map<Offset, Mark>();

  function mark(offset: Offset, segment: Segment, block: Block, isInside: boolean) {
    const at = isInside ? block.at : block.at + block.header.bytes;
    marks.delete(offset);
    marks.set(offset, { path: segment.path, at, committedAt: isInside ? block.header.committedAt : undefined });
    for (const oldest of marks.keys()) {
      if (marks.size <= MAX_MARKS) break;
      marks.delete(oldest);
    }
  }

  async function read(from: Offset, maxReadings: number, end: Offset): Promise<JournalBatch> {
    const batch: JournalBatch = { from, next: from, frames: [], committedAt: 0 };
    try {
      let segment = segments.holding(from);
      for (; segment && batch.frames.length === 0; segment = segments.after(segment)) {
        await readSegment(segment, batch, maxReadings, Math.min(end, segments.after(segment)?.base ?? end));
      }
    } catch (error) {
      throw new Unavailable('the journal could not be read', { cause: error });
    }
    if (batch.frames.length === 0) batch.next = end;
    return batch;
  }

  async function readSegment(segment: Segment, batch: JournalBatch, maxReadings: number, limit: Offset) {
    const { bytes } = segment;
    const file = await openIfThere(files, segment.path);
    if (!file) return;
    const known = marks.get(batch.next);
    const start = known?.path === segment.path ? known.at : segment.dataAt;
    let damagedTo = 0;
    const onDamage = (from: number, to: number) => {
      damagedTo = to;
      return segments.report(segment, file, from, to);
    };
    /** Where bytes are damaged that was said; where they are gone nobody else says it. */
    const expect = async (to: Offset, at: number) => {
      const from = Math.max(batch.next, segment.base);
      if (from >= to || damagedTo === at) return;
      await segments.report(segment, file, at, at, `frames ${from} to ${to - 1} are missing: no file has them`);
    };
    let weight = 0;
    try {
      for await (const block of scanBlocks(file, start, bytes, onDamage)) {
        if (block.header.base >= limit) break;
        await expect(block.header.base, block.at);
        weight += take(block, segment, batch, maxReadings - weight);
        // Behind the last offset of a segment may lie what is left of a write that failed.
        if (weight >= maxReadings || batch.next >= limit) return;
      }
      await expect(limit, bytes);
      batch.next = limit;
    } finally {
      await file.close();
    }
  }

  /** Moves frames from a block to the batch; returns how many readings that were. */
  function take(block: Block, segment: Segment, batch: JournalBatch, room: number): number {
    const { base, count, committedAt } = block.header;
    if (base + count <= batch.next) return 0;
    batch.next = Math.max(batch.next, base);
    if (batch.frames.length === 0) mark(batch.next, segment, block, true);
    const bytesPerFrame = block.bytes.length / count;
    let weight = 0;
    visitRecords(block.bytes, batch.next - base, (at) => {
      const frame = decodeFrame(block.bytes, at);
      batch.frames.push(frame);
      batch.next++;
      weight += weightOf(frame, bytesPerFrame);
      return weight < room;
    });
    batch.committedAt = committedAt;
    mark(batch.next, segment, block, batch.next < base + count);
    return weight;
  }

  return {
    read,
    committedAt: (offset) => marks.get(offset)?.committedAt ?? segments.holding(offset)?.createdAt ?? 0,
  };
}
