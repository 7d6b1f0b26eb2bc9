/** I11: a scheduled time runs at most once, over restarts and jumps of the clock; what was missed follows its policy. */
import { beforeEach, describe, expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane } from '../../hub/backplane/backplane.ts';
import type { Command } from '../../hub/commands/command.ts';
import type { CommandRequest } from '../../hub/commands/command-request.ts';
import type { Group } from '../../hub/commands/group.ts';
import type { GroupRequest } from '../../hub/commands/groups.ts';
import type { Missed } from '../../hub/commands/schedule.ts';
import { createSchedules, type NewSchedule, type Schedules } from '../../hub/commands/schedules.ts';
import { readCron } from '../../hub/jobs.cron.ts';
import { RefusedError, Unavailable } from '../../hub/kit/errors.ts';

const START = Date.UTC(2026, 5, 1, 12, 0, 0);
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

let backplane: Backplane;
let clock: number;
/** What was sent, in order; asked for twice with one id it is one. */
let sent: Map<string, CommandRequest | GroupRequest>;
let trouble: Error | undefined;
let schedules: Schedules;

function start(): void {
  const take = <T>(request: CommandRequest | GroupRequest) => {
    if (trouble) throw trouble;
    sent.set(request.id!, sent.get(request.id!) ?? request);
    return { id: request.id } as T;
  };
  schedules = createSchedules({
    table: backplane.table('schedules'),
    runs: backplane.table('runs'),
    commands: {
      send: async (request) => take<Command>(request),
      get: (id) => (sent.has(id) && 'device' in sent.get(id)! ? ({ id } as Command) : undefined),
      check: ({ name }) => {
        if (name === 'fly') throw new RefusedError('unknown-command', 'nobody flies');
      },
    },
    groups: {
      start: async (request) => take<Group>(request),
      get: (id) => (sent.has(id) && 'selector' in sent.get(id)! ? ({ id } as Group) : undefined),
    },
    deviceExists: (id) => id !== 'nobody',
    readCron,
    now: () => clock,
  });
}

beforeEach(() => {
  backplane = openBackplane(':memory:');
  clock = START;
  sent = new Map();
  trouble = undefined;
  start();
});

const EACH_MINUTE: NewSchedule = { cron: '* * * * *', device: 'a', name: 'identify' };

/** Lets the time pass second by second. */
async function pass(ms: number): Promise<void> {
  for (const end = clock + ms; clock < end; ) {
    clock += 1_000;
    await schedules.tick();
  }
}

/** The hub is down for so long. */
async function away(ms: number): Promise<void> {
  clock += ms;
  start();
  await schedules.tick();
}

const timesOf = (id: string) =>
  schedules
    .runs(id, 1_000)
    .map(({ at }) => (at - START) / MINUTE_MS)
    .reverse();

