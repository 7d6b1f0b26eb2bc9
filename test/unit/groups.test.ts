/** Commands to groups: who is meant, how many at a time, when it stops, and that a restart loses and repeats nothing. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane, Table } from '../../hub/backplane/backplane.ts';
import type { Command } from '../../hub/commands/command.ts';
import { type Commands, createCommands } from '../../hub/commands/commands.ts';
import type { GroupOrder, GroupRow } from '../../hub/commands/group.ts';
import { createGroups, type Groups } from '../../hub/commands/groups.ts';
import { createDevices, type Devices } from '../../hub/devices/devices.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { loadCatalog } from '../../schemas/index.ts';

const MINUTE_MS = 60_000;
const types = loadCatalog().commands;

let backplane: Backplane;
let devices: Devices;
let commandRows: Table<Command>;
let groupRows: Table<GroupRow>;
let commands: Commands;
let groups: Groups;
let clock: number;
/** The commands that reached a device, by device; none is answered of itself. */
let reached: Map<string, string[]>;

function start(): void {
  commands = createCommands({
    table: commandRows,
    types,
    deviceSince: (id) => devices.get(id)?.createdAt,
    now: () => clock,
  });
  groups = createGroups({
    table: groupRows,
    members: backplane.table('members'),
    commands,
    devices,
    now: () => clock,
  });
}

function connect(...ids: string[]): void {
  for (const id of ids) {
    const send = (frame: { type: string; id?: string }) => {
      if (frame.type === 'command') reached.set(id, [...(reached.get(id) ?? []), frame.id!]);
    };
    commands.opened(id, { send, hasRoom: true });
  }
}

async function answer(ok: boolean, ...ids: string[]): Promise<void> {
  for (const device of ids) {
    const id = reached.get(device)!.at(-1)!;
    const error = { code: 'broken', message: 'it broke' };
    await commands.result(device, { type: 'result', id, ok, ...(!ok && { error }) });
  }
}

