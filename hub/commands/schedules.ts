/** Commands on a timetable: each scheduled time is written down once before anything is sent, so it never runs twice. */
import type { Row, Table } from '../backplane/backplane.ts';
import { Conflict, RefusedError, RefusedMember } from '../kit/errors.ts';
import type { Commands } from './commands.ts';
import type { Groups } from './groups.ts';
import type { RunRow, ScheduleDetails, ScheduleRow } from './schedule.ts';
import * as rules from './schedule.ts';
import { createRuns } from './schedule-runs.ts';
import { type CronFields, createTimetable, type Timetable } from './timetable.ts';

/** A schedule as operators see it. */
export interface Schedule extends Omit<ScheduleRow, 'series' | 'settledAt'> {
  /** The next five; none while it is paused. */
  nextRuns: number[];
  lastRun?: RunRow;
}

type Editable = Partial<Omit<ScheduleDetails, 'device' | 'selector'>> & Pick<ScheduleDetails, 'device' | 'selector'>;
/** What must be said, and what has a default. */
export type NewSchedule = Editable & Pick<ScheduleDetails, 'cron' | 'name'>;
export type ScheduleChange = Editable;

export interface Schedules {
  /** Durable when it resolves. Throws `RefusedError` (exists, invalid, not-found, unknown-command, too-many-schedules). */
  add(id: string, details: NewSchedule, actor: string): Promise<Schedule>;
  get(id: string): Schedule | undefined;
  /** In the order of their names. */
  list(): Schedule[];
  /** The newest runs first, or those before that run. Throws `RefusedError` (not-found). */
  runs(id: string, limit: number, before?: string): RunRow[];
  /**
   * Changes what is named; `enabled` pauses and resumes. Times before a change of the timetable, or during a pause, are
   * not missed but gone. Throws as `add`, and (not-found).
   */
  change(id: string, change: ScheduleChange): Promise<Schedule>;
  /** What it sent stays. Throws `RefusedError` (not-found). */
  remove(id: string): Promise<void>;
  /**
   * Runs it once now, paused or not, beside its timetable; asked for twice with one name (31 letters and digits at most)
   * it is one run. Throws `RefusedError` (not-found).
   */
  runNow(id: string, actor: string, name?: string): Promise<RunRow>;
  /** Runs what is due, and what was missed by each schedule's policy; called every second. Returns how many ran. */
  tick(): Promise<number>;
  /** Forgets runs older than 30 days, and of each schedule the oldest beyond 1,000. Returns how many. */
  prune(): Promise<number>;
}

export interface SchedulesDeps {
  table: Table<ScheduleRow>;
  runs: Table<RunRow>;
  commands: Pick<Commands, 'send' | 'get' | 'check'>;
  groups: Pick<Groups, 'start' | 'get'>;
  deviceExists(id: string): boolean;
  /** Told of each scheduled run and what came of it, for the audit log. */
  audit?(entry: { actor: string; action: string; target: string; result: string; detail: string }): void;
  /** Throws `RefusedError` (invalid). */
  readCron(expression: string, timeZone: string): CronFields;
  now?(): number;
}

const MAX_SCHEDULES = 1_000;
const SHOWN_RUNS = 5;
/** A clock that is behind the last look by more than this was put back. */
const PUT_BACK_MS = 1_000;
const CHANGE_ATTEMPTS = 5;

