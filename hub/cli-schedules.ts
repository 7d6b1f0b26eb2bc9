/** The verbs of schedules (commands on a timetable) and of the hub's own jobs. */
import { type Command, Option } from 'commander';
import { numberOf } from './cli-arguments.ts';
import { orderOf, paramsOf, selectorOf, withOrder } from './cli-groups.ts';
import { type AddVerb, EXIT, type Session, type Verb } from './cli-session.ts';
import { type Colors, duration, sheet, table, time } from './cli-tables.ts';
import { MISSED, type RunRow } from './commands/schedule.ts';
import type { Schedule } from './commands/schedules.ts';
import type { JobStatus } from './jobs.cron.ts';
import { UserError } from './kit/errors.ts';

const CRON_HELP = `
A cron expression has five fields (minute hour day month weekday), or six with seconds first; or it is @hourly, @daily,
@weekly, @monthly or @yearly. A time that the clocks skip runs when they jump, one that they repeat runs once.`;

export function registerSchedules(program: Command, verb: AddVerb): void {
  const schedule = program.command('schedule').description('Commands on a timetable.');
  withOrder(
    verb(
      schedule,
      'add <id> <cron> <command> [params...]',
      'Adds a command on a timetable.',
      addSchedule,
      [
        'hub schedule add nightly-reboot "0 3 * * *" reboot --device meter-7 --zone Europe/Berlin',
        'hub schedule add save-power "0 22 * * 1-5" set-interval seconds=300 --tag floor=1 --parallel 20 --missed once',
      ],
      'operator',
    ).addHelpText('after', CRON_HELP),
  )
    .option('--zone <name>', 'time zone, such as Europe/Berlin', 'UTC')
    .addOption(
      new Option('--missed <policy>', 'what becomes of times while the hub was down').choices(MISSED).default('skip'),
    )
    .option('--missed-limit <n>', 'with --missed all: so many at most', numberOf)
    .option('--description <text>', 'for people')
    .option('--paused', 'do not run it yet')
    .option('--json', 'as JSON');
  verb(schedule, 'ls', 'All schedules.', listSchedules, ['hub schedule ls']).option('--json', 'as JSON');
  verb(schedule, 'show <schedule>', 'One schedule, its next five runs and its last ones.', showSchedule, [
    'hub schedule show nightly-reboot',
  ]).option('--json', 'as JSON');
  verb(
    schedule,
    'pause <schedule>',
    'Runs it no more until it is resumed.',
    enable(false),
    ['hub schedule pause nightly-reboot'],
    'operator',
  );
  verb(
    schedule,
    'resume <schedule>',
    'Runs it again; times in the pause are not made up for.',
    enable(true),
    ['hub schedule resume nightly-reboot'],
    'operator',
  );
  verb(
    schedule,
    'run <schedule>',
    'Runs it once now, paused or not.',
    runSchedule,
    ['hub schedule run nightly-reboot'],
    'operator',
  ).option('--json', 'as JSON');
  verb(
    schedule,
    'rm <schedule>',
    'Removes it; what it sent stays.',
    removeSchedule,
    ['hub schedule rm nightly-reboot'],
    'operator',
  );
  verb(program, 'jobs', "The hub's own housekeeping: last run, result, next run.", listJobs, ['hub jobs']).option(
    '--json',
    'as JSON',
  );
}

async function addSchedule(session: Session, id = '', cron = '', name = '', ...params: string[]) {
  const { client, options, color, print } = session;
  const selector = selectorOf(session);
  if (!selector) throw new UserError('Say which devices: --device ID, --tag name=value or --all.', EXIT.usage);
  const { zone, missed, missedLimit, description, paused } = options;
  // One device by its name is no group: its command is the run's own.
  const alone = !selector.tags && selector.devices?.length === 1 && { device: selector.devices[0] };
  const schedule = await client.json<Schedule>('POST', '/v1/schedules', {
    ...{ id, cron, timeZone: zone, name, params: await paramsOf(session, name, params), missed, ...orderOf(session) },
    ...(alone || { selector }),
    ...(missedLimit !== undefined && { missedLimit }),
    ...(description !== undefined && { description }),
    ...(paused && { enabled: false }),
  });
  print(options.json ? JSON.stringify(schedule, undefined, 2) : scheduleSheet(schedule, [], color));
}

async function listSchedules({ client, options, color, print, hint }: Session) {
  const { schedules } = await client.json<{ schedules: Schedule[] }>('GET', '/v1/schedules');
  if (options.json) print(JSON.stringify(schedules, undefined, 2));
  else if (schedules.length === 0) hint('There are no schedules yet: hub schedule add --help');
  else print(scheduleTable(schedules, color));
}

async function showSchedule({ client, options, color, print }: Session, id = '') {
  const schedule = await client.json<Schedule>('GET', pathOf(id));
  const { runs } = await client.json<{ runs: RunRow[] }>('GET', `${pathOf(id)}/runs`);
  print(options.json ? JSON.stringify({ ...schedule, runs }, undefined, 2) : scheduleSheet(schedule, runs, color));
}

