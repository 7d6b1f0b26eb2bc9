import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane, Table } from '../../hub/backplane/backplane.ts';
import type { Command } from '../../hub/commands/command.ts';
import { type Commands, type CommandsOptions, createCommands } from '../../hub/commands/commands.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { loadCatalog } from '../../schemas/index.ts';
import type { Downlink } from '../../schemas/types.gen.ts';

const T0 = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const { commands: types } = loadCatalog();

/** A session that remembers what it was given. */
class Line {
  hasRoom = true;
  frames: Record<string, unknown>[] = [];
  send = (frame: Downlink) => void this.frames.push({ ...frame });
  get ids() {
    return this.frames.map(({ id }) => id);
  }
}

let backplane: Backplane;
let table: Table<Command>;
let commands: Commands;
let now: number;
/** The devices there are, and since when. */
let known: Map<string, number>;
let audited: object[];
let errors: unknown[];
let line: Line;

function open(options: CommandsOptions = {}) {
  commands = createCommands(
    {
      table,
      types,
      deviceSince: (id) => known.get(id),
      audit: (entry) => audited.push(entry),
      onError: (error) => errors.push(error),
      now: () => now,
    },
    options,
  );
  return commands;
}

const turn = async (times = 8) => {
  for (let i = 0; i < times; i++) await new Promise((resolve) => setImmediate(resolve));
};
const send = (more: object = {}) => commands.send({ device: 'd1', name: 'identify', actor: 'operator:a', ...more });
const connect = async (device = 'd1') => {
  line = new Line();
  commands.opened(device, line);
  await turn();
  return line;
};
const state = (id: string) => commands.get(id)?.state;
const later = async (ms: number) => {
  now += ms;
  commands.sweep(now);
  await turn();
};

beforeEach(() => {
  backplane = openBackplane(':memory:');
  table = backplane.table('commands');
  now = T0;
  known = new Map(['d1', 'd2'].map((id) => [id, T0]));
  audited = [];
  errors = [];
  open();
});
afterEach(async () => {
  commands.close();
  vi.restoreAllMocks();
  await backplane.close();
});

describe('sending', () => {
  it('is durable when it resolves, with the defaults of the schema', async () => {
    const command = await send({ params: { seconds: 3 } });
    expect(table.get(command.id)?.value).toEqual(command);
    expect(command).toMatchObject({
      ...{ device: 'd1', name: 'identify', params: { seconds: 3 }, state: 'queued', attempt: 0, actor: 'operator:a' },
      ...{ createdAt: T0, expiresAt: T0 + 60 * MINUTE, timeoutMs: 10_000 },
    });
  });

  it.each([
    [{ device: 'd9' }, 'not-found', 'd9'],
    [{ name: 'dance' }, 'unknown-command', 'identify, read-now, reboot, set-config, set-interval'],
    [{ params: { seconds: 'x' } }, 'invalid', 'params/seconds must be integer'],
    [{ params: { colour: 1 } }, 'invalid', 'params/colour is not a known field'],
    [{ ttlMs: 999 }, 'invalid', 'ttlMs'],
    [{ ttlMs: 30 * 86_400_000 + 1 }, 'invalid', 'ttlMs'],
    [{ timeoutMs: 99 }, 'invalid', 'timeoutMs'],
    [{ timeoutMs: Number.NaN }, 'invalid', 'timeoutMs'],
    [{ id: '../x' }, 'invalid', 'no command id'],
  ])('of %j is refused with %s before anything is stored', async (request, code, words) => {
    await expect(send(request)).rejects.toMatchObject({ code, detail: expect.stringContaining(words) });
    expect(table.size).toBe(0);
  });

  it('is refused when 50 are queued, also when they are asked for at once, and goes on when one has left', async () => {
    const results = await Promise.allSettled(Array.from({ length: 60 }, () => send()));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    expect(results.at(-1)).toMatchObject({ reason: { code: 'queue-full' } });
    expect(commands.queued).toBe(50);
    await expect(send({ device: 'd2' })).resolves.toMatchObject({ state: 'queued' });
    const [first] = results;
    await commands.cancel((first as PromiseFulfilledResult<Command>).value.id, 'operator:a');
    await expect(send()).resolves.toMatchObject({ state: 'queued' });
  });

  it('is refused when too many are under way, sent ones included', async () => {
    open({ openPerDevice: 3 });
    await connect();
    for (let i = 0; i < 3; i++) await send();
    await turn();
    await expect(send()).rejects.toMatchObject({ code: 'queue-full' });
  });

  it('with an id of its own is one command however often it is asked for', async () => {
    const [first, second] = await Promise.all([send({ id: 'job-1' }), send({ id: 'job-1' })]);
    expect(second).toEqual(first);
    expect(await send({ id: 'job-1' })).toEqual(first);
    expect(table.size).toBe(1);
    await expect(send({ id: 'job-1', device: 'd2' })).rejects.toMatchObject({ code: 'exists' });
  });

  it('rejects with Unavailable when the table does not take it', async () => {
    vi.spyOn(table, 'set').mockRejectedValue(new Unavailable('full'));
    await expect(send()).rejects.toBeInstanceOf(Unavailable);
  });
});

