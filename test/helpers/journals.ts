/** What tests of the journal share: frames with something to recognise, devices that remember what they were told. */
import type { Files } from '../../hub/telemetry/files.ts';
import { type JournalOptions, openJournal } from '../../hub/telemetry/journal.file.ts';
import type { Journal, Offset } from '../../hub/telemetry/journal.ts';
import type { Frame, FrameOwner } from '../../hub/telemetry/reading.ts';
import { T0 } from './frames.ts';

export const DIR = '/hub/journal';

const BASE = {
  dir: DIR,
  limitBytes: 1e9,
  segmentBytes: 64 * 1024 * 1024,
  lingerMs: 0,
  replayMs: 0,
  memoryReadings: 1000,
};

export function open(files: Files, options: Partial<JournalOptions> = {}): Promise<Journal> {
  return openJournal({ ...BASE, now: () => T0, ...options, files });
}

/** Remembers every word of the journal to one device. */
export class Listener implements FrameOwner {
  readonly acks: number[] = [];
  readonly refusals: number[] = [];
  durable(seq: number): void {
    this.acks.push(seq);
  }
  refused(seq: number): void {
    this.refusals.push(seq);
  }
}

export function frame(device: string, seq: number, extra: Partial<Frame> = {}): Frame {
  const readings = [{ ts: T0 + seq, value: seq }];
  return { device, epoch: 'e1', seq, stream: 'environment', receivedAt: T0, readings, ...extra };
}

/** Resolves when the next group is on the disk. */
export function commit(journal: Journal): Promise<void> {
  return new Promise((resolve) => journal.onCommit(() => resolve()));
}

/** Everything from an offset on, read in steps, with the offset of each frame where nothing is missing. */
export async function readAll(journal: Journal, from: Offset = 0, maxReadings = 7): Promise<Frame[]> {
  const frames: Frame[] = [];
  for (let at = from; ; ) {
    const batch = await journal.read(at, maxReadings);
    if (!batch) return frames;
    if (batch.next <= at) throw new Error(`the batch at ${at} does not lead on`);
    for (const { owner: _, ...frame } of batch.frames) frames.push(frame);
    at = batch.next;
  }
}

/** Waits until something is so; the test's own time-out ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}
