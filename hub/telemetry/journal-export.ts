/** Takes frames out of a journal one by one, in the order in which they were acknowledged. */
import type { Files } from './files.ts';
import type { Offset } from './journal.ts';
import { decodeFrame, visitRecords } from './journal-format.ts';
import { type Finding, surveyJournal, walkBlocks } from './journal-survey.ts';
import type { Frame } from './reading.ts';

/** Which frames; without a property all are meant. Times are of arrival, in Unix milliseconds. */
export interface ExportFilter {
  /** `from` ≤ offset < `to`. */
  fromOffset?: Offset;
  toOffset?: Offset;
  /** `from` ≤ arrival < `to`. */
  fromMs?: number;
  toMs?: number;
  devices?: readonly string[];
  streams?: readonly string[];
}

export type ExportedFrame = { offset: Offset } & Omit<Frame, 'owner'>;

/**
 * One block in memory at a time. What is damaged is passed over and told to `onFinding`. Throws `UserError` when there is
 * no journal, or another version of the hub wrote it. `now`: Unix milliseconds.
 */
export async function* exportJournal(
  files: Files,
  folder: string,
  filter: ExportFilter,
  now: number,
  onFinding: (finding: Finding) => void,
): AsyncGenerator<ExportedFrame> {
  const { fromOffset = 0, toOffset = Number.POSITIVE_INFINITY } = filter;
  const survey = await surveyJournal(files, folder, now);
  const wanted = { from: fromOffset, to: toOffset };
  for await (const { block, skip } of walkBlocks(files, survey, onFinding, wanted)) {
    const { base, count } = block.header;
    if (base >= toOffset) return;
    if (base + count <= fromOffset) continue;
    const frames: ExportedFrame[] = [];
    let offset = base + skip;
    visitRecords(block.bytes, skip, (at) => {
      const frame = { offset, ...decodeFrame(block.bytes, at) };
      offset++;
      if (fits(frame, filter)) frames.push(frame);
      return true;
    });
    yield* frames;
  }
}

function fits({ offset, receivedAt, device, stream }: ExportedFrame, filter: ExportFilter): boolean {
  const { fromOffset = 0, toOffset = Number.POSITIVE_INFINITY } = filter;
  const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY, devices, streams } = filter;
  if (offset < fromOffset || offset >= toOffset || receivedAt < fromMs || receivedAt >= toMs) return false;
  return (devices?.includes(device) ?? true) && (streams?.includes(stream) ?? true);
}