describe('many of one millisecond', () => {
  const ids = Array.from({ length: 20 }, () => randomBytes(8).toString('hex'));

  it('are delivered in the order in which they were asked for, whatever their ids', async () => {
    await Promise.all(ids.map((id) => send({ id })));
    expect((await connect()).ids).toEqual(ids);
  });

  it('keep that order when the hub was started again meanwhile, and live as long as they were given', async () => {
    await Promise.all(ids.slice(0, 10).map((id) => send({ id })));
    commands.close();
    open();
    await Promise.all(ids.slice(10).map((id) => send({ id })));
    expect(ids.map((id) => commands.get(id)?.expiresAt)).toEqual(ids.map(() => T0 + 60 * MINUTE));
    commands.close();
    open();
    expect((await connect()).ids).toEqual(ids);
  });

  it('to one device do not put those to another in the future', async () => {
    await Promise.all(ids.map((id) => send({ id })));
    expect(await send({ device: 'd2' })).toMatchObject({ createdAt: T0 });
  });
});

describe('delivery', () => {
  it('waits for the device and then goes in the order of creation', async () => {
    const ids = [];
    for (let i = 0; i < 20; i++) {
      ids.push((await send()).id);
      // A clock that goes back does not change the order.
      now -= 1_000;
    }
    await connect();
    expect(line.ids).toEqual(ids);
    expect(line.frames[0]).toEqual({
      ...{ type: 'command', id: ids[0], name: 'identify', params: {}, expires: T0 + 60 * MINUTE, attempt: 1 },
    });
    expect(state(ids[0]!)).toBe('sent');
  });

  it('is immediate when the device is there', async () => {
    await connect();
    const { id } = await send();
    await turn();
    expect(line.ids).toEqual([id]);
  });

  it('is counted durably before the frame leaves', async () => {
    const { id } = await send();
    const line = new Line();
    const attempts: unknown[] = [];
    line.send = () => void attempts.push(table.get(id)?.value.attempt);
    commands.opened('d1', line);
    await turn();
    expect(attempts).toEqual([1]);
  });

  it('is repeated on each new session until the device answers, and then no more', async () => {
    const { id } = await send({ timeoutMs: 5_000 });
    await connect();
    await connect();
    expect(line.frames).toMatchObject([{ id, attempt: 2 }]);
    await later(5_000);
    expect(state(id)).toBe('unknown');
    await connect();
    expect(line.frames).toMatchObject([{ id, attempt: 3 }]);
    expect(state(id)).toBe('unknown');
    commands.progress('d1', { type: 'progress', id, state: 'accepted' });
    await turn();
    await connect();
    expect(line.frames).toEqual([]);
  });

  it('stops when the time of the command is over', async () => {
    const { id } = await send({ ttlMs: MINUTE });
    await connect();
    await later(MINUTE);
    await connect();
    expect(line.frames).toEqual([]);
    expect(state(id)).toBe('unknown');
  });

  it('goes to the newest session only, and a late end of the older touches nothing', async () => {
    const older = await connect();
    const newer = await connect();
    commands.closed('d1', older);
    const { id } = await send();
    await turn();
    expect(older.frames).toEqual([]);
    expect(newer.ids).toEqual([id]);
    commands.closed('d1', newer);
    const next = await send();
    await turn();
    expect(state(next.id)).toBe('queued');
  });

  it('goes once on a session, however often that says that it is ready', async () => {
    await connect();
    const { id } = await send();
    await turn();
    commands.opened('d1', line);
    await turn();
    expect(line.frames).toMatchObject([{ id, attempt: 1 }]);
    expect(commands.get(id)).toMatchObject({ attempt: 1 });
  });

  it('does not send on a session that was replaced while the sending was being counted', async () => {
    const { id } = await send();
    const older = new Line();
    const newer = new Line();
    commands.opened('d1', older);
    commands.opened('d1', newer);
    await turn();
    expect(older.frames).toEqual([]);
    expect(newer.ids).toEqual([id]);
  });

  it('waits for room on the socket, and loses neither the command nor the order', async () => {
    const ids = [(await send()).id, (await send()).id];
    line = new Line();
    line.hasRoom = false;
    commands.opened('d1', line);
    await turn();
    expect(line.frames).toEqual([]);
    expect(state(ids[0]!)).toBe('queued');
    line.hasRoom = true;
    await later(200);
    expect(line.ids).toEqual(ids);
  });

  it('is put off while the table takes nothing', async () => {
    const { id } = await send();
    const set = vi.spyOn(table, 'set').mockRejectedValueOnce(new Unavailable('full'));
    await connect();
    expect(line.frames).toEqual([]);
    expect(errors).toHaveLength(1);
    set.mockRestore();
    await later(200);
    expect(line.ids).toEqual([id]);
  });
});

