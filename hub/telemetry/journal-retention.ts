/** Decides which segments may go: those that every sink has passed, by age, by share of the limit, or for room. */
import type { Cursors } from './journal-cursors.ts';
import type { JournalLog, Segments } from './journal-segments.ts';

export interface RetentionOptions {
  segments: Segments;
  cursors: Cursors;
  limitBytes: number;
  replayMs: number;
  /** The sinks of this run. */
  active: ReadonlySet<string>;
  log: JournalLog;
}

export interface Retention {
  /**
   * Deletes delivered segments older than the replay window, or beyond half of the limit. Every cursor counts, also
   * that of a sink which is not configured at present.
   */
  sweep(now: number): Promise<number>;
  /**
   * Deletes the oldest delivered segments until `bytes` more fit under the limit, inside the replay window too. Only the
   * sinks of this run count: one that was removed must not stop the hub for ever.
   */
  makeRoom(bytes: number): Promise<number>;
  /** Deletes the oldest segment like `makeRoom`, when it ended before this time. */
  dropOldest(before: number): Promise<number>;
  /** Whether `makeRoom` would find something. */
  canMakeRoom(): boolean;
}

const GIVEN_UP =
  'journal: delivered frames were given up to make room; what a store loses of them in a crash cannot be written again';

export function createRetention(options: RetentionOptions): Retention {
  const { segments, cursors, limitBytes, replayMs, active, log } = options;
  let running: Promise<unknown> = Promise.resolve();

  /** Drops the oldest segment as long as it is delivered and `mayGo`; one run after the other. */
  function drop(sinks: () => Iterable<string>, mayGo: (endedAt: number, dropped: number) => boolean): Promise<number> {
    const result = running.then(async () => {
      await saveCursors();
      const delivered = cursors.durableMinimum(sinks());
      let dropped = 0;
      for (;;) {
        const following = segments.list[1];
        if (!following || following.base > delivered || !mayGo(following.createdAt, dropped)) return dropped;
        await segments.dropOldest();
        dropped++;
      }
    });
    running = result.catch(() => {});
    return result;
  }

  async function giveUp(mayGo: (endedAt: number, dropped: number) => boolean): Promise<number> {
    const from = segments.list[0]?.base;
    const dropped = await drop(() => active, mayGo);
    if (dropped > 0) log.warn({ segments: dropped, from, to: segments.list[0]?.base }, GIVEN_UP);
    return dropped;
  }

  /** Cursors reach the disk before a segment leaves it. On a full disk they cannot; then what is there decides. */
  async function saveCursors() {
    await cursors.save().catch((error: unknown) => log.warn({ err: error }, 'journal: cursors could not be saved'));
  }

  function deliveredBytes(): number {
    const delivered = cursors.minimum(allSinks());
    return segments.list.reduce(
      (sum, segment, index) => ((segments.list[index + 1]?.base ?? Infinity) <= delivered ? sum + segment.bytes : sum),
      0,
    );
  }

  const allSinks = () => Array.from(cursors.entries(), ([sink]) => sink);

  return {
    sweep: (now) => drop(allSinks, (endedAt) => endedAt < now - replayMs || deliveredBytes() > limitBytes / 2),
    makeRoom: (bytes) => giveUp(() => segments.bytes() + bytes > limitBytes),
    dropOldest: (before) => giveUp((endedAt, dropped) => dropped === 0 && endedAt < before),
    canMakeRoom() {
      const following = segments.list[1];
      return following !== undefined && following.base <= cursors.minimum(active);
    },
  };
}
