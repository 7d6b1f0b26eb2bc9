/** Remembers over a restart of the hub which run of the store it knew, and how far a replay has come. */
import { type Files, placeFile, readFile } from './files.ts';
import type { Offset } from './journal.ts';

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