describe('of a device that was removed', () => {
  const waitingAndSent = async () => {
    const waiting = await send();
    await connect('d2');
    const sent = await send({ device: 'd2' });
    await turn();
    return [waiting.id, sent.id] as const;
  };

  it('nothing reaches a new device of the same id, though the end of its commands was not stored', async () => {
    await waitingAndSent();
    now += 10;
    for (const id of ['d1', 'd2']) known.set(id, now);
    for (const id of ['d1', 'd2']) {
      await connect(id);
      expect(line.frames).toEqual([]);
      const { id: own } = await send({ device: id });
      await turn();
      expect(line.ids).toEqual([own]);
    }
  });

  it.each(['is gone', 'is another one'])(
    'what is open comes to its end at the next start, when the device %s',
    async (how) => {
      const [waiting, sent] = await waitingAndSent();
      now += 10;
      known = new Map(how === 'is gone' ? [] : ['d1', 'd2'].map((id) => [id, now]));
      commands.close();
      open();
      await turn();
      expect([state(waiting), state(sent)]).toEqual(['cancelled', 'unknown']);
      const rows = [...table.values()].map(({ revision }) => revision);
      commands.close();
      open();
      await turn();
      expect([...table.values()].map(({ revision }) => revision)).toEqual(rows);
    },
  );

  it('what is asked for in the moment of its removal is cancelled', async () => {
    const asked = send();
    known.delete('d1');
    expect(await asked).toMatchObject({ state: 'cancelled' });
  });

  it('a command has its own time to live, though a clock that was a year ahead put it late in the order', async () => {
    const before = await send();
    now -= 365 * 24 * 60 * MINUTE;
    const command = await send({ ttlMs: MINUTE });
    expect(command.expiresAt).toBe(now + MINUTE);
    expect(command.createdAt).toBeGreaterThanOrEqual(before.createdAt);
  });

  it('a new device of its id ends no command of its, and operators read why it ended', async () => {
    const command = await send();
    await commands.removeDevice('d1');
    known.set('d1', now + 1);
    expect(commands.result('d1', { type: 'result', id: command.id, ok: true })).toBeUndefined();
    expect(commands.get(command.id)).toMatchObject({ state: 'cancelled', error: { code: 'device-removed' } });
  });

  it('only: a clock that went back since the device was made keeps nothing from it', async () => {
    now -= 60 * MINUTE;
    await connect();
    const { id } = await send();
    await turn();
    expect(line.ids).toEqual([id]);
  });
});

