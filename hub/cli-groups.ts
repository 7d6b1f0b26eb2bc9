/** The verbs of group commands: sending one command to many devices, watching it, stopping it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { durationOf, listOf, numberOf, pairOf } from './cli-arguments.ts';
import { type ShownType, typedParamsOf } from './cli-commands.ts';
import { type AddVerb, type Client, EXIT, type Session } from './cli-session.ts';
import { type Colors, duration, sheet, table, time } from './cli-tables.ts';
import type { Group, Selector } from './commands/group.ts';
import { UserError } from './kit/errors.ts';

const LOOK_MS = 200;

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
        'hub groups send reboot delaySeconds=5 --tag floor=1 --parallel 10 --stop-when-failed 20 --wait 10m',
        'hub groups send set-interval seconds=60 --all --json',
      ],
      'operator',
    ),
  )
    .option('--wait <duration>', 'until it is finished, for so long; ends with 1 if a device failed', durationOf)
    .option('--json', 'as JSON');
  verb(groups, 'ls', 'The newest groups.', listGroups, ['hub groups ls'])
    .option('--limit <rows>', 'at most so many', '20')
    .option('--json', 'as JSON');
  verb(groups, 'show <group>', 'How far a group is.', showGroup, ['hub groups show g-3f2c']).option(
    '--json',
    'as JSON',
  );
  verb(
    groups,
    'cancel <group>',
    'Sends no more, and takes back what no device has yet.',
    cancelGroup,
    ['hub groups cancel g-3f2c'],
    'operator',
  );
}

/** The options of a command to many devices. */
export function withOrder(command: Command): Command {
  return command
    .option('--tag <name=value>', 'devices with this tag; may be repeated', pairOf, {})
    .option('--device <device>', 'only this device; may be repeated', listOf)
    .option('--all', 'every device')
    .option('--params <json>', 'parameters as a JSON object; name=value pairs are added')
    .option('--parallel <n>', 'so many devices at a time', numberOf)
    .option('--stop-when-failed <percent>', 'send no more once more than this share failed', numberOf)
    .option('--ttl <duration>', 'how long each may wait for its device, 1m to 30d', durationOf)
    .option('--timeout <duration>', 'how long a device may take', durationOf);
}

/** The parameters as the command's schema says. */
export async function paramsOf({ client, options }: Session, name: string, pairs: string[]) {
  const { commands } = await client.json<{ commands: ShownType[] }>('GET', '/v1/schemas');
  const type = commands.find((known) => known.name === name);
  return typedParamsOf(pairs, options.params, type);
}

/** What the options say, as the API wants it. */
export function orderOf({ options }: Session): Record<string, unknown> {
  const { parallel, stopWhenFailed, ttl, timeout } = options;
  const order = { parallel, stopWhenFailedPercent: stopWhenFailed, ttlMs: ttl, timeoutMs: timeout };
  return Object.fromEntries(Object.entries(order).filter(([, value]) => value !== undefined));
}

/** The devices that the options mean; undefined when they mean none. */
export function selectorOf({ options, tags }: Session): Selector | undefined {
  const devices = Array.isArray(options.device) ? options.device : undefined;
  if (options.all) return { tags: {} };
  if (Object.keys(tags).length > 0) return { tags, ...(devices && { devices }) };
  return devices && { devices };
}

async function sendGroup(session: Session, name = '', ...params: string[]) {
  const { client, options, color, print, hint } = session;
  const selector = selectorOf(session);
  if (!selector) throw new UserError('Say which devices: --tag name=value, --device ID or --all.', EXIT.usage);
  const body = { selector, name, params: await paramsOf(session, name, params), ...orderOf(session) };
  const { group: id } = await client.json<{ group: string }>('POST', '/v1/commands', body);
  const group = await untilFinished(client, id, Number(options.wait ?? 0));
  print(options.json ? JSON.stringify(group, undefined, 2) : groupSheet(group, color));
  if (options.wait === undefined) {
    hint(`See how it goes: hub groups show ${id}`);
    return;
  }
  if (!group.finished) throw new UserError('It is not finished yet.', EXIT.failed);
  if (group.counts.succeeded < group.total) throw new UserError('Not every device succeeded.', EXIT.failed);
}

async function untilFinished(client: Client, id: string, withinMs: number): Promise<Group> {
  const until = performance.now() + withinMs;
  for (;;) {
    const group = await client.json<Group>('GET', pathOf(id));
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

async function showGroup({ client, options, color, print }: Session, id = '') {
  const group = await client.json<Group>('GET', pathOf(id));
  print(options.json ? JSON.stringify(group, undefined, 2) : groupSheet(group, color));
}

async function cancelGroup({ client, hint }: Session, id = '') {
  const group = await client.json<Group>('POST', `${pathOf(id)}/cancel`);
  hint(`${id}: ${group.pending + group.counts.cancelled} of ${group.total} devices get nothing.`);
}

const pathOf = (id: string) => `/v1/groups/${encodeURIComponent(id)}`;

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
      ...(finishedAt === undefined ? [] : [['took', duration(finishedAt - createdAt)] as [string, string]]),
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
