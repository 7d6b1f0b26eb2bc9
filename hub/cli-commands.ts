/** The verbs of commands: sending one to a device and waiting for its end, looking at them, taking back. */
import type { Command as Program } from 'commander';
import { durationOf } from './cli-arguments.ts';
import { type AddVerb, EXIT, type Session } from './cli-session.ts';
import { cell, sheet, table, time } from './cli-tables.ts';
import { type Command, type CommandState, hasEnded } from './commands/command.ts';
import { UserError } from './kit/errors.ts';

/** What a command of the catalog says of its parameters. */
export interface ShownType {
  name: string;
  schema: { params?: { properties?: Record<string, { type?: string }> } };
}

/** How the program ends when somebody waited for a command's end. */
const EXIT_OF: Record<CommandState, number> = {
  succeeded: EXIT.ok,
  failed: EXIT.commandFailed,
  rejected: EXIT.commandRejected,
  expired: EXIT.commandExpired,
  cancelled: EXIT.commandExpired,
  unknown: EXIT.commandUnknown,
  queued: EXIT.commandPending,
  sent: EXIT.commandPending,
  accepted: EXIT.commandPending,
};
const EXIT_CODES = `
With --wait the exit code tells the command's end: 0 succeeded · 4 failed · 5 rejected by the device · 6 expired or
  cancelled · 7 unknown (sent, and no answer in time) · 8 not ended yet. Without it, 0 means that it is queued.`;

/** The hub holds an answer back for so long at most; a longer wait is several requests. */
const WAIT_STEP_MS = 30_000;

/** Adds `hub send` and `hub commands …`. */
export function registerCommands(program: Program, verb: AddVerb): void {
  verb(
    program,
    'send <device> <command> [params...]',
    'Sends a device a command.',
    sendCommand,
    [
      'hub send meter-7 set-interval seconds=5 --wait 10s',
      'hub send meter-7 set-config settings.mode=eco settings.limit=20',
      'hub send meter-7 set-config --params \'{"settings":{"mode":"eco"}}\' --ttl 1d',
      'hub send meter-7 reboot --wait 2m --json | jq -r .state',
    ],
    'operator',
  )
    .option('--params <json>', 'parameters as a JSON object; name=value pairs are added')
    .option('--wait <duration>', 'until it has ended, or for so long', durationOf)
    .option('--ttl <duration>', 'how long it may wait for the device: 1m to 30d (1h)', durationOf)
    .option('--timeout <duration>', "how long the device may take (the command's own)", durationOf)
    .option('--json', 'the command as JSON')
    .addHelpText('after', EXIT_CODES);
  const commands = program.command('commands').description('Commands that were sent to devices.');
  verb(commands, 'ls', 'The newest commands.', listCommands, [
    'hub commands ls --device meter-7',
    'hub commands ls --state unknown --json',
  ])
    .option('--device <device>', 'only of this device')
    .option('--state <state>', 'only in this state')
    .option('--group <group>', 'only of this group command')
    .option('--limit <rows>', 'at most so many', '50')
    .option('--json', 'as JSON');
  verb(commands, 'show <id>', 'One command, and what became of it.', showCommand, ['hub commands show ID --wait 30s'])
    .option('--wait <duration>', 'until it has ended, or for so long', durationOf)
    .option('--json', 'as JSON')
    .addHelpText('after', EXIT_CODES);
  verb(
    commands,
    'cancel <id>',
    'Takes back a command that was not sent yet.',
    cancelCommand,
    ['hub commands cancel ID'],
    'operator',
  );
}

async function sendCommand(session: Session, device = '', name = '', ...pairs: string[]) {
  const { client, options, print, hint } = session;
  const { wait, ttl: ttlMs, timeout: timeoutMs } = options;
  const { commands } = await client.json<{ commands: ShownType[] }>('GET', '/v1/schemas');
  const params = typedParamsOf(
    pairs,
    options.params,
    commands.find((type) => type.name === name),
  );
  const body = { name, params, ...(ttlMs !== undefined && { ttlMs }), ...(timeoutMs !== undefined && { timeoutMs }) };
  const path = `/v1/devices/${encodeURIComponent(device)}/commands`;
  const command = await client.json<Command>('POST', path, body);
  if (typeof wait === 'number') {
    hint(`${command.id} is queued.`);
    return showEnd(session, await waited(session, command, wait));
  }
  if (options.json) print(JSON.stringify(command, undefined, 2));
  else {
    print(command.id);
    hint(`It is ${command.state}. Its end: hub commands show ${command.id} --wait 30s`);
  }
}

async function showCommand(session: Session, id = '') {
  const { client, options } = session;
  const command = await client.json<Command>('GET', `/v1/commands/${encodeURIComponent(id)}`);
  const { wait } = options;
  if (typeof wait === 'number') showEnd(session, await waited(session, command, wait));
  else showOne(session, command);
}