describe('answers', () => {
  let id: string;
  beforeEach(async () => {
    await connect();
    id = (await send({ name: 'set-interval', params: { seconds: 5 }, timeoutMs: 5_000 })).id;
    await turn();
  });
  const progress = async (part?: number) => {
    const frame = { type: 'progress', id, state: 'running', ...(part !== undefined && { progress: part }) } as const;
    const isKnown = commands.progress('d1', frame);
    await turn();
    return isKnown;
  };
  const result = (more: object = { ok: true, value: { seconds: 5 } }, device = 'd1') =>
    commands.result(device, { type: 'result', id, ok: true, ...more });

  it('progress accepts the command and says how far it is; results end it, durable when they resolve', async () => {
    expect(await progress(0.25)).toBe(true);
    expect(commands.get(id)).toMatchObject({ state: 'accepted', progress: 0.25 });
    expect(await result()).toBe(true);
    expect(table.get(id)?.value).toMatchObject({ state: 'succeeded', value: { seconds: 5 }, finishedAt: T0 });
  });

  it('progress and result that come together end in the result', async () => {
    for (const part of [0.1, 0.2, 0.3]) void progress(part);
    await result();
    await turn();
    expect(state(id)).toBe('succeeded');
  });

  it('progress is kept five times a second at most', async () => {
    const set = vi.spyOn(table, 'set');
    for (let i = 0; i < 100; i++) await progress(i / 100);
    expect(set).toHaveBeenCalledTimes(1);
    now += 200;
    await progress(0.99);
    expect(commands.get(id)?.progress).toBe(0.99);
  });

  it.each([
    [{ ok: false, error: { code: 'broken', message: 'no power' } }, 'failed'],
    [{ ok: false, error: { code: 'unknown-command', message: 'what?' } }, 'rejected'],
    [{ ok: false }, 'failed'],
  ])('%j means %s', async (answer, expected) => {
    await result(answer);
    expect(commands.get(id)).toMatchObject({ state: expected, error: { code: expect.any(String) } });
  });

  it('a result that does not fit its schema is kept and marked', async () => {
    await result({ value: { seconds: 'five' } });
    expect(commands.get(id)).toMatchObject({
      ...{ state: 'succeeded', value: { seconds: 'five' }, misfit: '/seconds must be number' },
    });
  });

  it('a result that is too large is marked and not kept', async () => {
    await result({ value: { text: 'x'.repeat(70_000) } });
    expect(commands.get(id)).toMatchObject({ state: 'succeeded', misfit: expect.stringContaining('larger') });
    expect(commands.get(id)).not.toHaveProperty('value');
  });

  it('a second result is acknowledged again and changes nothing', async () => {
    await result();
    const before = commands.get(id);
    expect(await result({ ok: false, error: { code: 'other', message: '' } })).toBe(true);
    expect(commands.get(id)).toEqual(before);
  });

  it('a result of another device is refused and audited; of a command that never was it is only refused', () => {
    expect(result({}, 'd2')).toBeUndefined();
    expect(commands.progress('d2', { type: 'progress', id, state: 'accepted' })).toBe(false);
    expect(result({}, 'd2')).toBeUndefined();
    expect(audited).toEqual([
      { actor: 'device:d2', action: 'command.result', target: id, result: 'unknown-command' },
      { actor: 'device:d2', action: 'command.progress', target: id, result: 'unknown-command' },
    ]);
    expect(commands.result('d2', { type: 'result', id: 'nothing', ok: true })).toBeUndefined();
    expect(audited).toHaveLength(2);
    expect(state(id)).toBe('sent');
  });

  it('is not acknowledged while the table does not take it', async () => {
    vi.spyOn(table, 'set').mockRejectedValueOnce(new Unavailable('full'));
    expect(await result()).toBe(false);
    expect(state(id)).toBe('sent');
    expect(await result()).toBe(true);
  });

  it('is not acknowledged when its command was forgotten at the same moment', async () => {
    const forgotten = table.delete(id);
    expect(await result()).toBe(false);
    await forgotten;
    expect(result()).toBeUndefined();
  });

  it('silence past the deadline is unknown, and a late result the truth', async () => {
    await progress();
    await later(4_999);
    expect(state(id)).toBe('accepted');
    await later(201);
    expect(state(id)).toBe('unknown');
    expect(await result()).toBe(true);
    expect(commands.get(id)).toMatchObject({ state: 'succeeded', finishedAt: now });
  });
});

