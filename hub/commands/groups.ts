/** Commands to many devices at once: one command each, so many at a time, a summary, and an end after every restart. */
import type { Table } from '../backplane/backplane.ts';
import { Conflict, RefusedError } from '../kit/errors.ts';
import { type Command, isFinal } from './command.ts';
import type { Commands } from './commands.ts';
import {
  type DeviceList,
  type Group,
  type GroupOrder,
  type GroupRow,
  groupOf,
  noCounts,
  selectDevices,
} from './group.ts';
import { GroupRun } from './group-run.ts';

export interface GroupRequest extends GroupOrder {
  /** `operator:<name>` or `schedule:<id>`. */
  actor: string;
  schedule?: string;
  /** Makes the call repeatable: asked for twice with one id it is one group. At most 48 characters. */
  id?: string;
}

export interface Groups {
  /**
   * Durable when it resolves; its commands follow. Throws `RefusedError` (unknown-command, invalid, not-found,
   * too-many-groups).
   */
  start(request: GroupRequest): Promise<Group>;
  get(id: string): Group | undefined;
  /** Newest first; `next` is the next page's `before`, absent on the last. */
  list(page: { limit: number; before?: string }): { groups: Group[]; next?: string };
  /**
   * Sends no more and takes back what was not sent. Durable when it resolves. Throws `RefusedError` (not-found) and
   * `Unavailable`; what is not taken back by then is, as soon as the database takes it.
   */
  cancel(id: string, actor: string): Promise<Group>;
  /** Forgets groups that finished more than 30 days ago, and the oldest beyond 1,000. Returns how many. */
  prune(now: number): Promise<number>;
  /** Stops working; the next start goes on. Idempotent. */
  close(): void;
}

export interface GroupsDeps {
  table: Table<GroupRow>;
  /** The devices of each group. */
  members: Table<string[]>;
  commands: Pick<Commands, 'send' | 'check' | 'get' | 'cancel' | 'onChange'>;
  devices: DeviceList;
  onTrouble?(error: unknown): void;
  now?(): number;
}

const RUNNING_AT_MOST = 100;
const KEPT = 1_000;
const KEPT_MS = 30 * 86_400_000;

/** Takes up the groups that are not finished. */
export function createGroups(deps: GroupsDeps): Groups {
  const { table, members, commands, devices, onTrouble = () => {}, now = Date.now } = deps;
  const running = new Map<string, GroupRun>();
  const runDeps = { table, commands, now, onTrouble, onFinished: (id: string) => void running.delete(id) };

  function run(id: string): GroupRun {
    const started = new GroupRun(table.get(id)!, members.get(id)?.value ?? [], runDeps);
    running.set(id, started);
    started.work();
    return started;
  }

  commands.onChange((command) => {
    if (command.group === undefined) return;
    const active = running.get(command.group);
    if (active) active.changed(command);
    else if (isFinal(command.state)) void correct(table, command).catch(onTrouble);
  });
  for (const { key, value } of [...table.values()]) if (value.finishedAt === undefined) run(key);

  const shown = (id: string) => {
    const row = running.get(id)?.row ?? table.get(id)?.value;
    return row && groupOf(row);
  };
  const existing = (id: string) => {
    return shown(id) ?? refuse('not-found', `There is no group "${id.slice(0, 80)}".`);
  };

  return {
    async start({ id = newGroupId(), ...request }) {
      commands.check(request);
      const earlier = shown(id);
      if (earlier) return earlier;
      const ids = selectDevices(request.selector, devices);
      if (running.size >= RUNNING_AT_MOST)
        refuse('too-many-groups', `${RUNNING_AT_MOST} groups are not finished: wait, or cancel one.`);
      const row = { ...request, id, total: ids.length, issued: 0, refused: {}, counts: noCounts(), createdAt: now() };
      try {
        await Promise.all([members.set(id, ids, 0), table.set(id, row, 0)]);
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        return existing(id);
      }
      return groupOf(run(id).row);
    },
    get: shown,
    list: ({ limit, before }) => {
      const rows = newestFirst(table);
      const last = rows.findIndex(({ id }) => id === before);
      // A group that is gone tells no place: an empty page ends the walk, the first one would begin it again.
      const from = before === undefined ? 0 : last === -1 ? rows.length : last + 1;
      const groups = rows.slice(from, from + limit).map(({ id }) => existing(id));
      return from + limit < rows.length ? { groups, next: groups.at(-1)!.id } : { groups };
    },
    async cancel(id, actor) {
      existing(id);
      await running.get(id)?.cancel(actor);
      return existing(id);
    },
    async prune(at) {
      const finished = newestFirst(table).filter(({ finishedAt }) => finishedAt !== undefined);
      const old = finished.filter(({ finishedAt = at }, index) => index >= KEPT || finishedAt < at - KEPT_MS);
      await Promise.all(old.flatMap(({ id }) => [table.delete(id), members.delete(id)]));
      return old.length;
    },
    close() {
      for (const each of running.values()) each.close();
    },
  };
}

/** A late truth about a command of a group that was finished without it. */
async function correct(table: Table<GroupRow>, command: Command): Promise<void> {
  const { id, group, state } = command;
  const row = table.get(group!);
  if (!row?.value.unknown?.includes(id)) return;
  const counts = { ...row.value.counts, unknown: row.value.counts.unknown - 1, [state]: row.value.counts[state] + 1 };
  const unknown = row.value.unknown.filter((other) => other !== id);
  try {
    await table.set(row.key, { ...row.value, counts, unknown }, row.revision);
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
    await correct(table, command);
  }
}

function newestFirst(table: Table<GroupRow>): GroupRow[] {
  const rows = [...table.values()].map(({ value }) => value);
  return rows.sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
}

const newGroupId = () => `g-${crypto.randomUUID()}`;

function refuse(code: 'not-found' | 'too-many-groups', detail: string): never {
  throw new RefusedError(code, detail);
}
