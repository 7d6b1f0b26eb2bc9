/** The moment up to which a broker was told of all ends of commands; written behind. */
import type { Table } from '../backplane/backplane.ts';

export interface ToldMark {
  /** Unix milliseconds. */
  readonly at: number;
  /** What ended at this moment was told; what ended before perhaps not yet. */
  reached(moment: number): void;
  /** Everything that ended so far was told. */
  settle(): void;
  /** Writes it down. */
  close(): Promise<void>;
}

const SAVE_MS = 1_000;

/** A crash repeats some ends, and forgets none. `fallback`: where a broker begins that is new. */
export function createToldMark(table: Table<number>, key: string, fallback: number): ToldMark {
  const stored = table.get(key)?.value;
  let at = stored ?? fallback;
  let latest = at;
  let timer: NodeJS.Timeout | undefined;
  const save = async () => {
    timer = undefined;
    await table.set(key, at).catch(() => {});
  };
  const saveSoon = () => {
    timer ??= setTimeout(save, SAVE_MS).unref();
  };
  // A broker that is new hears of what ends from now on, also when the hub is killed before the first end.
  if (stored === undefined) void save();
  return {
    get at() {
      return at;
    },
    reached(moment: number) {
      latest = Math.max(latest, moment);
    },
    settle() {
      if (latest > at) saveSoon();
      at = latest;
    },
    async close() {
      if (timer === undefined) return;
      clearTimeout(timer);
      await save();
    },
  };
}
