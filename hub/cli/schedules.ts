/** The verbs of schedules: commands on a timetable. */
import { type Command, Option } from 'commander';
import { hasEnded, type Command as SentCommand } from '../commands/command.ts';
import type { Group } from '../commands/group.ts';
import { MISSED, type RunRow } from '../commands/schedule.ts';
import type { Schedule } from '../commands/schedules.ts';
import { UserError } from '../kit/errors.ts';
import { numberOf } from './arguments.ts';
import {
  confirmed,
  orderOf,
  selectionText,
  selectorOf,
  typedParamsOf,
  typeOf,
  withOrder,
  yesOption,
} from './orders.ts';
import { type AddVerb, type Client, EXIT, pathOf, type Session, type Verb } from './session.ts';
import { type Colors, sheet, table, time } from './tables.ts';
import { waitingFor } from './waiting.ts';

const CRON_HELP = `
A cron expression has five fields (minute hour day month weekday), or six with seconds first; or it is @hourly, @daily,
@weekly, @monthly or @yearly. Put it in quotes: without them the shell puts the names of files in place of each *.
A time that the clocks skip runs when they jump, one that they repeat runs once.`;

/** Adds `hub schedule …`. */
export function registerSchedules(program: Command, verb: AddVerb): void {
  const schedule = program.command('schedule').description('Commands on a timetable.');
  registerAdding(schedule, verb);
  verb(schedule, 'ls', 'All schedules.', listSchedules, ['hub schedule ls']).option('--json', 'as JSON');
  verb(schedule, 'show <schedule>', 'One schedule, its next five runs and its last ones.', showSchedule, [
    'hub schedule show nightly-reboot',
  ]).option('--json', 'as JSON');
  const change = (name: string, description: string, run: Verb, flag = '') =>
    verb(schedule, `${name} <schedule>`, description, run, [`hub schedule ${name} nightly-reboot${flag}`], 'operator');
  change('pause', 'Runs it no more until it is resumed.', enable(false));
  change('resume', 'Runs it again; times in the pause are not made up for.', enable(true));
  change('run', 'Runs it once now, paused or not.', runSchedule, ' --yes')
    .addOption(yesOption())
    .option('--json', 'as JSON');
  change('rm', 'Removes it; what it sent stays.', removeSchedule);
}

function registerAdding(schedule: Command, verb: AddVerb) {
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
}

async function addSchedule(session: Session, id = '', cron = '', name = '', ...pairs: string[]) {
  const { client, options, color, print } = session;
  checkQuotes(cron);
  const selector = selectorOf(session);
  const params = typedParamsOf(pairs, options.params, await typeOf(session, name));
  const { zone, missed, missedLimit, description, paused, parallel, stopWhenFailed } = options;
  // One device by its name is no group: its command is the run's own.
  const [device, ...others] = selector.devices ?? [];
  const isAlone = device !== undefined && others.length === 0 && !selector.tags;
  const target = isAlone && parallel === undefined && stopWhenFailed === undefined ? { device } : { selector };
  const schedule = await client.json<Schedule>('POST', '/v1/schedules', {
    ...{ id, cron, timeZone: zone, name, params, missed, ...orderOf(session), ...target },
    ...(missedLimit !== undefined && { missedLimit }),
    ...(description !== undefined && { description }),
    ...(paused && { enabled: false }),
  });
  print(options.json ? JSON.stringify(schedule, undefined, 2) : scheduleSheet(schedule, [], color));
}

/** Without quotes the first field arrives as the expression, and the others as something else. */
function checkQuotes(cron: string): void {
  if (cron.startsWith('@') || /\s/.test(cron.trim())) return;
  const message = `"${cron}" is no cron expression; put all of its fields into quotes, such as "0 3 * * *".`;
  throw new UserError(message, EXIT.usage);
}

async function listSchedules({ client, options, color, print, hint }: Session) {
  const { schedules } = await client.json<{ schedules: Schedule[] }>('GET', '/v1/schedules');
  if (options.json) print(JSON.stringify(schedules, undefined, 2));
  else if (schedules.length === 0) hint('There are no schedules yet: hub schedule add --help');
  else print(scheduleTable(schedules, color));
}

