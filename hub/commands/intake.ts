/** Takes new commands in: none for a device that has enough of them, each stored once however often it is asked for. */
import type { Table } from '../backplane/backplane.ts';
import { Conflict, RefusedError } from '../kit/errors.ts';
import type { Command } from './command.ts';
import type { CommandIndex } from './command-index.ts';

export interface IntakeOptions {
  /** Of a device, not sent yet. Policy: refuse with `queue-full`. 50. */
  queuedPerDevice: number;
  /** Of a device, not ended yet. Policy: refuse with `queue-full`. 200. */
  openPerDevice: number;
}

/**
 * Stores a new command and resolves to it, or to the one that was made of the same request before. Its place is after
 * all others of its device: `createdAt` is moved on where another has that millisecond. Durable when it resolves. Throws `RefusedError` (queue-full, exists), `Unavailable`.
 */
export type Intake = (command: Command) => Promise<Command>;

export function createIntake(table: Table<Command>, index: CommandIndex, options: Partial<IntakeOptions>): Intake {
  const { queuedPerDevice = 50, openPerDevice = 200 } = options;
  /** Asked for and not durable yet, by device: they count as queued, and `lastAt` is the place of the last one. */
  const storing = new Map<string, { count: number; lastAt: number }>();

  function refuseFull(device: string): void {
    const { queued, open } = index.countsOf(device);
    const coming = storing.get(device)?.count ?? 0;
    if (queued + coming < queuedPerDevice && open + coming < openPerDevice) return;
    const full =
      queued + coming < queuedPerDevice ? `${openPerDevice} commands under way` : `${queuedPerDevice} queued`;
    throw new RefusedError('queue-full', `"${device}" has ${full} already; wait, or cancel some.`);
  }

  /** Ids of one millisecond come in any order, so no two commands of a device have the same one. */
  function placed(command: Command): Command {
    const { device, createdAt } = command;
    const { count, lastAt } = storing.get(device) ?? { count: 0, lastAt: index.of(device).at(-1)?.createdAt ?? 0 };
    const place = Math.max(createdAt, lastAt + 1);
    storing.set(device, { count: count + 1, lastAt: place });
    return { ...command, createdAt: place };
  }

  function stored(device: string): void {
    const coming = storing.get(device)!;
    coming.count -= 1;
    if (coming.count === 0) storing.delete(device);
  }

  return async (command) => {
    const { device, id } = command;
    const existing = index.get(id);
    if (existing) return sameAgain(existing, command);
    refuseFull(device);
    const placedCommand = placed(command);
    try {
      return (await table.set(id, placedCommand, 0)).value;
    } catch (error) {
      const row = table.get(id);
      if (!(error instanceof Conflict) || !row) throw error;
      return sameAgain(row.value, command);
    } finally {
      stored(device);
    }
  };
}

/** What a repeated request gets: the command it made the first time. */
function sameAgain(existing: Command, asked: Command): Command {
  if (existing.device === asked.device && existing.name === asked.name) return existing;
  throw new RefusedError('exists', `There is another command "${asked.id}" already.`);
}