/** Opens the schedules over their tables; nothing runs until `tick` is called. */
export function createSchedules(deps: SchedulesDeps): Schedules {
  const { table, commands, deviceExists, readCron, now = Date.now } = deps;
  const runs = createRuns({ ...deps, now });
  /** Timetable and next time of each row, until the row changes. */
  const plans = new Map<string, Plan>();
  let lookedAt = 0;
  table.onChange((id) => plans.delete(id));

  function planOf(row: Row<ScheduleRow>): Plan {
    const known = plans.get(row.key);
    if (known) return known;
    const timetable = createTimetable(readCron(row.value.cron, row.value.timeZone));
    const plan = { timetable, next: timetable.next(rules.sinceOf(row.value, now())) };
    plans.set(row.key, plan);
    return plan;
  }

  function isDue(row: Row<ScheduleRow>, at: number): boolean {
    const next = row.value.enabled ? planOf(row).next : undefined;
    return next !== undefined && next <= at;
  }

  function shown(row: Row<ScheduleRow>): Schedule {
    const { series, settledAt: _, ...rest } = row.value;
    const nextRuns: number[] = [];
    const { timetable } = planOf(row);
    for (let at = rest.enabled ? timetable.next(now()) : undefined; at !== undefined; at = timetable.next(at)) {
      if (nextRuns.push(at) === SHOWN_RUNS) break;
    }
    const lastRun = runs.last(series);
    return { ...rest, nextRuns, ...(lastRun && { lastRun }) };
  }

  function checked(details: ScheduleDetails): ScheduleDetails {
    rules.checkTarget(details);
    commands.check(details);
    for (const id of [details.device ?? [], details.selector?.devices ?? []].flat())
      if (!deviceExists(id)) {
        const member = details.device === undefined ? '/selector/devices' : '/device';
        throw new RefusedMember('not-found', member, `There is no device "${id.slice(0, 80)}".`);
      }
    if (createTimetable(readCron(details.cron, details.timeZone)).next(now()) === undefined)
      throw new RefusedMember('invalid', '/cron', `"${details.cron}" never comes.`);
    return details;
  }

  const existing = (id: string) => table.get(id) ?? refuse('not-found', `There is no schedule "${id.slice(0, 80)}".`);

  async function edit(id: string, change: ScheduleChange, attempt = 1): Promise<Schedule> {
    const row = existing(id);
    const merged = { ...row.value, ...change };
    // Whoever names one kind of target takes the other away.
    if (change.device !== undefined && change.selector === undefined) delete merged.selector;
    if (change.selector !== undefined && change.device === undefined) delete merged.device;
    checked(merged);
    const { cron, timeZone, enabled } = row.value;
    const sameTimes = merged.cron === cron && merged.timeZone === timeZone && merged.enabled === enabled;
    if (!sameTimes) merged.settledAt = now();
    try {
      return shown(await table.set(id, merged, row.revision));
    } catch (error) {
      if (error instanceof Conflict && attempt < CHANGE_ATTEMPTS) return edit(id, change, attempt + 1);
      throw error;
    }
  }

  /** Each time is recorded, sent and settled before the next, so that a failure in between leaves the rest due. */
  async function runDue(row: Row<ScheduleRow>, at: number): Promise<number> {
    const { timetable, next = at } = planOf(row);
    const { run } = rules.dueTimes(timetable, next - 1, at, row.value);
    let ran = 0;
    for (const time of run) if (await runs.run(row.value, time, { late: time <= at - rules.GRACE_MS })) ran += 1;
    await settle(row.key, row.value.series, at);
    return ran;
  }

  async function settle(id: string, series: string, at: number, attempt = 1): Promise<void> {
    const row = table.get(id);
    // It was removed or changed meanwhile.
    if (!row || row.value.series !== series || row.value.settledAt === at) return;
    try {
      await table.set(id, { ...row.value, settledAt: at }, row.revision);
    } catch (error) {
      if (!(error instanceof Conflict) || attempt >= CHANGE_ATTEMPTS) throw error;
      await settle(id, series, at, attempt + 1);
    }
  }

  return {
    async add(id, details, actor) {
      rules.checkScheduleId(id);
      if (table.size >= MAX_SCHEDULES) refuse('too-many-schedules', `There are ${MAX_SCHEDULES} schedules already.`);
      const complete = checked({ ...rules.DEFAULTS, ...details });
      const at = now();
      const series = crypto.randomUUID().slice(0, 13);
      try {
        const row = { ...complete, id, series, createdAt: at, createdBy: actor, settledAt: at };
        return shown(await table.set(id, row, 0));
      } catch (error) {
        if (error instanceof Conflict) throw new RefusedMember('exists', '/id', `There is a schedule "${id}" already.`);
        throw error;
      }
    },
    get: (id) => {
      const row = table.get(id);
      return row && shown(row);
    },
    list: () => [...table.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).map(shown),
    runs: (id, limit, before) => runs.newest(existing(id).value.series, limit, before),
    change: (id, change) => edit(id, change),
    async remove(id) {
      existing(id);
      await table.delete(id);
    },
    runNow: (id, actor, ...name) => runs.runNow(existing(id).value, actor, ...name),
    async tick() {
      const at = now();
      if (at < lookedAt - PUT_BACK_MS) plans.clear();
      lookedAt = at;
      let ran = await runs.resume(table);
      const errors: unknown[] = [];
      for (const row of [...table.values()]) {
        try {
          if (isDue(row, at)) ran += await runDue(row, at);
        } catch (error) {
          // One that cannot run keeps no other from running.
          errors.push(error);
        }
      }
      if (errors.length > 0) throw errors[0];
      return ran;
    },
    prune: () => runs.prune(),
  };
}

interface Plan {
  timetable: Timetable;
  /** The first time that is not settled. */
  next: number | undefined;
}

function refuse(code: 'not-found' | 'too-many-schedules', detail: string): never {
  throw new RefusedError(code, detail);
}
