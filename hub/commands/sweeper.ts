/** Moves commands on when their time has come, and forgets the oldest that have ended; one timer for all of them. */
import { type Command, type CommandEvent, dueOf, hasEnded, isFinal } from './command.ts';
import type { CommandIndex } from './command-index.ts';

export interface SweepOptions {
  /**
   * Ended commands that are kept: of a device, of the hub, and for how long. 200, 100,000, 30 days. Policy when there are
   * more: forget the oldest, and `unknown` ones last, for a late result still finds its command then.
   */
  keepPerDevice: number;
  keepTotal: number;
  keepMs: number;
}

export interface SweeperDeps {
  index: CommandIndex;
  move(id: string, event: CommandEvent): Promise<unknown>;
  remove(id: string): Promise<unknown>;
  /** Called when something was put off. */
  retry(): void;
  onError(error: unknown): void;
  now(): number;
}

export interface Sweeper {
  /** A command is new or has changed: the timer may have to ring earlier, the device may have too many that ended. */
  changed(command: Command): void;
  /** Something was put off: sweeps in a moment. */
  soon(): void;
  /** Does what is due; nothing when that is in the future. */
  sweep(now?: number): void;
  close(): void;
}

/** Between two sweeps at least; a command may be so much too late. */
const REST_MS = 200;
/** The timer rings at least so often: the clock may jump, and old commands are forgotten. */
const LONGEST_MS = 600_000;
/** Moved on in one sweep; the rest comes after the rest. */
const BATCH = 2_000;

export function createSweeper(deps: SweeperDeps, options: Partial<SweepOptions>): Sweeper {
  const { index, move, remove, retry, onError, now } = deps;
  const { keepPerDevice = 200, keepTotal = 100_000, keepMs = 30 * 86_400_000 } = options;
  let timer: NodeJS.Timeout | undefined;
  let nextAt = Number.POSITIVE_INFINITY;
  let closed = false;

  /** Rings at that time, but never sooner than the rest allows. */
  function arm(at: number): void {
    const from = now();
    const ringAt = Math.min(Math.max(at, from + REST_MS), from + LONGEST_MS);
    if (closed || ringAt >= nextAt) return;
    nextAt = ringAt;
    clearTimeout(timer);
    timer = setTimeout(ring, ringAt - from).unref();
  }

  /** Timers and the clock are not one; what rang too early is armed again. */
  function ring(): void {
    const at = nextAt;
    if (now() >= at) return sweep();
    nextAt = Number.POSITIVE_INFINITY;
    arm(at);
  }

  function sweep(at = now()): void {
    if (closed || at < nextAt) return;
    nextAt = Number.POSITIVE_INFINITY;
    const { moves, next } = dueNow(at);
    for (const { id, event } of moves) move(id, event).catch(failed);
    for (const { id } of tooOld(at)) remove(id).catch(onError);
    retry();
    arm(next);
  }

  function failed(error: unknown): void {
    onError(error);
    arm(now() + REST_MS);
  }

  function dueNow(at: number) {
    const moves: { id: string; event: CommandEvent }[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const command of index.pending()) {
      const due = dueOf(command)!;
      if (due.at <= at && moves.length < BATCH) moves.push({ id: command.id, event: due.event });
      else next = Math.min(next, due.at);
    }
    return { moves, next };
  }

  /** Of those that ended: what is older than is kept, and the oldest while there are too many, final ones first. */
  function tooOld(at: number): Command[] {
    const excess = index.size - keepTotal;
    const found: Command[] = [];
    const spared: Command[] = [];
    for (const command of index.all()) {
      const { createdAt, finishedAt = at, state } = command;
      // They are in the order of creation: whatever comes after this one is younger.
      const young = at - createdAt <= keepMs;
      if ((young && found.length >= excess) || found.length >= BATCH) break;
      if (!hasEnded(state)) continue;
      const isOver = at - finishedAt > keepMs || (isFinal(state) && found.length < excess);
      (isOver ? found : spared).push(command);
    }
    return [...found, ...spared.slice(0, Math.max(0, excess - found.length))].slice(0, BATCH);
  }

  arm(now());
  return {
    changed(command) {
      const due = dueOf(command);
      if (due) arm(due.at);
      const excess = index.countsOf(command.device).ended - keepPerDevice;
      if (excess <= 0) return;
      const own = index.of(command.device);
      const final = own.filter(({ state }) => isFinal(state));
      const unknown = own.filter(({ state }) => hasEnded(state) && !isFinal(state));
      for (const { id } of [...final, ...unknown].slice(0, excess)) remove(id).catch(onError);
    },
    soon: () => arm(now() + REST_MS),
    sweep,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