describe('a schedule', () => {
  it('runs at its times, as itself', async () => {
    await schedules.add('s', { ...EACH_MINUTE, params: { seconds: 3 }, ttlMs: MINUTE_MS }, 'operator:otto');
    await pass(3 * MINUTE_MS);
    expect(timesOf('s')).toEqual([1, 2, 3]);
    expect([...sent.values()][0]).toMatchObject({
      ...{ device: 'a', name: 'identify', params: { seconds: 3 }, ttlMs: MINUTE_MS },
      ...{ actor: 'schedule:s', schedule: 's' },
    });
    expect(schedules.get('s')?.lastRun).toMatchObject({ at: clock, state: 'sent', command: [...sent.keys()].at(-1) });
  });

  it('runs a command to a group', async () => {
    const selector = { tags: { floor: '1' } };
    await schedules.add('s', { cron: '* * * * *', name: 'identify', selector, parallel: 2 }, 'operator:otto');
    await pass(MINUTE_MS);
    expect([...sent.values()]).toMatchObject([{ selector, parallel: 2, actor: 'schedule:s' }]);
    expect(schedules.get('s')?.lastRun?.group).toBe([...sent.keys()][0]);
  });

  it('shows its next five runs, in its zone', async () => {
    const { nextRuns } = await schedules.add(
      's',
      { ...EACH_MINUTE, cron: '0 8 * * *', timeZone: 'Europe/Berlin' },
      'x',
    );
    expect(nextRuns).toHaveLength(5);
    expect(new Date(nextRuns[0]!).toISOString()).toBe('2026-06-02T06:00:00.000Z');
  });

  it('is refused when it could never work', async () => {
    const cases: [Partial<NewSchedule>, string][] = [
      [{ cron: 'x' }, 'invalid'],
      [{ timeZone: 'Mars/Olympus' }, 'invalid'],
      [{ name: 'fly' }, 'unknown-command'],
      [{ device: 'nobody' }, 'not-found'],
      [{ selector: { tags: {} } }, 'invalid'],
      [{ parallel: 3 }, 'invalid'],
    ];
    for (const [change, code] of cases)
      await expect(schedules.add('s', { ...EACH_MINUTE, ...change }, 'x')).rejects.toMatchObject({ code });
    await expect(schedules.add('a b', EACH_MINUTE, 'x')).rejects.toMatchObject({ code: 'invalid' });
    await schedules.add('s', EACH_MINUTE, 'x');
    await expect(schedules.add('s', EACH_MINUTE, 'x')).rejects.toMatchObject({ code: 'exists' });
  });

  it('records a refusal, and goes on', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    trouble = new RefusedError('queue-full', 'full');
    await pass(MINUTE_MS);
    expect(schedules.get('s')?.lastRun).toMatchObject({ state: 'refused', error: { code: 'queue-full' } });
    trouble = undefined;
    await pass(MINUTE_MS);
    expect([...sent.values()]).toHaveLength(1);
  });

  it('sends later what the database did not take, once', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    await schedules.add('t', EACH_MINUTE, 'x');
    trouble = new Unavailable('disk');
    clock += MINUTE_MS;
    await expect(schedules.tick()).rejects.toThrow('disk');
    trouble = undefined;
    await pass(1_000);
    await pass(5_000);
    expect([timesOf('s'), timesOf('t')]).toEqual([[1], [1]]);
    expect(sent.size).toBe(2);
  });

  it('pauses and resumes without making up for the pause', async () => {
    await schedules.add('s', { ...EACH_MINUTE, missed: 'all' }, 'x');
    await pass(MINUTE_MS);
    expect(await schedules.change('s', { enabled: false })).toMatchObject({ enabled: false, nextRuns: [] });
    await pass(3 * MINUTE_MS);
    await schedules.change('s', { enabled: true });
    await pass(MINUTE_MS);
    expect(timesOf('s')).toEqual([1, 5]);
  });

  it('follows a changed timetable from then on', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    await schedules.change('s', { cron: '*/2 * * * *', description: 'slower' });
    await pass(4 * MINUTE_MS);
    expect(timesOf('s')).toEqual([2, 4]);
    await expect(schedules.change('s', { cron: 'x' })).rejects.toMatchObject({ code: 'invalid' });
    expect(await schedules.change('s', { selector: { tags: {} } })).not.toHaveProperty('device');
  });

  it('runs now, paused or not, beside its timetable', async () => {
    await schedules.add('s', { ...EACH_MINUTE, enabled: false }, 'x');
    const run = await schedules.runNow('s', 'operator:otto');
    expect(run).toMatchObject({ manual: true, state: 'sent', at: START });
    expect(sent.get(run.command!)).toMatchObject({ actor: 'operator:otto', schedule: 's' });
  });

  it('runs now once for a name, over a restart, also when the stop came before it was sent', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    const run = await schedules.runNow('s', 'operator:otto', 'once');
    start();
    expect(await schedules.runNow('s', 'operator:otto', 'once')).toEqual(run);
    trouble = new Unavailable('disk');
    clock += 1;
    await expect(schedules.runNow('s', 'operator:otto', 'twice')).rejects.toBe(trouble);
    trouble = undefined;
    start();
    const second = await schedules.runNow('s', 'operator:otto', 'twice');
    expect(second).toMatchObject({ state: 'sent', command: second.id });
    await schedules.tick();
    expect(schedules.runs('s', 9)).toEqual([second, run]);
    expect(sent.size).toBe(2);
  });

  it('runs now what was interrupted before, when it is asked for again', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    trouble = new Unavailable('disk');
    await expect(schedules.runNow('s', 'operator:otto', 'once')).rejects.toBe(trouble);
    trouble = undefined;
    start();
    await schedules.tick();
    expect(schedules.runs('s', 9)).toMatchObject([{ state: 'interrupted' }]);
    expect(await schedules.runNow('s', 'operator:otto', 'once')).toMatchObject({ state: 'sent' });
    expect(schedules.runs('s', 9)).toMatchObject([{ state: 'sent' }]);
  });

  it('that is removed and added again begins anew', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    await pass(MINUTE_MS);
    await schedules.remove('s');
    await pass(MINUTE_MS);
    await schedules.add('s', EACH_MINUTE, 'x');
    expect(timesOf('s')).toEqual([]);
    await expect(schedules.remove('t')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('keeps a thousand runs of 30 days', async () => {
    await schedules.add('s', { ...EACH_MINUTE, cron: '* * * * * *' }, 'x');
    await pass(1_010_000);
    expect(await schedules.prune()).toBe(10);
    expect(schedules.runs('s', 2_000)).toHaveLength(1_000);
    await schedules.change('s', { enabled: false });
    clock += 31 * DAY_MS;
    expect(await schedules.prune()).toBe(1_000);
    expect(schedules.get('s')).not.toHaveProperty('lastRun');
  });
});

