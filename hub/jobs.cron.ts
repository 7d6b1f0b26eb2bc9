/** The hub's own timetable as one table, and how cron expressions are read. The home of node-cron. */
import cron, { type ParsedFields } from 'node-cron';
import type { CronFields } from './commands/timetable.ts';
import { RefusedMember } from './kit/errors.ts';

export interface Job {
  name: string;
  /** Five or six fields of cron, in UTC. */
  at: string;
  /** What it resolves to is shown: a number is how many things it did. */
  run(): Promise<unknown>;
}

/** How a job does. Times are Unix milliseconds. */
export interface JobStatus {
  name: string;
  at: string;
  running: boolean;
  /** Since the hub started. */
  runs: number;
  failures: number;
  nextRunAt?: number;
  /** The last run that ended; absent before the first. */
  last?: { at: number; durationMs: number; ok: boolean; did?: number; error?: string };
}

export interface Jobs {
  /** In the order of the table. */
  list(): JobStatus[];
  /** Starts none and waits, at most two seconds, for those that run. */
  close(): Promise<void>;
}

interface Running {
  job: Job;
  task: ReturnType<typeof cron.schedule>;
  status: Omit<JobStatus, 'nextRunAt'>;
  work?: Promise<void>;
}

const CLOSE_MS = 2_000;

/** Runs each job at its times, never twice at once; a job that fails is told to `onError` and runs again next time. */
export function startJobs(table: readonly Job[], onError: (name: string, error: unknown) => void): Jobs {
  const all = table.map((job): Running => {
    const status = { name: job.name, at: job.at, running: false, runs: 0, failures: 0 };
    const go = () => {
      running.work = run(running, onError);
      return running.work;
    };
    // A tick that comes late is not worth a line on the console: what is due is found by looking, not by being called.
    const options = { name: job.name, timezone: 'UTC', noOverlap: true, suppressMissedWarning: true };
    const running: Running = { job, status, task: cron.schedule(job.at, go, options) };
    return running;
  });
  return {
    list: () =>
      all.map(({ status, task }) => {
        const next = task.getNextRun();
        return { ...status, ...(next && { nextRunAt: next.getTime() }) };
      }),
    async close() {
      for (const { task } of all) await task.destroy();
      const impatience = Promise.withResolvers<void>();
      const timer = setTimeout(impatience.resolve, CLOSE_MS);
      await Promise.race([Promise.all(all.map(({ work }) => work)), impatience.promise]);
      clearTimeout(timer);
    },
  };
}

/** Never rejects. */
async function run({ job, status }: Running, onError: (name: string, error: unknown) => void): Promise<void> {
  const at = Date.now();
  const began = performance.now();
  const durationMs = () => Math.round((performance.now() - began) * 100) / 100;
  status.running = true;
  try {
    const did = await job.run();
    status.last = { at, durationMs: durationMs(), ok: true, ...(typeof did === 'number' && { did }) };
  } catch (error) {
    status.failures += 1;
    status.last = { at, durationMs: durationMs(), ok: false, error: (error as Error).message };
    onError(job.name, error);
  }
  status.runs += 1;
  status.running = false;
}

/**
 * Reads an expression of five or six fields, or a name such as `@daily`, for a time zone by its IANA name. Throws
 * `RefusedMember` (invalid) with what is wrong.
 */
export function readCron(expression: string, timeZone: string): CronFields {
  if (!isTimeZone(timeZone))
    refuse('/timeZone', `"${timeZone.slice(0, 80)}" is no time zone: write it like Europe/Berlin or UTC.`);
  const { valid, errors } = cron.validateDetailed(expression);
  if (!valid)
    refuse('/cron', `"${expression.slice(0, 80)}" is no cron expression: ${errors[0]?.message ?? 'it has mistakes'}.`);
  const fields = cron.parse(expression);
  const { second, minute, hour } = fields;
  const sorted = (numbers: number[]) => [...numbers].sort((a, b) => a - b);
  return {
    seconds: sorted(second),
    minutes: sorted(minute),
    hours: sorted(hour),
    timeZone,
    matchesDay: dayMatcherOf(fields, timeZone),
  };
}

/** node-cron decides which days fit, with all its tokens (L, W, #); it matches any time of such a day. */
function dayMatcherOf({ dayOfMonth, month, dayOfWeek }: ParsedFields, timeZone: string): (at: number) => boolean {
  const pattern = ['* * *', dayOfMonth.join(','), month.join(','), dayOfWeek.join(',')].join(' ');
  const task = cron.createTask(pattern, () => {}, { timezone: timeZone });
  // It never runs: only its eyes are wanted, and the package would keep a list of it.
  void task.destroy();
  return (at) => task.match(new Date(at));
}

function isTimeZone(name: string): boolean {
  try {
    return name === 'UTC' || (/^[A-Za-z]/.test(name) && Boolean(new Intl.DateTimeFormat('en-US', { timeZone: name })));
  } catch {
    return false;
  }
}

function refuse(member: string, detail: string): never {
  throw new RefusedMember('invalid', member, detail);
}
