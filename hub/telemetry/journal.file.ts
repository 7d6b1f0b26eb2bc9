/** Opens the journal in a folder of segment files: the only place in which a reading becomes durable. */
import { dirname } from 'node:path';
import { UserError } from '../kit/errors.ts';
import { nodeFiles } from './files.node.ts';
import { type Files, isDiskFull } from './files.ts';
import type { Journal } from './journal.ts';
import { loadCursors } from './journal-cursors.ts';
import { FileJournal } from './journal-engine.ts';
import { takeLock } from './journal-lock.ts';
import { recover } from './journal-recovery.ts';
import type { JournalLog } from './journal-segments.ts';

export interface JournalOptions {
  dir: string;
  /** The files of the journal never grow beyond this. Policy: delivered segments go first, then frames are refused. */
  limitBytes: number;
  /** Size at which a new segment begins; at most a quarter of the limit. */
  segmentBytes: number;
  /** How long the first frame of a group waits for company; 0: until the end of the turn of the loop. */
  lingerMs: number;
  /** Delivered segments are kept this long, within half of the limit. */
  replayMs: number;
  /** Newest readings kept in memory; older ones are read from the disk. */
  memoryReadings: number;
  files?: Files;
  log?: JournalLog;
  now?: () => number;
}

const SILENT: JournalLog = { info() {}, warn() {}, error() {} };

/**
 * Opens or creates the journal of a folder. What it then holds is on the disk: a torn tail was cut, damage reported.
 * Throws `UserError` when another hub uses the folder, a newer one wrote it, or its disk is full, and an Error with a
 * `code` when the disk does not do its part.
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  try {
    return await open(options);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new UserError(`The disk of the journal in ${options.dir} is full: make room, then start again.`);
  }
}

async function open({ files = nodeFiles, log = SILENT, now = Date.now, ...options }: JournalOptions): Promise<Journal> {
  const { dir } = options;
  await files.makeDirectory(dir);
  await files.syncDirectory(dirname(dir));
  const unlock = await takeLock(files, dir);
  try {
    const recovered = await recover(files, dir, log, now());
    const { cursors, isDamaged } = await loadCursors(files, dir);
    if (isDamaged) await recovered.segments.reportFile('cursors.json', 'the cursors are damaged: sinks read all again');
    const journal = new FileJournal({ ...options, files, log, now }, recovered, cursors, unlock);
    await journal.look();
    return journal;
  } catch (error) {
    await unlock().catch(() => {});
    throw error;
  }
}
