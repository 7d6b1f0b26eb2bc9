/** Commands of all devices: durable before anything else happens, delivered in order, and every one comes to an end. */
import type { CommandType } from '../../schemas/index.ts';
import type { Progress, Result } from '../../schemas/types.gen.ts';
import type { Table } from '../backplane/backplane.ts';
import { Conflict, RefusedError } from '../kit/errors.ts';
import {
  advance,
  COMMAND_STATES,
  type Command,
  type CommandEvent,
  type CommandState,
  hasEnded,
  isDeliverable,
  isFinal,
} from './command.ts';
import { type CommandQuery, createCommandIndex } from './command-index.ts';
import { type CommandRequest, checkParams, commandOf, createIds, typeOf } from './command-request.ts';
import { createDelivery, type Outlet } from './delivery.ts';
import { createIntake, type IntakeOptions } from './intake.ts';
import { createOffences } from './offences.ts';
import { eventOfResult } from './result.ts';
import { createSweeper, type SweepOptions } from './sweeper.ts';
import { createWaits } from './waits.ts';

export interface Commands {
  /** Durable when it resolves. Throws `RefusedError` (not-found, unknown-command, invalid, queue-full, exists), `Unavailable`. */
  send(request: CommandRequest): Promise<Command>;
  /** Refuses what no device could be asked. Throws `RefusedError` (unknown-command, invalid). */
  check(order: Pick<CommandRequest, 'name' | 'params'>): void;
  get(id: string): Command | undefined;
  /** Newest first; `next` is absent on the last page. */
  list(query: CommandQuery): { commands: Command[]; next?: string };
  /** Only before it was sent. Durable when it resolves. Throws `RefusedError` (not-found, already-sent, already-ended). */
  cancel(id: string, actor: string): Promise<Command>;
  /** The command when it has ended (or is `unknown`), or as it is after `withinMs`. Throws `RefusedError` (not-found). */
  wait(id: string, withinMs: number): Promise<Command>;
  /** Called after each durable change. */
  onChange(listener: (command: Command) => void): void;

  /** A session of a device is ready for commands; it replaces an older one. */
  opened(device: string, outlet: Outlet): void;
  closed(device: string, outlet: Outlet): void;
  /** False when the device was never sent such a command. */
  progress(device: string, frame: Progress): boolean;
  /**
   * Resolves to true once the result is durable (also when it was before), to false when it was not taken and shall be sent
   * again; undefined: no such command of this device.
   */
  result(device: string, frame: Result): Promise<boolean> | undefined;
  /** The device was removed: what was queued is cancelled, nothing is sent again. Resolves when durable. */
  removeDevice(device: string): Promise<void>;

  /** Moves on what time moves on, and forgets the oldest that have ended. Called by a timer; calling it more often is cheap. */
  sweep(now?: number): void;
  /** How often each state was reached since the start, and how many are queued now. */
  readonly counts: Readonly<Record<CommandState, number>>;
  readonly queued: number;
  /** Stops the timer; who waits gets what there is. Idempotent. */
  close(): void;
}

export interface CommandsDeps {
  table: Table<Command>;
  types: ReadonlyMap<string, CommandType>;
  /** Since when there is this device, Unix milliseconds; undefined when there is none. Older commands are not for it. */
  deviceSince(id: string): number | undefined;
  /** Who did what, for the audit log. */
  audit?(entry: { actor: string; action: string; target: string; result: string }): void;
  /** The table did not take a change; it is tried again. Told once in ten seconds at most. */
  onError?(error: unknown): void;
  now?: () => number;
}

export type CommandsOptions = Partial<SweepOptions & IntakeOptions>;

/** At most one change of progress in this time is kept; the others are left out. */
const PROGRESS_MS = 200;
/** Progress and result may come together, with a sweep between; more collisions than this are no coincidence. */
const CHANGE_ATTEMPTS = 20;
/** A full disk fails every change; one line in this time tells it. */
const TELL_MS = 10_000;