describe('time', () => {
  it('expires what was never sent, and sends it no more', async () => {
    const { id } = await send({ ttlMs: MINUTE });
    await later(MINUTE);
    expect(commands.get(id)).toMatchObject({ state: 'expired', finishedAt: now });
    await connect();
    expect(line.frames).toEqual([]);
  });

  it('does so with nobody calling: one timer looks at the nearest due time', async () => {
    commands.close();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: T0 });
    try {
      commands = createCommands({ table, types, deviceSince: () => T0 });
      const { id } = await send({ ttlMs: MINUTE });
      const { id: second } = await send({ ttlMs: 30 * MINUTE });
      await vi.advanceTimersByTimeAsync(MINUTE + 400);
      await turn();
      expect(state(id)).toBe('expired');
      expect(state(second)).toBe('queued');
      await vi.advanceTimersByTimeAsync(29 * MINUTE + 400);
      await turn();
      expect(state(second)).toBe('expired');
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes up after a restart what was due meanwhile', async () => {
    const queued = await send({ ttlMs: MINUTE });
    const sent = await send({ device: 'd2', timeoutMs: 5_000 });
    await connect('d2');
    commands.close();
    now += 2 * MINUTE;
    open();
    await later(200);
    expect([state(queued.id), state(sent.id)]).toEqual(['expired', 'unknown']);
  });

  it('tries again when the table did not take the end', async () => {
    const { id } = await send({ ttlMs: MINUTE });
    vi.spyOn(table, 'set').mockRejectedValueOnce(new Unavailable('full'));
    await later(MINUTE);
    expect(state(id)).toBe('queued');
    await later(200);
    expect(state(id)).toBe('expired');
  });

  it('forgets the oldest that ended: too many of a device, too many of the hub, too old', async () => {
    open({ keepPerDevice: 3, keepTotal: 5, keepMs: 10 * MINUTE });
    const make = async (device: string) => {
      now += 1;
      const { id } = await send({ device });
      await commands.cancel(id, 'operator:a');
      await turn();
      return id;
    };
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await make('d1'));
    expect(ids.map((id) => state(id) !== undefined)).toEqual([false, false, true, true, true]);
    for (let i = 0; i < 3; i++) await make('d2');
    await later(1_000);
    expect(commands.list({ limit: 10 }).commands).toHaveLength(5);
    expect(state(ids[2]!)).toBeUndefined();
    const open_ = await send();
    await later(10 * MINUTE);
    await later(10 * MINUTE);
    expect(commands.list({ limit: 10 }).commands.map(({ id }) => id)).toEqual([open_.id]);
  });
});

