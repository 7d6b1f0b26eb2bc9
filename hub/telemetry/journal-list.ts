/** What a journal consists of: its segments, and how far each sink has read. */
import { basename } from 'node:path';
import type { Files } from './files.ts';
import type { Offset } from './journal.ts';
import { surveyJournal, walkBlocks } from './journal-survey.ts';

export interface JournalList {
  folder: string;
  /** The process that writes it now. */
  holder?: number;
  bytes: number;
  /** Offsets of the frames: `first` ≤ offset < `next`. */
  first: Offset;
  next: Offset;
  /** In the order of their offsets. `createdAt`: Unix milliseconds. `waitingFor`: the sinks that have not read all of it. */
  segments: { file: string; first: Offset; next: Offset; bytes: number; createdAt: number; waitingFor: string[] }[];
  /** By sink: where it reads on, and the frames that are left. */
  cursors: Record<string, { offset: Offset; lagFrames: number }>;
}

/** Reads the last segment and the beginnings of the others. `now`: Unix milliseconds. Throws as `surveyJournal`. */
export async function listJournal(files: Files, folder: string, now: number): Promise<JournalList> {
  const survey = await surveyJournal(files, folder, now);
  const { holder, cursors, segments } = survey;
  const last = segments.at(-1)?.base ?? 0;
  let next = last;
  for await (const { block } of walkBlocks(files, survey, () => {}, { from: last, to: last + 1 })) {
    next = block.header.base + block.header.count;
  }
  const sinks = [...cursors.entries()];
  return {
    folder,
    ...(holder !== undefined && { holder }),
    bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
    first: segments[0]?.base ?? 0,
    next,
    segments: segments.map(({ path, base, bytes, createdAt }, index) => {
      const end = segments[index + 1]?.base ?? next;
      const waitingFor = sinks.filter(([, offset]) => offset < end).map(([sink]) => sink);
      return { file: basename(path), first: base, next: end, bytes, createdAt, waitingFor };
    }),
    cursors: Object.fromEntries(
      sinks.map(([sink, offset]) => [
        sink,
        { offset, lagFrames: Math.max(0, next - Math.max(offset, segments[0]?.base ?? 0)) },
      ]),
    ),
  };
}