/** Lets everything happen that can happen by itself. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const send = (order: Partial<GroupOrder> & { id?: string } = {}) =>
  groups.start({ selector: { tags: { floor: '1' } }, name: 'identify', actor: 'operator:otto', ...order });

beforeEach(async () => {
  backplane = openBackplane(':memory:');
  commandRows = backplane.table('commands');
  groupRows = backplane.table('groups');
  devices = createDevices(backplane.table('devices'), { seen: backplane.table('seen') });
  clock = Date.UTC(2026, 5, 1);
  reached = new Map();
  for (const id of ['a', 'b', 'c', 'd'])
    await devices.add(id, { tags: { floor: '1', side: id < 'c' ? 'north' : 'south' } });
  await devices.add('e', { tags: { floor: '2' } });
  start();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('a selector', () => {
  it.each([
    [{ tags: { floor: '1' } }, 4],
    [{ tags: { floor: '1', side: 'north' } }, 2],
    [{ tags: {} }, 5],
    [{ devices: ['a', 'e', 'a'] }, 2],
    [{ tags: { floor: '1' }, devices: ['a', 'e'] }, 1],
  ])('%j means %i devices', async (selector, total) => {
    expect(await send({ selector })).toMatchObject({ total });
  });

  it('leaves out devices that are disabled', async () => {
    await devices.setEnabled('a', false);
    expect(await send()).toMatchObject({ total: 3 });
  });

  it('is refused when it means nobody', async () => {
    await expect(send({ selector: { tags: { floor: '9' } } })).rejects.toMatchObject({ code: 'not-found' });
    await expect(send({ selector: { devices: ['nobody'] } })).rejects.toMatchObject({ code: 'not-found' });
    await expect(send({ selector: {} })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('a group', () => {
  it('gives each device one command, and is finished when each has ended', async () => {
    connect('a', 'b', 'c', 'd');
    const { id } = await send();
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: false, pending: 0, counts: { sent: 4 } });
    expect(commands.list({ group: id, limit: 10 }).commands).toHaveLength(4);
    await answer(true, 'a', 'b', 'c');
    await answer(false, 'd');
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: true, finishedAt: clock, counts: { succeeded: 3, failed: 1 } });
    expect([...reached.values()].map((ids) => ids.length)).toEqual([1, 1, 1, 1]);
  });

  it('refuses what no device could be asked, before anything is stored', async () => {
    await expect(send({ name: 'fly' })).rejects.toMatchObject({ code: 'unknown-command' });
    await expect(send({ params: { seconds: 0 } })).rejects.toMatchObject({ code: 'invalid' });
    expect(groups.list({ limit: 10 }).groups).toEqual([]);
  });

  it('has at most so many commands under way at a time', async () => {
    connect('a', 'b', 'c', 'd');
    const { id } = await send({ parallel: 2 });
    await settled();
    expect([...reached.keys()]).toEqual(['a', 'b']);
    await answer(true, 'a');
    await settled();
    expect([...reached.keys()]).toEqual(['a', 'b', 'c']);
    expect(groups.get(id)).toMatchObject({ pending: 1, counts: { sent: 2, succeeded: 1 } });
    await answer(true, 'b', 'c');
    await settled();
    await answer(true, 'd');
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: true, counts: { succeeded: 4 } });
  });

  it('stops when more than its share has failed, and takes back what waits', async () => {
    connect('a', 'b');
    const { id } = await send({ parallel: 3, stopWhenFailedPercent: 25 });
    await settled();
    await answer(false, 'a');
    await settled();
    expect(groups.get(id)).not.toHaveProperty('stopped');
    await answer(false, 'b');
    await settled();
    expect(groups.get(id)).toMatchObject({ stopped: 'failures', finished: true, counts: { failed: 2, cancelled: 2 } });
  });

  it('counts silence as failure, until the truth comes late', async () => {
    connect('a', 'b', 'c', 'd');
    const { id } = await send({ timeoutMs: 1_000 });
    await settled();
    await answer(true, 'b', 'c', 'd');
    clock += MINUTE_MS;
    commands.sweep(clock);
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: true, counts: { succeeded: 3, unknown: 1 } });
    await answer(true, 'a');
    await settled();
    expect(groups.get(id)).toMatchObject({ counts: { succeeded: 4, unknown: 0 } });
  });

  it('goes on when a device cannot be given its command', async () => {
    connect('a', 'b', 'c', 'd');
    const { id } = await send({ parallel: 1 });
    await settled();
    await devices.remove('b');
    await answer(true, 'a');
    await settled();
    await answer(true, 'c');
    await settled();
    await answer(true, 'd');
    await settled();
    expect(groups.get(id)).toMatchObject({
      ...{ finished: true, refused: 1, counts: { succeeded: 3 } },
      refusals: [{ device: 'b', code: 'not-found' }],
    });
  });

  it('is cancelled: what was sent goes on, the rest is taken back', async () => {
    connect('a');
    const { id } = await send({ parallel: 2 });
    await settled();
    await groups.cancel(id, 'operator:otto');
    await settled();
    expect(groups.get(id)).toMatchObject({
      stopped: 'cancelled',
      finished: false,
      pending: 2,
      counts: { sent: 1, cancelled: 1 },
    });
    await answer(true, 'a');
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: true, stopped: 'cancelled', pending: 2 });
    await expect(groups.cancel('g-nobody', 'x')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('takes back what waits when the database is itself again, and no device runs it meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { id } = await send();
    await settled();
    const set = vi.spyOn(commandRows, 'set').mockRejectedValue(new Unavailable('full'));
    await expect(groups.cancel(id, 'operator:eva')).rejects.toBeInstanceOf(Unavailable);
    await settled();
    expect(groupRows.get(id)?.value).toMatchObject({ stopped: 'cancelled' });
    set.mockRestore();
    await vi.advanceTimersByTimeAsync(1_000);
    await settled();
    connect('a', 'b', 'c', 'd');
    await settled();
    expect(reached.size).toBe(0);
    expect(groups.get(id)).toMatchObject({ finished: true, counts: { cancelled: 4 } });
    expect(commands.get(`${id}.0`)?.error?.message).toBe('by operator:eva');
  });

  it.each([0, 1, 2, 3, 4])(
    'cancelled %i turns after its start is stored as stopped and as far as it came',
    async (turns) => {
      connect('a');
      const { id } = await send();
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      await groups.cancel(id, 'operator:otto');
      await settled();
      expect(groups.get(id)).toMatchObject({ finished: false, counts: { sent: 1, cancelled: 3 } });
      expect(groupRows.get(id)?.value).toMatchObject({ stopped: 'cancelled', issued: 4 });
    },
  );

  it('goes on when the database did not take its cancel, though it had nothing under way in that moment', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    connect('a', 'b', 'c', 'd');
    const { id } = await send({ parallel: 1 });
    await settled();
    const set = vi.spyOn(groupRows, 'set').mockRejectedValueOnce(new Unavailable('full'));
    const refused = expect(groups.cancel(id, 'operator:otto')).rejects.toBeInstanceOf(Unavailable);
    await answer(true, 'a');
    await refused;
    set.mockRestore();
    for (const device of ['b', 'c', 'd']) {
      await settled();
      await answer(true, device);
    }
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: true, pending: 0, counts: { succeeded: 4 } });
    expect(groups.get(id)).not.toHaveProperty('stopped');
  });

  it.each([0, 1, 2, 3, 4])(
    'has nothing that waits once its cancel is durable, asked for %i turns after its start',
    async (turns) => {
      const many = Array.from({ length: 450 }, (_, index) => `many-${index}`);
      await Promise.all(many.map((id) => devices.add(id)));
      const { id } = await send({ selector: { devices: many } });
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      await groups.cancel(id, 'operator:otto');
      const made = commands.list({ group: id, limit: 1_000 }).commands;
      expect(made.filter(({ state }) => state !== 'cancelled')).toEqual([]);
      await settled();
      expect(commands.list({ group: id, limit: 1_000 }).commands).toEqual(made);
      expect(groups.get(id)).toMatchObject({ finished: true, pending: 450 - made.length });
    },
  );

  it('asked for twice with one id is one group', async () => {
    const [one, other] = await Promise.all([send({ id: 'twice' }), send({ id: 'twice' })]);
    expect(one.id).toBe(other.id);
    await settled();
    expect(commands.list({ limit: 100 }).commands).toHaveLength(4);
  });
});

describe('after a restart', () => {
  async function restart(): Promise<void> {
    groups.close();
    commands.close();
    const connected = [...reached.keys()];
    start();
    connect(...connected);
    await settled();
  }

  it('a group goes on where it was, and gives no device a second command', async () => {
    connect('a', 'b');
    const { id } = await send({ parallel: 2 });
    await settled();
    await answer(true, 'a');
    await settled();
    await restart();
    expect(groups.get(id)).toMatchObject({ finished: false, total: 4, counts: { succeeded: 1 } });
    connect('c', 'd');
    await settled();
    await answer(true, 'b');
    await settled();
    await answer(true, 'c');
    await settled();
    await answer(true, 'd');
    await settled();
    expect(groups.get(id)).toMatchObject({ finished: true, counts: { succeeded: 4 } });
    expect(commands.list({ limit: 100 }).commands).toHaveLength(4);
  });

  it('a group that was stopped stays stopped', async () => {
    connect('a');
    const { id } = await send({ parallel: 1 });
    await settled();
    await groups.cancel(id, 'operator:otto');
    await restart();
    await answer(true, 'a');
    await settled();
    expect(groups.get(id)).toMatchObject({ stopped: 'cancelled', finished: true, pending: 3 });
  });

  /** As a hub leaves it that dies at the worst moment, and the start after it. */
  async function dieWith(id: string, change: Partial<GroupRow>): Promise<void> {
    groups.close();
    commands.close();
    await groupRows.set(id, { ...groupRows.get(id)!.value, ...change });
    start();
    connect('a', 'b', 'c', 'd');
    await settled();
  }

  it('a group that was stopped takes back what was not taken back before, and no device gets it', async () => {
    const { id } = await send();
    await settled();
    await dieWith(id, { stopped: 'cancelled' });
    expect(reached.size).toBe(0);
    expect(groups.get(id)).toMatchObject({ stopped: 'cancelled', finished: true, counts: { cancelled: 4 } });
  });

  it('so it does with commands that were made and not yet written down as made, with gaps between them', async () => {
    const { id } = await send();
    await settled();
    await commandRows.delete(`${id}.1`);
    await dieWith(id, { stopped: 'failures', issued: 0 });
    expect(reached.size).toBe(0);
    expect(groups.get(id)).toMatchObject({ finished: true, pending: 1, counts: { cancelled: 3 } });
  });
});

it('lists the newest first, page by page, and forgets what is old', async () => {
  connect('a');
  const ids: string[] = [];
  for (let count = 0; count < 3; count++) {
    ids.unshift((await send({ selector: { devices: ['a'] } })).id);
    clock += MINUTE_MS;
    await settled();
    await answer(true, 'a');
    await settled();
  }
  const first = groups.list({ limit: 2 });
  expect(first.groups.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect(groups.list({ limit: 2, before: first.next! }).groups.map(({ id }) => id)).toEqual(ids.slice(2));
  expect(await groups.prune(clock + 29 * 86_400_000)).toBe(0);
  expect(await groups.prune(clock + 31 * 86_400_000)).toBe(3);
  expect(groups.list({ limit: 2 })).toEqual({ groups: [] });
});
