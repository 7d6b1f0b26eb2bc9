/** Makes a journal whole again: what is damaged is copied aside and left out, everything else stays at its offset. */
import { basename } from 'node:path';
import { UserError } from '../kit/errors.ts';
import { type Files, openIfThere, TEMPORARY, writeFully } from './files.ts';
import type { Held } from './journal.ts';
import { encodeSegmentStart, foldHeld } from './journal-format.ts';
import { EXIT_LOCKED, holderOf, takeLock } from './journal-lock.ts';
import { removeTemporary } from './journal-recovery.ts';
import { readCheckpoint, readSegmentHeader } from './journal-scan.ts';
import { createSegments, type JournalLog, type Segment, type Segments } from './journal-segments.ts';
import {
  type Finding,
  findingAtEnd,
  findingsAtStarts,
  type Survey,
  surveyJournal,
  walkBlocks,
} from './journal-survey.ts';

export interface Repair {
  /** What was broken. Frames that no file has stay lost: the others were mended. */
  findings: Finding[];
  /** Files that were written anew or taken away. */
  changed: string[];
}

/**
 * Works on a journal that no hub uses. Killed at any moment it leaves a journal that can be opened and repaired again.
 * Damaged bytes are in `damaged/` when it resolves. `now`: Unix milliseconds. Throws `UserError` when a hub uses the
 * journal, there is none, or another version of the hub wrote it.
 */
export async function repairJournal(files: Files, folder: string, log: JournalLog, now: number): Promise<Repair> {
  const holder = await holderOf(files, folder);
  if (holder !== undefined) {
    throw new UserError(`A hub, process ${holder}, uses the journal in ${folder}: stop it first.`, EXIT_LOCKED);
  }
  await surveyJournal(files, folder, now);
  const unlock = await takeLock(files, folder);
  try {
    await removeTemporary(files, folder);
    // The lock is ours now, so nothing is being written.
    return await repair(files, { ...(await surveyJournal(files, folder, now)), holder: undefined }, log);
  } finally {
    await unlock();
  }
}

async function repair(files: Files, survey: Survey, log: JournalLog): Promise<Repair> {
  const { folder, areCursorsDamaged } = survey;
  const segments = createSegments(files, folder, [...survey.segments], log);
  const findings = await findingsAtStarts(files, survey);
  const broken = new Set(findings.map(({ file }) => file));
  const note = (finding: Finding) => {
    findings.push(finding);
    if (finding.bytes > 0) broken.add(finding.file);
  };
  let next = survey.segments.at(-1)?.base ?? 0;
  for await (const { block } of walkBlocks(files, survey, note)) next = block.header.base + block.header.count;
  findings.push(...findingAtEnd(survey, next));
  for (const finding of findings) await copyAside(files, segments, folder, finding);
  const changed = await rewrite(files, survey, broken);
  if (areCursorsDamaged) {
    await files.unlink(`${folder}/cursors.json`);
    await files.syncDirectory(folder);
    changed.push('cursors.json');
  }
  return { findings, changed };
}

async function copyAside(files: Files, segments: Segments, folder: string, { file: name, at, bytes, what }: Finding) {
  if (name === 'cursors.json') return segments.reportFile(name, what);
  const path = `${folder}/${name}`;
  const file = await files.open(path, 'read');
  try {
    await segments.report({ path }, file, at, at + bytes, what);
  } finally {
    await file.close();
  }
}

/** Puts a new file of the blocks that count in the place of each broken one. Resolves to their names. */
async function rewrite(files: Files, survey: Survey, broken: ReadonlySet<string>): Promise<string[]> {
  const changed: string[] = [];
  const held = new Map<string, Held>();
  for (const segment of survey.segments) {
    await startFrom(files, segment, held);
    const name = basename(segment.path);
    if (broken.has(name)) {
      const start = encodeSegmentStart(segment.base, segment.createdAt, held);
      await replaceFile(files, survey.folder, name, withBlocks(start, files, survey, segment, held));
      changed.push(name);
    } else {
      for await (const block of blocksOf(files, survey, segment)) foldHeld(block, held);
    }
  }
  return changed;
}

async function* withBlocks(
  start: Buffer,
  files: Files,
  survey: Survey,
  segment: Segment,
  held: Map<string, Held>,
): AsyncGenerator<Buffer> {
  yield start;
  for await (const block of blocksOf(files, survey, segment)) {
    foldHeld(block, held);
    yield block;
  }
}

async function* blocksOf(files: Files, survey: Survey, { base }: Segment): AsyncGenerator<Buffer> {
  const wanted = { from: base, to: base + 1 };
  for await (const { block } of walkBlocks(files, survey, () => {}, wanted)) yield block.bytes;
}

/** What is held where a segment begins: as its checkpoint says or, without one, as the blocks before it told. */
async function startFrom(files: Files, segment: Segment, held: Map<string, Held>): Promise<void> {
  const file = await openIfThere(files, segment.path);
  if (!file) return;
  try {
    const header = await readSegmentHeader(file);
    const checkpoint = header && (await readCheckpoint(file, header, segment.bytes));
    if (!checkpoint) return;
    held.clear();
    for (const [device, of] of checkpoint) held.set(device, of);
  } finally {
    await file.close();
  }
}

/** Like `placeFile`, for more than memory should hold. */
async function replaceFile(files: Files, folder: string, name: string, parts: AsyncIterable<Uint8Array>) {
  const path = `${folder}/${name}`;
  const file = await files.open(path + TEMPORARY, 'create');
  try {
    let at = 0;
    for await (const part of parts) {
      await writeFully(file, part, at);
      at += part.length;
    }
    await file.datasync();
    await files.rename(path + TEMPORARY, path);
    await files.syncDirectory(folder);
  } catch (error) {
    await files.unlink(path + TEMPORARY).catch(() => {});
    throw error;
  } finally {
    await file.close().catch(() => {});
  }
}
