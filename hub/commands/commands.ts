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
  isFinal,
} from './command.ts';
import { type CommandQuery, createCommandIndex } from './command-index.ts';
import { type CommandRequest, checkParams, commandOf, createIds, typeOf } from './command-request.ts';
import { createDelivery, type Outlet } from './delivery.ts';
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
  /** Only before it was sent. Durable when it resolves. Throws `RefusedError` (not-found, already-sent). */
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
  /** Resolves to true once the result is durable (also when it was before); undefined: no such command of this device. */
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
  deviceExists(id: string): boolean;
  /** Who did what, for the audit log. */
  audit?(entry: { actor: string; action: string; target: string; result: string }): void;
  /** The table did not take a change; it is tried again. Told once in ten seconds at most. */
  onError?(error: unknown): void;
  now?: () => number;
}

export interface CommandsOptions extends Partial<SweepOptions> {
  /** Of a device, not sent yet. Policy: refuse with `queue-full`. 50. */
  queuedPerDevice?: number;
  /** Of a device, not ended yet. Policy: refuse with `queue-full`. 200. */
  openPerDevice?: number;
}

/** At most one change of progress in this time is kept; the others are left out. */
const PROGRESS_MS = 200;
/** Progress and result may come together, with a sweep between; more collisions than this are no coincidence. */
const CHANGE_ATTEMPTS = 20;
/** A full disk fails every change; one line in this time tells it. */
const TELL_MS = 10_000;
const MAX_AUDITED = 1_000;

export function createCommands(deps: CommandsDeps, options: CommandsOptions = {}): Commands {
  const { table, types, deviceExists, audit = () => {}, onError = () => {}, now = Date.now } = deps;
  const { queuedPerDevice = 50, openPerDevice = 200 } = options;
  const index = createCommandIndex();
  const counts = Object.fromEntries(COMMAND_STATES.map((state) => [state, 0])) as Record<CommandState, number>;
  const listeners: ((command: Command) => void)[] = [];
  const waits = createWaits();
  /** Refused answers that were told already: a device that repeats itself does not fill the audit log. */
  const audited = new Set<string>();
  /** Asked for and not durable yet, by device: they count as queued. */
  const storing = new Map<string, number>();
  const makeId = createIds();
  let latestAt = 0;
  let toldAt = Number.NEGATIVE_INFINITY;

  for (const row of table.values()) {
    index.put(row.value);
    latestAt = Math.max(latestAt, row.value.createdAt);
  }

  const delivery = createDelivery({
    of: index.of,
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

  /** The command if the device was sent it; that somebody else's was answered is worth one line in the audit log. */
  function owned(device: string, { type, id }: Progress | Result): Command | undefined {
    const command = index.get(id);
    if (command?.device === device) return command;
    const offence = `${device} ${type} ${id}`;
    if (!command || audited.has(offence)) return undefined;
    if (audited.size >= MAX_AUDITED) audited.clear();
    audited.add(offence);
    audit({ actor: `device:${device}`, action: `command.${type}`, target: id, result: 'unknown-command' });
    return undefined;
  }

  function trouble(error: unknown): void {
    if (now() - toldAt < TELL_MS) return;
    toldAt = now();
    onError(error);
  }

  function refuseFull(device: string): void {
    const { queued, open } = index.countsOf(device);
    const coming = storing.get(device) ?? 0;
    if (queued + coming < queuedPerDevice && open + coming < openPerDevice) return;
    const full =
      queued + coming < queuedPerDevice ? `${openPerDevice} commands under way` : `${queuedPerDevice} queued`;
    throw new RefusedError('queue-full', `"${device}" has ${full} already; wait, or cancel some.`);
  }

  async function store(command: Command): Promise<Command> {
    const { device, id } = command;
    storing.set(device, (storing.get(device) ?? 0) + 1);
    try {
      return (await table.set(id, command, 0)).value;
    } catch (error) {
      const row = table.get(id);
      if (!(error instanceof Conflict) || !row) throw error;
      return sameAgain(row.value, command);
    } finally {
      const left = storing.get(device)! - 1;
      if (left > 0) storing.set(device, left);
      else storing.delete(device);
    }
  }

  return {
    async send(request) {
      const type = typeOf(request.name, types);
      const { device } = request;
      if (!deviceExists(device)) throw new RefusedError('not-found', `There is no device "${device.slice(0, 80)}".`);
      // A clock that goes back must not put a command before those that were asked for earlier.
      latestAt = Math.max(latestAt, now());
      const command = commandOf(request, type, request.id ?? makeId(latestAt), latestAt);
      const existing = index.get(command.id);
      if (existing) return sameAgain(existing, command);
      refuseFull(device);
      return store(command);
    },
    check: ({ name, params = {} }) => checkParams(typeOf(name, types), params),
    get: index.get,
    list: index.list,
    async cancel(id, actor) {
      const cancelled = await change(found(index.get(id), id).id, { type: 'cancel', by: actor });
      if (cancelled) return cancelled;
      const { state } = found(index.get(id), id);
      throw new RefusedError('already-sent', `The command is ${state}; only a queued one can be cancelled.`);
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
        () => true,
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

function found(command: Command | undefined, id: string): Command {
  if (!command) throw new RefusedError('not-found', `There is no command "${id.slice(0, 80)}".`);
  return command;
}

/** What a repeated request gets: the command it made the first time. */
function sameAgain(existing: Command, asked: Command): Command {
  if (existing.device === asked.device && existing.name === asked.name) return existing;
  throw new RefusedError('exists', `There is another command "${asked.id}" already.`);
}