export function createCommands(deps: CommandsDeps, options: CommandsOptions = {}): Commands {
  const { table, types, deviceSince, audit = () => {}, onError = () => {}, now = Date.now } = deps;
  const index = createCommandIndex();
  const store = createIntake(table, index, options);
  const counts = Object.fromEntries(COMMAND_STATES.map((state) => [state, 0])) as Record<CommandState, number>;
  const listeners: ((command: Command) => void)[] = [];
  const waits = createWaits();
  const offend = createOffences(audit);
  const makeId = createIds();
  let latestAt = 0;
  let toldAt = Number.NEGATIVE_INFINITY;

  for (const row of table.values()) {
    index.put(row.value);
    latestAt = Math.max(latestAt, row.value.createdAt);
  }

  const delivery = createDelivery({
    of: index.of,
    since: deviceSince,
    markSent: (id) => change(id, { type: 'send' }),
    onDelay(error) {
      if (error) trouble(error);
      sweeper.soon();
    },
    now,
  });
  const sweeper = createSweeper(
    {
      index,
      move: (id, event) => change(id, event),
      remove: (id) => table.delete(id),
      retry: delivery.retry,
      onError: trouble,
      now,
    },
    options,
  );

  table.onChange((id, row) => {
    if (!row) return index.drop(id);
    const command = row.value;
    const before = index.put(command);
    if (before?.state !== command.state) counts[command.state]++;
    sweeper.changed(command);
    if (hasEnded(command.state)) waits.wake(id);
    for (const listener of listeners) listener(command);
    if (command.state === 'queued') delivery.wake(command.device);
  });

  /** The command after the event, durable; undefined when it changes nothing. */
  async function change(id: string, event: CommandEvent, attempt = 1): Promise<Command | undefined> {
    const row = table.get(id);
    if (!row || isIdleProgress(row.value, event)) return undefined;
    const next = advance(row.value, event, now());
    if (!next) return undefined;
    try {
      return (await table.set(id, next, row.revision)).value;
    } catch (error) {
      if (error instanceof Conflict && attempt < CHANGE_ATTEMPTS) return change(id, event, attempt + 1);
      throw error;
    }
  }

  /** A device may report faster than anybody looks. */
  const isIdleProgress = ({ acceptedAt, progress, updatedAt }: Command, event: CommandEvent) =>
    event.type === 'progress' &&
    acceptedAt !== undefined &&
    (event.progress === undefined || (progress !== undefined && now() - updatedAt < PROGRESS_MS));

  /** The command if the device was sent it. */
  function owned(device: string, frame: Progress | Result): Command | undefined {
    const command = index.get(frame.id);
    if (command?.device === device && isForLivingDevice(command)) return command;
    if (command) offend(device, frame);
    return undefined;
  }

  function trouble(error: unknown): void {
    if (now() - toldAt < TELL_MS) return;
    toldAt = now();
    onError(error);
  }

  /** False when the device it was asked of has been removed, though there may be a new one of the same id. */
  const isForLivingDevice = ({ device, createdAt }: Command) =>
    createdAt >= (deviceSince(device) ?? Number.POSITIVE_INFINITY);

  // The hub may have died between the end of a device and that of its commands.
  for (const command of index.all()) {
    const isOpen = !hasEnded(command.state) || isDeliverable(command, now());
    if (isOpen && !isForLivingDevice(command)) change(command.id, { type: 'remove' }).catch(trouble);
  }

  return {
    async send(request) {
      const type = typeOf(request.name, types);
      const since = deviceSince(request.device) ?? noDevice(request.device);
      // A clock that goes back must not put a command before those that were asked for earlier, nor before its device.
      latestAt = Math.max(latestAt, now());
      const createdAt = Math.max(latestAt, since);
      const command = await store(commandOf(request, type, request.id ?? makeId(createdAt), { createdAt, now: now() }));
      if (isForLivingDevice(command)) return command;
      return (await change(command.id, { type: 'remove' })) ?? command;
    },
    check: ({ name, params = {} }) => checkParams(typeOf(name, types), params),
    get: index.get,
    list: index.list,
    async cancel(id, actor) {
      const cancelled = await change(found(index.get(id), id).id, { type: 'cancel', by: actor });
      if (cancelled) return cancelled;
      const { state } = found(index.get(id), id);
      const code = isFinal(state) ? 'already-ended' : 'already-sent';
      throw new RefusedError(code, `The command is ${state} already; only a queued one can be cancelled.`);
    },
    async wait(id, withinMs) {
      if (!hasEnded(found(index.get(id), id).state)) await waits.until(id, withinMs);
      return found(index.get(id), id);
    },
    onChange: (listener) => void listeners.push(listener),

    opened: delivery.opened,
    closed: delivery.closed,
    progress(device, frame) {
      const command = owned(device, frame);
      if (!command) return false;
      const { progress } = frame;
      change(command.id, { type: 'progress', ...(progress !== undefined && { progress }) }).catch(trouble);
      return true;
    },
    result(device, frame) {
      const command = owned(device, frame);
      if (!command) return undefined;
      if (isFinal(command.state)) return Promise.resolve(true);
      return change(command.id, eventOfResult(frame, types.get(command.name))).then(
        // The row may have been pruned meanwhile; then nothing was stored.
        (changed) => changed !== undefined || isFinal(index.get(command.id)?.state ?? 'queued'),
        (error: unknown) => {
          trouble(error);
          return false;
        },
      );
    },
    async removeDevice(device) {
      const open = index.of(device).filter(({ state }) => !isFinal(state));
      await Promise.all(open.map(({ id }) => change(id, { type: 'remove' })));
    },

    sweep: sweeper.sweep,
    counts,
    get queued() {
      return index.queued;
    },
    close() {
      sweeper.close();
      waits.close();
    },
  };
}

function noDevice(id: string): never {
  throw new RefusedError('not-found', `There is no device "${id.slice(0, 80)}".`);
}

function found(command: Command | undefined, id: string): Command {
  if (!command) throw new RefusedError('not-found', `There is no command "${id.slice(0, 80)}".`);
  return command;
}