async function showSchedule({ client, options, color, print }: Session, id = '') {
  const schedule = await client.json<Schedule>('GET', at(id));
  const { runs } = await client.json<{ runs: RunRow[] }>('GET', `${at(id)}/runs`);
  if (options.json) return print(JSON.stringify({ ...schedule, runs }, undefined, 2));
  const outcomes = await Promise.all(runs.map(async (run) => ({ ...run, outcome: await outcomeOf(client, run) })));
  print(scheduleSheet(schedule, outcomes, color));
}

/** What became of what a run sent, as far as the hub still knows. */
async function outcomeOf(client: Client, { command, group, error }: RunRow): Promise<string> {
  try {
    if (command) {
      const { state } = await client.json<SentCommand>('GET', pathOf`/v1/commands/${command}`);
      return `${command} is ${state}`;
    }
    if (group) {
      const { counts, total } = await client.json<Group>('GET', pathOf`/v1/groups/${group}`);
      return `${group}: ${counts.succeeded} of ${total} succeeded`;
    }
  } catch (mistake) {
    if (!(mistake instanceof UserError)) throw mistake;
    return `${command ?? group} is forgotten`;
  }
  return error?.message ?? '';
}

function enable(enabled: boolean): Verb {
  return async ({ client, hint }, id = '') => {
    await client.json('PATCH', at(id), { enabled });
    hint(`${id} is ${enabled ? 'running again' : 'paused'}.`);
  };
}

async function runSchedule(session: Session, id = '') {
  const { client, options, print, hint } = session;
  const schedule = await client.json<Schedule>('GET', at(id));
  await confirmed(session, await typeOf(session, schedule.name), targetOf(schedule));
  const run = await client.json<RunRow>('POST', `${at(id)}/run`);
  if (options.json) print(JSON.stringify(run));
  if (run.error) throw new UserError(`It was refused: ${run.error.message}`, EXIT.failed);
  if (options.json) return;
  print(run.command ?? run.group ?? run.id);
  if (run.group) hint(`See how it goes: hub groups show ${run.group}`);
  else if (run.command) {
    const command = await client.json<SentCommand>('GET', pathOf`/v1/commands/${run.command}`);
    if (!hasEnded(command.state)) hint(`It is ${command.state}. ${await waitingFor(client, command)}`);
    hint(`Its end: hub commands show ${run.command} --wait 30s`);
  }
}

async function removeSchedule({ client, hint }: Session, id = '') {
  await client.json('DELETE', at(id));
  hint(`Removed ${id}.`);
}

const at = (id: string) => pathOf`/v1/schedules/${id}`;

function scheduleTable(schedules: Schedule[], color: Colors): string {
  const rows = schedules.map((schedule) => {
    const { id, cron, timeZone, name, lastRun, nextRuns } = schedule;
    const last = lastRun ? `${time(lastRun.at)} ${stateOf(lastRun, color)}` : 'never';
    return [id, `${cron} ${timeZone}`, name, targetOf(schedule), last, nextOf(schedule, nextRuns[0], color)];
  });
  return table(['SCHEDULE', 'WHEN', 'COMMAND', 'DEVICES', 'LAST RUN', 'NEXT RUN'], rows, color);
}

function scheduleSheet(schedule: Schedule, runs: (RunRow & { outcome: string })[], color: Colors): string {
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
    const how = `${run.manual ? ' by hand' : ''}${run.late ? ' late' : ''}`;
    rows.push(['run', `${time(run.at)} ${stateOf(run, color)}${how}  ${run.outcome}`]);
  }
  return sheet(rows, color);
}

function targetOf({ device, selector = {} }: Schedule): string {
  return device ?? selectionText(selector);
}

/** In the schedule's own time zone, for there it was thought. */
function nextOf({ enabled, timeZone }: Schedule, at: number | undefined, color: Colors): string {
  if (!enabled) return color.yellow('paused');
  if (at === undefined) return 'never';
  const options = { dateStyle: 'short', timeStyle: 'medium', timeZone } as const;
  return `${new Date(at).toLocaleString('sv-SE', options)} ${timeZone}`;
}

/** A run that is `sent` has handed its commands over; what became of them is another matter. */
function stateOf({ state }: RunRow, color: Colors): string {
  return state === 'sent' ? color.green('ran') : color.red(state);
}