async function listCommands({ client, options, color, print, hint }: Session) {
  const asked = ['device', 'state', 'group', 'limit'].flatMap((name) => {
    return options[name] === undefined ? [] : [[name, String(options[name])] as [string, string]];
  });
  const page = await client.json<{ commands: Command[] }>('GET', `/v1/commands?${new URLSearchParams(asked)}`);
  if (options.json) print(JSON.stringify(page.commands, undefined, 2));
  else if (page.commands.length === 0) hint('There are no such commands: hub send DEVICE COMMAND');
  else {
    const rows = page.commands.map((command) => {
      const { id, device, name, params, createdAt } = command;
      return [time(createdAt), id, device, `${name} ${cell(params)}`, shownState(command, color), outcomeOf(command)];
    });
    print(table(['CREATED', 'ID', 'DEVICE', 'COMMAND', 'STATE', 'ANSWER'], rows, color));
  }
}

async function cancelCommand({ client, hint }: Session, id = '') {
  await client.json('POST', `/v1/commands/${encodeURIComponent(id)}/cancel`);
  hint(`${id} is cancelled.`);
}

/** The command when it has ended, or as it is when the time is over. */
async function waited({ client }: Session, command: Command, waitMs: number): Promise<Command> {
  const until = performance.now() + waitMs;
  let now = command;
  while (!hasEnded(now.state)) {
    const leftMs = Math.round(until - performance.now());
    if (leftMs <= 0) break;
    const path = `/v1/commands/${encodeURIComponent(command.id)}?wait=${Math.min(leftMs, WAIT_STEP_MS)}ms`;
    now = await client.json<Command>('GET', path);
  }
  return now;
}

function showEnd(session: Session, command: Command) {
  showOne(session, command);
  process.exitCode = EXIT_OF[command.state];
}

function showOne({ options, color, print }: Session, command: Command) {
  if (options.json) return print(JSON.stringify(command, undefined, 2));
  const { id, device, name, params, actor, attempt, createdAt, expiresAt, deadlineAt, finishedAt, misfit } = command;
  const rows: [string, string | number][] = [
    ['command', id],
    ['device', device],
    ['name', `${name} ${cell(params)}`],
    ['state', shownState(command, color)],
    ['answer', outcomeOf(command) || '–'],
    ['by', actor],
    ['created', time(createdAt)],
    [
      'sent',
      attempt === 0 ? `not yet; until ${time(expiresAt)}` : `${attempt} ×, deadline ${time(Number(deadlineAt))}`,
    ],
  ];
  if (finishedAt !== undefined) rows.push(['ended', time(finishedAt)]);
  if (misfit !== undefined) rows.push(['misfit', color.yellow(cell(misfit))]);
  print(sheet(rows, color));
}

function shownState({ state, progress }: Command, color: Session['color']): string {
  if (state === 'succeeded') return color.green(state);
  if (state === 'failed' || state === 'rejected') return color.red(state);
  if (state === 'unknown' || state === 'expired') return color.yellow(state);
  return state === 'accepted' && progress !== undefined ? `${state} ${Math.round(progress * 100)} %` : state;
}

function outcomeOf({ value, error }: Command): string {
  return error ? `${cell(error.code)}: ${cell(error.message)}` : cell(value);
}

/** The parameters of `--params` and of `name=value` pairs, read as the command's schema says. Throws `UserError` (usage). */
export function typedParamsOf(
  pairs: readonly string[],
  json: unknown,
  type: ShownType | undefined,
): Record<string, unknown> {
  const params = json === undefined ? {} : objectOf(String(json));
  const properties = type?.schema.params?.properties ?? {};
  for (const pair of pairs) {
    const [, key, text] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (key === undefined || text === undefined) throw new UserError(`"${pair}" is not name=value.`, EXIT.usage);
    const [head = '', inner] = splitOnce(key);
    // A name with a dot is a part of an object, unless the schema has a parameter of just this name.
    if (inner === undefined || Object.hasOwn(properties, key))
      params[key] = typedValueOf(text, properties[key]?.type, key);
    else params[head] = { ...(params[head] as object | undefined), [inner]: typedValueOf(text, undefined, key) };
  }
  return params;
}

function splitOnce(key: string): string[] {
  const dot = key.indexOf('.');
  return dot < 1 ? [key] : [key.slice(0, dot), key.slice(dot + 1)];
}

/** Text stays text where the schema says string; a value the schema does not name is JSON if it can be. */
function typedValueOf(text: string, type: string | undefined, key: string): unknown {
  if (type === 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    if (type === undefined) return text;
    throw new UserError(`${key} is "${text}", but shall be of type ${type}.`, EXIT.usage);
  }
}

function objectOf(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, in the same words.
  }
  throw new UserError('--params is a JSON object.', EXIT.usage);
}