describe('times that were missed', () => {
  const cases: [Missed, number[]][] = [
    ['skip', [1, 2]],
    ['once', [1, 2, 9]],
    ['all', [1, 2, 7, 8, 9]],
  ];
  it.each(cases)('while the hub was down, with the policy %s', async (missed, expected) => {
    await schedules.add('s', { ...EACH_MINUTE, missed, missedLimit: 3 }, 'x');
    await pass(2 * MINUTE_MS);
    await away(7.5 * MINUTE_MS);
    expect(timesOf('s')).toEqual(expected);
    await pass(MINUTE_MS);
    expect(timesOf('s')).toEqual([...expected, 10]);
  });

  it('are marked as late; a moment late is on time', async () => {
    await schedules.add('s', { ...EACH_MINUTE, missed: 'once' }, 'x');
    await away(MINUTE_MS + 1_500);
    await away(MINUTE_MS + 30_000);
    expect(schedules.runs('s', 10).map(({ late }) => late)).toEqual([true, undefined]);
  });

  it('longer than a month ago are gone', async () => {
    await schedules.add('s', { ...EACH_MINUTE, cron: '0 0 2 6 *', missed: 'all' }, 'x');
    await away(40 * DAY_MS);
    expect(timesOf('s')).toEqual([]);
  });
});

describe('a scheduled time runs once', () => {
  it('though the hub restarts again and again', async () => {
    await schedules.add('s', { ...EACH_MINUTE, missed: 'all' }, 'x');
    await pass(MINUTE_MS);
    for (let restart = 0; restart < 5; restart++) await away(0);
    expect(timesOf('s')).toEqual([1]);
    expect(sent.size).toBe(1);
  });

  it('though two nodes share the tables', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    const one = schedules;
    start();
    clock += MINUTE_MS;
    await Promise.all([one.tick(), schedules.tick()]);
    expect(sent.size).toBe(1);
  });

  it('though the clock is put back, and nothing is missed afterwards', async () => {
    await schedules.add('s', { ...EACH_MINUTE, missed: 'all' }, 'x');
    await pass(10 * MINUTE_MS);
    clock -= 5 * MINUTE_MS;
    await pass(7 * MINUTE_MS);
    expect(timesOf('s')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(sent.size).toBe(12);
  });

  it('and goes on when a clock that was far ahead is put right', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    clock += 400 * DAY_MS;
    await pass(MINUTE_MS);
    clock -= 400 * DAY_MS;
    await pass(2 * MINUTE_MS);
    expect(timesOf('s').sort((a, b) => a - b)).toEqual([2, 3, 576_000, 576_001]);
  });

  it('though the hub was killed after it was written down: it is sent unless that is too late by the policy', async () => {
    for (const [missed, waitMs, state] of [
      ['skip', 1_000, 'sent'],
      ['skip', MINUTE_MS / 2, 'interrupted'],
      ['once', MINUTE_MS / 2, 'sent'],
    ] as const) {
      const id = `${missed}-${waitMs}`;
      await schedules.add(id, { ...EACH_MINUTE, missed }, 'x');
      const before = sent.size;
      trouble = new Unavailable('killed here');
      clock += MINUTE_MS - (clock % MINUTE_MS);
      await schedules.tick().catch(() => {});
      trouble = undefined;
      await away(waitMs);
      expect(schedules.runs(id, 10)).toMatchObject([{ state }]);
      expect(sent.size - before).toBe(state === 'sent' ? 1 : 0);
      await schedules.remove(id);
    }
  });

  it('though the hub was killed after it was sent', async () => {
    await schedules.add('s', EACH_MINUTE, 'x');
    await pass(MINUTE_MS);
    const [run] = schedules.runs('s', 1);
    const { command: _, ...due } = { ...run!, state: 'due' as const };
    await backplane.table('runs').set(due.id, due);
    await away(MINUTE_MS / 2);
    expect(schedules.runs('s', 1)).toMatchObject([{ state: 'sent', command: run!.id }]);
    expect(sent.size).toBe(1);
  });
});