describe('what is forgotten first', () => {
  it.each([{ keepPerDevice: 2 }, { keepTotal: 2 }])(
    'is final: a late truth still finds its command (%j)',
    async (keep) => {
      open({ keepPerDevice: 100, keepTotal: 100, ...keep });
      await connect();
      const ids: string[] = [];
      for (const ending of ['silence', 'result', 'result', 'silence']) {
        const { id } = await send({ timeoutMs: 1_000 });
        ids.push(id);
        await turn();
        if (ending === 'result') await commands.result('d1', { type: 'result', id, ok: true });
        await later(2_000);
      }
      expect(ids.map(state)).toEqual(['unknown', undefined, undefined, 'unknown']);
      const { id } = await send({ timeoutMs: 1_000 });
      await turn();
      await later(2_000);
      await later(2_000);
      expect([...ids, id].map(state)).toEqual([undefined, undefined, undefined, 'unknown', 'unknown']);
    },
  );
});

describe('operators', () => {
  it('can cancel what is queued, and nothing later', async () => {
    const { id } = await send();
    expect(await commands.cancel(id, 'operator:b')).toMatchObject({ state: 'cancelled' });
    await expect(commands.cancel(id, 'operator:b')).rejects.toMatchObject({
      ...{ code: 'already-ended', detail: expect.stringContaining('is cancelled already') },
    });
    await connect();
    expect(line.frames).toEqual([]);
    const sent = await send();
    await turn();
    await expect(commands.cancel(sent.id, 'operator:b')).rejects.toMatchObject({
      ...{ code: 'already-sent', detail: expect.stringContaining('is sent') },
    });
    await expect(commands.cancel('nothing', 'operator:b')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('can wait for the end, or for a while', async () => {
    await connect();
    const { id } = await send();
    const patient = commands.wait(id, 60_000);
    expect(await commands.wait(id, 5)).toMatchObject({ state: 'sent' });
    await commands.result('d1', { type: 'result', id, ok: true });
    expect(await patient).toMatchObject({ state: 'succeeded' });
    expect(await commands.wait(id, 60_000)).toMatchObject({ state: 'succeeded' });
    await expect(commands.wait('nothing', 1)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('who waits gets what there is when the hub stops', async () => {
    const { id } = await send();
    const waiting = commands.wait(id, 60_000);
    commands.close();
    expect(await waiting).toMatchObject({ state: 'queued' });
  });

  it('see lists newest first, by page, device, state and group', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await send({ device: i % 2 ? 'd2' : 'd1', group: i > 2 ? 'g' : 'h' })).id);
    await commands.cancel(ids[0]!, 'operator:a');
    const list = (query: object) => commands.list({ limit: 10, ...query }).commands.map(({ id }) => ids.indexOf(id));
    expect(list({})).toEqual([4, 3, 2, 1, 0]);
    expect(list({ device: 'd1' })).toEqual([4, 2, 0]);
    expect(list({ device: 'd9' })).toEqual([]);
    expect(list({ state: 'cancelled' })).toEqual([0]);
    expect(list({ group: 'g' })).toEqual([4, 3]);
    const first = commands.list({ limit: 2 });
    expect(first.commands.map(({ id }) => ids.indexOf(id))).toEqual([4, 3]);
    expect(list({ before: first.next })).toEqual([2, 1, 0]);
    expect(commands.list({ limit: 5 })).not.toHaveProperty('next');
    expect(list({ before: 'nonsense' })).toEqual([]);
  });

  it('are told of every change, and every state that was reached is counted', async () => {
    const seen: string[] = [];
    commands.onChange((command) => seen.push(command.state));
    await connect();
    const { id } = await send();
    await turn();
    await commands.result('d1', { type: 'result', id, ok: true });
    expect(seen).toEqual(['queued', 'sent', 'succeeded']);
    expect(commands.counts).toMatchObject({ queued: 1, sent: 1, succeeded: 1, failed: 0 });
    expect(commands.queued).toBe(0);
  });

  it('removing a device cancels what is queued and sends nothing again to a new one of its name', async () => {
    const queued = await send();
    const sent = await send({ device: 'd2' });
    await connect('d2');
    await Promise.all([commands.removeDevice('d1'), commands.removeDevice('d2')]);
    expect([state(queued.id), state(sent.id)]).toEqual(['cancelled', 'unknown']);
    await connect('d2');
    expect(line.frames).toEqual([]);
  });
});
