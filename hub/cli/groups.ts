/** The verbs of group commands: sending one command to many devices, watching it, stopping it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Group } from '../commands/group.ts';
import { spanText } from '../kit/span.ts';
import { durationOf } from './arguments.ts';
import { memberTable } from './members.ts';
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
import { type AddVerb, type Client, EXIT, pathOf, type Session } from './session.ts';
import { type Colors, sheet, table, time } from './tables.ts';

const LOOK_MS = 200;

/** Adds `hub groups …`. */
export function registerGroups(program: Command, verb: AddVerb): void {
  const groups = program.command('groups').description('One command to many devices.');
  withOrder(
    verb(
      groups,
      'send <command> [params...]',
      'Sends a command to every device that fits.',
      sendGroup,
      [
        'hub groups send identify --tag floor=1',
        'hub groups send reboot --yes --tag floor=1 --parallel 10 --stop-when-failed 20% --wait 10m',
        'hub groups send set-interval seconds=60 --all --json',
      ],
      'operator',
    ),
  )
    .option('--wait <duration>', 'until it is finished, or for so long', durationOf)
    .addOption(yesOption())
    .option('--json', 'as JSON');
  verb(groups, 'ls', 'The newest groups.', listGroups, ['hub groups ls'])
    .option('--limit <rows>', 'at most so many', '20')
    .option('--json', 'as JSON');
  verb(groups, 'show <group>', 'How far a group is, and who is not done.', showGroup, [
    'hub groups show g-3f2c',
    'hub groups show g-3f2c --wait 10m',
  ])
    .option('--wait <duration>', 'until it is finished, or for so long', durationOf)
    .option('--json', 'as JSON');
  verb(
    groups,
    'cancel <group>',
    'Sends no more, and takes back what no device has yet.',
    cancelGroup,
    ['hub groups cancel g-3f2c'],
    'operator',
  );
}

async function sendGroup(session: Session, name = '', ...pairs: string[]) {
  const { client, options, hint } = session;
  const selector = selectorOf(session);
  const type = await typeOf(session, name);
  const params = typedParamsOf(pairs, options.params, type);
  await confirmed(session, type, selectionText(selector));
  const body = { selector, name, params, ...orderOf(session) };
  const { id } = await client.json<Group>('POST', '/v1/commands', body);
  const group = await showWhenFinished(session, id);
  if (options.wait === undefined && !group.finished) hint(`See how it goes: hub groups show ${id}`);
}

async function showGroup(session: Session, id = '') {
  await showWhenFinished(session, id);
}

/** Shows it when it is finished, or as it is when the time is over; whoever waited is told by the exit code too. */
async function showWhenFinished({ client, options, color, print, hint }: Session, id: string): Promise<Group> {
  const group = await untilFinished(client, id, Number(options.wait ?? 0));
  if (options.json) print(JSON.stringify(group, undefined, 2));
  else {
    const members = await memberTable(client, group, color);
    print([groupSheet(group, color), ...(members ? [members] : [])].join('\n\n'));
  }
  if (options.wait === undefined) return group;
  if (!group.finished) {
    process.exitCode = EXIT.commandPending;
    hint(`It is not finished yet; wait on: hub groups show ${id} --wait 10m`);
  } else if (group.counts.succeeded < group.total) {
    process.exitCode = EXIT.commandFailed;
    hint('Not every device succeeded.');
  }
  return group;
}

async function untilFinished(client: Client, id: string, withinMs: number): Promise<Group> {
  const until = performance.now() + withinMs;
  for (;;) {
    const group = await client.json<Group>('GET', at(id));
    if (group.finished || performance.now() >= until) return group;
    await sleep(LOOK_MS);
  }
}

async function listGroups({ client, options, color, print, hint }: Session) {
  const { groups } = await client.json<{ groups: Group[] }>('GET', `/v1/groups?limit=${Number(options.limit)}`);
  if (options.json) print(JSON.stringify(groups, undefined, 2));
  else if (groups.length === 0) hint('No command was sent to a group yet: hub groups send COMMAND --tag name=value');
  else print(groupTable(groups, color));
}

async function cancelGroup({ client, hint }: Session, id = '') {
  const before = await client.json<Group>('GET', at(id));
  if (before.finished && before.stopped === undefined) return hint(`${id} is finished; there is nothing to cancel.`);
  const group = await client.json<Group>('POST', `${at(id)}/cancel`);
  const how = { cancelled: 'was cancelled already', failures: 'had stopped already, for too many failed' };
  const what = before.stopped === undefined ? 'is cancelled' : how[before.stopped];
  const left = group.pending + group.counts.cancelled;
  hint(`${id} ${what}: ${left} of ${group.total} devices get nothing.`);
}

const at = (id: string) => pathOf`/v1/groups/${id}`;

function groupTable(groups: Group[], color: Colors): string {
  const rows = groups.map((group) => {
    const { id, name, createdAt, total, counts } = group;
    return [id, name, time(createdAt), stateOf(group, color), `${counts.succeeded}/${total}`, problemsOf(group)];
  });
  return table(['GROUP', 'COMMAND', 'SENT', 'STATE', 'SUCCEEDED', 'PROBLEMS'], rows, color);
}

function groupSheet(group: Group, color: Colors): string {
  const { id, name, params = {}, total, counts, pending, actor, createdAt, finishedAt, refusals } = group;
  const reached = Object.entries(counts).filter(([, count]) => count > 0);
  return sheet(
    [
      ['group', id],
      ['command', `${name} ${JSON.stringify(params)}`],
      ['by', `${actor}, ${time(createdAt)}`],
      ['state', stateOf(group, color)],
      ...(finishedAt === undefined ? [] : [['took', spanText(finishedAt - createdAt)] as [string, string]]),
      ['devices', total],
      ...reached,
      ...(pending > 0 ? [['pending', pending] as [string, number]] : []),
      ...refusals.map(({ device, code }): [string, string] => ['refused', `${device}: ${code}`]),
    ],
    color,
  );
}

function stateOf({ finished, stopped, counts, total }: Group, color: Colors): string {
  const why = stopped === 'failures' ? 'stopped: too many failed' : stopped;
  if (!finished) return color.yellow(why ? `${why}, not finished` : 'under way');
  if (why) return color.red(why);
  return counts.succeeded === total ? color.green('finished') : color.red('finished, not all succeeded');
}

function problemsOf({ counts, refused }: Group): string {
  const { failed, rejected, expired, unknown, cancelled } = counts;
  const problems = Object.entries({ failed, rejected, expired, unknown, cancelled, refused });
  return problems
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');
}
