/** The record of every scheduled time: created once, before anything is sent, and never again. */
import type { Table } from '../backplane/backplane.ts';
import { Conflict, RefusedError } from '../kit/errors.ts';
import { GRACE_MS, type RunRow, runId, type ScheduleRow } from './schedule.ts';
import type { SchedulesDeps } from './schedules.ts';

export interface Runs {
  /** Runs a scheduled time, unless it was run before: then false, and nothing happened. */
  run(schedule: ScheduleRow, at: number, options: { late: boolean }): Promise<boolean>;
  /** `name` ends the id of the run, which is run once; one that was interrupted before it was sent is sent now. */
  runNow(schedule: ScheduleRow, actor: string, name?: string): Promise<RunRow>;
  /** Once after a start: brings to an end what the stop of the hub interrupted. Returns how many ran. */
  resume(schedules: Table<ScheduleRow>): Promise<number>;
  /** Of a series. */
  last(series: string): RunRow | undefined;
  /** `before`: only those that are older than this run; none when it is forgotten. */
  newest(series: string, limit: number, before?: string): RunRow[];
  prune(): Promise<number>;
}

const KEPT = 1_000;
const KEPT_MS = 30 * 86_400_000;

export function createRuns({ runs, commands, groups, audit, now }: SchedulesDeps & { now(): number }): Runs {
  /** The newest first, by the series they belong to. */
  const bySeries = new Map<string, string[]>();
  const seriesOf = (id: string) => id.slice(0, id.lastIndexOf('-'));
  const idsOf = (series: string) => bySeries.get(series) ?? [];
  const byStart = [...runs.values()].sort((a, b) => b.value.startedAt - a.value.startedAt);
  for (const [series, rows] of Map.groupBy(byStart, ({ key }) => seriesOf(key)))
    bySeries.set(
      series,
      rows.map(({ key }) => key),
    );
  /** What was under way when the hub stopped; looked at once. */
  let interrupted = byStart.filter(({ value }) => value.state === 'due').map(({ value }) => value);

  /** Sends; a refusal is an outcome, for the next time is another matter. Repeatable, by the id of the run. */
  async function send(schedule: ScheduleRow, run: RunRow, actor: string): Promise<RunRow> {
    const { id, name, params = {}, device, selector, ttlMs, timeoutMs, parallel, stopWhenFailedPercent } = schedule;
    const order = {
      ...{ id: run.id, name, params, actor, schedule: id },
      ...(ttlMs !== undefined && { ttlMs }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    };
    const limits = {
      ...(parallel !== undefined && { parallel }),
      ...(stopWhenFailedPercent !== undefined && { stopWhenFailedPercent }),
    };
    try {
      if (device !== undefined)
        return { ...run, state: 'sent', command: (await commands.send({ ...order, device })).id };
      const group = await groups.start({ ...order, ...limits, selector: selector ?? {} });
      return { ...run, state: 'sent', group: group.id };
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return { ...run, state: 'refused', error: { code: error.code, message: error.detail } };
    }
  }

  async function write(run: RunRow, expected?: number): Promise<RunRow> {
    await runs.set(run.id, run, expected);
    if (expected === 0) bySeries.set(seriesOf(run.id), [run.id, ...idsOf(seriesOf(run.id))]);
    return run;
  }

  /** Told before it is written: after a crash between the two it is told once more rather than never. */
  async function settle(run: RunRow): Promise<RunRow> {
    const { schedule, manual, state, command, group, error } = run;
    const result = state === 'sent' ? 'ok' : (error?.code ?? state);
    const what = command === undefined ? (group === undefined ? [] : [`group ${group}`]) : [`command ${command}`];
    const detail = [new Date(run.at).toISOString(), ...what].join(' ');
    // What an operator runs by hand is in the log by the request.
    if (!manual) audit?.({ actor: `schedule:${schedule}`, action: 'schedule.run', target: schedule, result, detail });
    return write(run);
  }

  /** The run as sent, when what it sends is there: the hub may have stopped before that was written down. */
  function sentBefore(run: RunRow): RunRow | undefined {
    if (commands.get(run.id)) return { ...run, state: 'sent', command: run.id };
    return groups.get(run.id) && { ...run, state: 'sent', group: run.id };
  }

  /** The outcome of a run that was written down as due. */
  async function finish(schedule: ScheduleRow | undefined, run: RunRow): Promise<RunRow> {
    const sent = sentBefore(run);
    if (sent) return settle(sent);
    const tooLate = run.at <= now() - GRACE_MS && schedule?.missed === 'skip';
    if (!schedule || tooLate || run.manual) return settle({ ...run, state: 'interrupted' });
    return settle(await send(schedule, run, `schedule:${schedule.id}`));
  }

  return {
    async run(schedule, at, { late }) {
      const id = runId(schedule.series, at);
      const run: RunRow = { id, schedule: schedule.id, at, startedAt: now(), ...(late && { late }), state: 'due' };
      const known = runs.get(id);
      if (known && known.value.state !== 'due') return false;
      try {
        if (!known) await write(run, 0);
      } catch (error) {
        if (error instanceof Conflict) return false;
        throw error;
      }
      // Written down before, and then the database failed: the same id makes it the same command.
      await settle(await send(schedule, known?.value ?? run, `schedule:${schedule.id}`));
      return true;
    },
    async runNow(schedule, actor, name = crypto.randomUUID().slice(0, 8)) {
      const at = now();
      const id = `${schedule.series}-now${name}`;
      const known = runs.get(id)?.value;
      if (known?.state === 'sent' || known?.state === 'refused') return known;
      const run =
        known ?? (await write({ id, schedule: schedule.id, at, startedAt: at, manual: true, state: 'due' }, 0));
      return write(sentBefore(run) ?? (await send(schedule, run, actor)));
    },
    async resume(schedules) {
      let ran = 0;
      for (const run of interrupted) {
        // Asked for again meanwhile.
        if (runs.get(run.id)?.value.state !== 'due') continue;
        const row = schedules.get(run.schedule)?.value;
        const outcome = await finish(row?.series === seriesOf(run.id) ? row : undefined, run);
        if (outcome.state === 'sent') ran += 1;
      }
      interrupted = [];
      return ran;
    },
    last: (series) => runs.get(idsOf(series)[0] ?? '')?.value,
    newest(series, limit, before) {
      const ids = idsOf(series);
      const last = ids.indexOf(before ?? '');
      const from = before === undefined ? 0 : last === -1 ? ids.length : last + 1;
      return ids.slice(from, from + limit).map((id) => runs.get(id)!.value);
    },
    async prune() {
      const before = now() - KEPT_MS;
      let dropped = 0;
      for (const [series, ids] of bySeries) {
        const old = ids.filter((id, index) => index >= KEPT || runs.get(id)!.value.startedAt < before);
        await Promise.all(old.map((id) => runs.delete(id)));
        dropped += old.length;
        const gone = new Set(old);
        const kept = idsOf(series).filter((id) => !gone.has(id));
        if (kept.length > 0) bySeries.set(series, kept);
        else bySeries.delete(series);
      }
      return dropped;
    },
  };
}