function enable(enabled: boolean): Verb {
  return async ({ client, hint }, id = '') => {
    await client.json('PATCH', pathOf(id), { enabled });
    hint(`${id} is ${enabled ? 'running again' : 'paused'}.`);
  };
}

async function runSchedule({ client, options, print, hint }: Session, id = '') {
  const run = await client.json<RunRow>('POST', `${pathOf(id)}/run`);
  if (options.json) print(JSON.stringify(run));
  if (run.error) throw new UserError(`It was refused: ${run.error.message}`, EXIT.failed);
  if (options.json) return;
  print(run.command ?? run.group ?? run.id);
  hint(run.group ? `See how it goes: hub groups show ${run.group}` : 'This is the id of the command it sent.');
}

async function removeSchedule({ client, hint }: Session, id = '') {
  await client.json('DELETE', pathOf(id));
  hint(`Removed ${id}.`);
}

async function listJobs({ client, options, color, print }: Session) {
  const { jobs } = await client.json<{ jobs: JobStatus[] }>('GET', '/v1/jobs');
  print(options.json ? JSON.stringify(jobs, undefined, 2) : jobTable(jobs, color));
}

const pathOf = (id: string) => `/v1/schedules/${encodeURIComponent(id)}`;

function scheduleTable(schedules: Schedule[], color: Colors): string {
  const rows = schedules.map((schedule) => {
    const { id, cron, timeZone, name, lastRun, nextRuns } = schedule;
    const last = lastRun ? `${time(lastRun.at)} ${outcomeOf(lastRun, color)}` : 'never';
    return [id, `${cron} ${timeZone}`, name, targetOf(schedule), last, nextOf(schedule, nextRuns[0], color)];
  });
  return table(['SCHEDULE', 'WHEN', 'COMMAND', 'DEVICES', 'LAST RUN', 'NEXT RUN'], rows, color);
}

function scheduleSheet(schedule: Schedule, runs: RunRow[], color: Colors): string {
  const { id, cron, timeZone, name, params = {}, missed, missedLimit, description, nextRuns } = schedule;
  const rows: [string, string][] = [
    ['schedule', id],
    ['when', `${cron} ${timeZone}`],
    ['command', `${name} ${JSON.stringify(params)}`],
    ['devices', targetOf(schedule)],
    ['missed', missed === 'all' ? `all, ${missedLimit} at most` : missed],
    ['description', description || '–'],
  ];
  const times = nextRuns.length > 0 ? nextRuns : [undefined];
  for (const at of times) rows.push(['next run', nextOf(schedule, at, color)]);
  for (const run of runs) {
    const what = run.error?.message ?? run.group ?? run.command ?? '';
    const how = `${run.manual ? ' by hand' : ''}${run.late ? ' late' : ''}`;
    rows.push(['run', `${time(run.at)} ${outcomeOf(run, color)}${how}  ${what}`]);
  }
  return sheet(rows, color);
}

function targetOf({ device, selector }: Schedule): string {
  if (device !== undefined) return device;
  const tags = Object.entries(selector?.tags ?? {}).map(([name, value]) => `${name}=${value}`);
  const listed = selector?.devices ? [`${selector.devices.length} listed`] : [];
  return [...tags, ...listed].join(' ') || 'every device';
}

/** In the schedule's own time zone, for there it was thought. */
function nextOf({ enabled, timeZone }: Schedule, at: number | undefined, color: Colors): string {
  if (!enabled) return color.yellow('paused');
  if (at === undefined) return 'never';
  const options = { dateStyle: 'short', timeStyle: 'medium', timeZone } as const;
  return `${new Date(at).toLocaleString('sv-SE', options)} ${timeZone}`;
}

function outcomeOf({ state }: RunRow, color: Colors): string {
  return state === 'sent' ? color.green(state) : color.red(state);
}

const tookOf = (ms: number) => (ms < 1_000 ? `${Math.round(ms)} ms` : duration(ms));

function jobTable(jobs: JobStatus[], color: Colors): string {
  const rows = jobs.map(({ name, at, running, runs, failures, last, nextRunAt }) => {
    const did = last?.did === undefined ? '' : ` (${last.did})`;
    const result = last?.ok ? `${color.green('ok')}${did}` : color.red(last?.error ?? '–');
    return [
      name,
      at,
      running ? 'now' : last ? time(last.at) : 'not yet',
      last ? result : '',
      last ? tookOf(last.durationMs) : '',
      failures > 0 ? color.red(`${failures} of ${runs}`) : String(failures),
      nextRunAt === undefined ? '–' : time(nextRunAt),
    ];
  });
  return table(['JOB', 'AT (UTC)', 'LAST RUN', 'RESULT', 'TOOK', 'FAILED', 'NEXT RUN'], rows, color);
}
