/** What a replay is about: which frames it writes again, and what it remembers over a restart of the hub. */
import { type Files, placeFile, readFile } from './files.ts';
import type { JournalBatch, Offset } from './journal.ts';
import type { Frame } from './reading.ts';

/** A replay under way: what was read from the journal before `at` is written again. */
export interface ReplayRun {
  at: Offset;
  /** Before it every reading is written again; after it only those that an older one may have overwritten. */
  to: Offset;
  /** Where it ends. */
  until: Offset;
  /** Frames that arrived earlier are outside of the replay window. Unix milliseconds. */
  since: number;
  /** The highest `ts` of all readings that were written again. */
  newestTs: number;
}

export interface ReplayState {
  /** The run of the store that the hub knew; absent before the first. */
  incarnation?: string;
  run?: ReplayRun;
}

export interface ReplayMemory {
  load(): Promise<ReplayState>;
  /** Durable when it resolves. Rejects with an Error that has a `code`. */
  save(state: ReplayState): Promise<void>;
}

const FILE = 'store.json';

/** Keeps it in `store.json` of a folder. A file that cannot be read names no run that exists: all is replayed. */
export function createReplayMemory(files: Files, folder: string): ReplayMemory {
  return {
    async load() {
      const bytes = await readFile(files, `${folder}/${FILE}`);
      return bytes ? parse(bytes.toString()) : {};
    },
    async save(state) {
      const file = await placeFile(files, folder, FILE, Buffer.from(`${JSON.stringify(state)}\n`));
      await file.close();
    },
  };
}

function parse(text: string): ReplayState {
  try {
    const { incarnation = '', run } = JSON.parse(text) as ReplayState;
    return { incarnation, ...(isRun(run) && { run }) };
  } catch {
    return { incarnation: '' };
  }
}

function isRun(run: ReplayRun | undefined): run is ReplayRun {
  return run !== undefined && [run.at, run.to, run.until, run.since, run.newestTs].every(Number.isFinite);
}

/** All readings within the window while the run is before its `to`, then those that may have been overwritten. */
export function framesToWrite({ from, frames }: JournalBatch, run: ReplayRun): Frame[] {
  const young = frames.filter(({ receivedAt, readings }) => receivedAt >= run.since && readings.length > 0);
  if (from < run.to) return young;
  return young.flatMap((frame) => {
    const readings = frame.readings.filter(({ ts }) => ts <= run.newestTs);
    return readings.length > 0 ? [{ ...frame, readings }] : [];
  });
}
