/** Group commit: frames join the open group while the one before it is written and synced. */
import { backoffMs } from '../kit/backoff.ts';
import { isDiskFull, type OpenFile, writeFully } from './files.ts';
import type { Held, NotTaken, Offset } from './journal.ts';
import { BlockBuilder } from './journal-format.ts';
import type { JournalLog, Segment, Segments } from './journal-segments.ts';
import type { Frame } from './reading.ts';

export interface WriterOptions {
  segments: Segments;
  /** What is held durably when a segment begins. */
  held: ReadonlyMap<string, Held>;
  /** The offset of the first frame, and the segment to go on with. */
  next: Offset;
  last: { segment: Segment; file: OpenFile } | undefined;
  segmentBytes: number;
  lingerMs: number;
  log: JournalLog;
  now: () => number;
  /** A group is on the disk, and took so many bytes there. `committedAt`: Unix milliseconds. */
  onDurable(frames: readonly Frame[], base: Offset, committedAt: number, bytes: number): void;
  /** These frames were taken and will never be on the disk. */
  onRefused(frames: readonly Frame[]): void;
  /** Before a new attempt after the disk was full. Resolves to whether it is worth one. */
  makeRoom(): Promise<boolean>;
}

export interface Writer {
  /** Undefined when the frame was taken. `full`: it and those not yet durable need more than `roomBytes`. */
  append(frame: Frame, asSent: string | undefined, roomBytes: number): NotTaken | undefined;
  /** The offset after the last durable frame. */
  next(): Offset;
  isFailing(): boolean;
  /** Commits what is open. Idempotent. */
  close(): Promise<void>;
}

/** A group this large does not wait for its linger: under a flood the timer may be late by seconds. */
const FLUSH_BYTES = 512 * 1024;
/** Bound of the open group while the disk is slow. Policy: refuse as `busy`, so devices get `flow`. */
const MAX_GROUP_BYTES = 16 * 1024 * 1024;
const RETRY_BASE_MS = 50;
const RETRY_MAX_MS = 2_000;

class Group {
  readonly block = new BlockBuilder();
  frames: Frame[] = [];

  /** Empties the group and hands its frames over. */
  take(): Frame[] {
    const { frames } = this;
    this.frames = [];
    this.block.reset();
    return frames;
  }
}

export function createWriter(options: WriterOptions): Writer {
  const { segments, held, segmentBytes, lingerMs, log, now, onDurable, onRefused, makeRoom } = options;
  let { next, last: current } = options;
  let open = new Group();
  let flying = new Group();
  let cancelLinger = () => {};
  let wake = () => {};
  let work = Promise.resolve();
  let isDue = false;
  let isFlushing = false;
  let isFailing = false;
  let isClosed = false;
  /** Failures since the last success. */
  let failures = 0;

  function append(frame: Frame, asSent: string | undefined, roomBytes: number): NotTaken | undefined {
    const { block, frames } = open;
    if (isClosed) return 'closed';
    if (isFailing) return 'failing';
    const room = roomBytes - flying.block.bytes;
    if (!block.add(frame, asSent, Math.min(MAX_GROUP_BYTES, room))) return room < MAX_GROUP_BYTES ? 'full' : 'busy';
    frames.push(frame);
    if (block.bytes >= FLUSH_BYTES) flushWhenIdle();
    else if (frames.length === 1) linger();
    return undefined;
  }

  function linger() {
    if (lingerMs > 0) {
      const timer = setTimeout(flushWhenIdle, lingerMs);
      cancelLinger = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(flushWhenIdle);
      cancelLinger = () => clearImmediate(immediate);
    }
  }

  function flushWhenIdle() {
    isDue = true;
    if (!isFlushing) work = flush();
  }

  async function flush() {
    isFlushing = true;
    while (isDue && open.frames.length > 0) {
      cancelLinger();
      isDue = false;
      [open, flying] = [flying, open];
      await commit();
    }
    isDue = false;
    isFlushing = false;
  }

  async function commit() {
    const base = next;
    const committedAt = now();
    let bytes = 0;
    try {
      current = await segmentWithRoom();
      const { segment, file } = current;
      const block = flying.block.finish(base, committedAt);
      await writeFully(file, block, segment.bytes);
      await file.datasync();
      bytes = block.length;
      segment.bytes += bytes;
    } catch (error) {
      await recoverFrom(error);
      return;
    }
    failures = 0;
    const frames = flying.take();
    next += frames.length;
    onDurable(frames, base, committedAt, bytes);
  }

  async function segmentWithRoom() {
    if (current && current.segment.bytes - current.segment.dataAt < segmentBytes) return current;
    const full = current;
    current = undefined;
    await full?.file.close().catch(() => {});
    return segments.begin(next, now(), held);
  }

  /**
   * After a failed fdatasync the kernel may call pages clean that never reached the disk, so the file is never written
   * or synced again. What follows the failed group is refused with it, or a device's frames would lose their order.
   */
  async function recoverFrom(error: unknown) {
    isFailing = true;
    cancelLinger();
    const broken = current;
    current = undefined;
    log.error({ err: error, file: broken?.segment.path }, 'journal: a write failed; devices are told to wait');
    onRefused([...flying.take(), ...open.take()]);
    if (broken) await seal(broken);
    let isFull = isDiskFull(error);
    while (!isClosed && isFailing) isFull = await tryAgain(isFull);
  }

  /** Whether the disk was full this time. */
  async function tryAgain(wasFull: boolean): Promise<boolean> {
    if (failures++ > 0) await pause(backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS));
    if (isClosed) return false;
    try {
      // Only then: deleting what was delivered does not mend a broken disk.
      if (wasFull && !(await makeRoom())) return true;
      current = await segments.begin(next, now(), held);
    } catch (error) {
      log.warn({ err: error, attempt: failures }, 'journal: still no new segment');
      return isDiskFull(error);
    }
    isFailing = false;
    log.info({ file: current.segment.path }, 'journal: a new segment was begun, frames are taken again');
    return false;
  }

  function pause(ms: number) {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async function close() {
    isClosed = true;
    wake();
    flushWhenIdle();
    await work;
    const last = current;
    current = undefined;
    await last?.file.close().catch(() => {});
  }

  return {
    append,
    next: () => next,
    isFailing: () => isFailing,
    close,
  };
}

/** Cuts what may be left of the failed block, as far as this disk still obeys: what follows has the same offsets. */
async function seal({ segment, file }: { segment: Segment; file: OpenFile }): Promise<void> {
  await file.truncate(segment.bytes).catch(() => {});
  await file.close().catch(() => {});
}
