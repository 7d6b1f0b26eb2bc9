/** Reads every byte of a journal and says what is not as it was written. */
import type { Files } from './files.ts';
import type { Offset } from './journal.ts';
import { type Finding, findingAtEnd, findingsAtStarts, surveyJournal, walkBlocks } from './journal-survey.ts';

export interface JournalCheck {
  folder: string;
  /** The process that writes it now. */
  holder?: number;
  segments: number;
  bytes: number;
  /** Frames that are there; their offsets are `first` ≤ offset < `next`. */
  frames: number;
  first: Offset;
  next: Offset;
  /** In the order of the files. */
  findings: Finding[];
}

/** `now`: Unix milliseconds. Throws `UserError` when there is no journal, or another version of the hub wrote it. */
export async function checkJournal(files: Files, folder: string, now: number): Promise<JournalCheck> {
  const survey = await surveyJournal(files, folder, now);
  const { segments, holder } = survey;
  const findings = await findingsAtStarts(files, survey);
  const first = segments[0]?.base ?? 0;
  let next = segments.at(-1)?.base ?? 0;
  let frames = 0;
  for await (const { block, skip } of walkBlocks(files, survey, (finding) => void findings.push(finding))) {
    frames += block.header.count - skip;
    next = block.header.base + block.header.count;
  }
  findings.push(...findingAtEnd(survey, next));
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const counted = { segments: segments.length, bytes, frames, first, next };
  return { folder, ...(holder !== undefined && { holder }), ...counted, findings: findings.sort(byPlace) };
}

function byPlace(a: Finding, b: Finding): number {
  return a.file === b.file ? a.at - b.at : a.file < b.file ? -1 : 1;
}
