/** The verbs of commands: sending one to a device and waiting for its end, looking at them, taking back. */
import { Option, type Command as Program } from 'commander';
import { COMMAND_STATES, type Command, type CommandState, hasEnded } from '../commands/command.ts';
import { durationOf } from './arguments.ts';
import { confirmed, typedParamsOf, typeOf, yesOption } from './orders.ts';
import { type AddVerb, EXIT, pathOf, type Session } from './session.ts';
import { cell, sheet, shownState, table, time } from './tables.ts';
import { waitingFor } from './waiting.ts';

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

/** The hub holds an answer back for so long at most; a longer wait is several requests. */
const WAIT_STEP_MS = 30_000;
/** When somebody who waits is told why nothing happens. */
const EARLY_MS = 2_000;

/** Adds `hub send` and `hub commands …`. */
export function registerCommands(program: Program, verb: AddVerb): void {
  registerSending(program, verb);
  registerLooking(program.command('commands').description('Commands that were sent to devices.'), verb);
}

function registerSending(program: Program, verb: AddVerb) {
  verb(
    program,
    'send <device> <command> [params...]',
    'Sends a device a command.',
    sendCommand,
    [
      'hub send meter-7 set-interval seconds=5 --wait 10s',
      'hub send meter-7 set-config settings.mode=eco settings.limit=20',
      'hub send meter-7 set-config --params \'{"settings":{"mode":"eco"}}\' --ttl 1d',
      'hub send meter-7 reboot --yes --wait 2m --json | jq -r .state',
    ],
    'operator',
  )
    .option('--params <json>', 'parameters as a JSON object; name=value pairs are added')
    .option('--wait <duration>', 'until it has ended, or for so long', durationOf)
    .option('--ttl <duration>', 'how long it may wait for the device: 1s to 30d (1h)', durationOf)
    .option('--timeout <duration>', "how long the device may take (the command's own)", durationOf)
    .addOption(yesOption())
    .option('--json', 'the command as JSON');
}

function registerLooking(commands: Program, verb: AddVerb) {
  verb(commands, 'ls', 'The newest commands.', listCommands, [
    'hub commands ls --device meter-7',
    'hub commands ls --state unknown --json',
  ])
    .option('--device <device>', 'only of this device')
    .addOption(new Option('--state <state>', 'only in this state').choices(COMMAND_STATES))
    .option('--group <group>', 'only of this group command')
    .option('--limit <rows>', 'at most so many', '50')
    .option('--json', 'as JSON');
  verb(commands, 'show <id>', 'One command, and what became of it.', showCommand, ['hub commands show ID --wait 30s'])
    .option('--wait <duration>', 'until it has ended, or for so long', durationOf)
    .option('--json', 'as JSON');
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
  const type = await typeOf(session, name);
  const params = typedParamsOf(pairs, options.params, type);
  await confirmed(session, type, device);
  const body = { name, params, ...(ttlMs !== undefined && { ttlMs }), ...(timeoutMs !== undefined && { timeoutMs }) };
  const path = pathOf`/v1/devices/${device}/commands`;
  const command = await client.json<Command>('POST', path, body);
  if (typeof wait === 'number') {
    hint(`${command.id} is queued.`);
    return showEnd(session, await patientlyWaited(session, command, wait));
  }
  if (options.json) print(JSON.stringify(command, undefined, 2));
  else {
    print(command.id);
    hint(`It is ${command.state}. ${await waitingFor(client, command)}`);
    hint(`Its end: hub commands show ${command.id} --wait 30s`);
  }
}

async function showCommand(session: Session, id = '') {
  const { client, options } = session;
  const command = await client.json<Command>('GET', pathOf`/v1/commands/${id}`);
  const { wait } = options;
  if (typeof wait === 'number') await showEnd(session, await waited(session, command, wait));
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
      const { id, device, name, params, createdAt, misfit } = command;
      const answer = misfit === undefined ? outcomeOf(command) : `${outcomeOf(command)} ${color.yellow('(misfit)')}`;
      return [time(createdAt), id, device, `${name} ${cell(params)}`, shownState(command, color), answer];
    });
    print(table(['CREATED', 'ID', 'DEVICE', 'COMMAND', 'STATE', 'ANSWER'], rows, color));
  }
}

async function cancelCommand({ client, hint }: Session, id = '') {
  await client.json('POST', pathOf`/v1/commands/${id}/cancel`);
  hint(`${id} is cancelled.`);
}

/** As `waited`; who waits long is told early that the device is away. */
async function patientlyWaited(session: Session, command: Command, waitMs: number): Promise<Command> {
  if (waitMs <= EARLY_MS) return waited(session, command, waitMs);
  const early = await waited(session, command, EARLY_MS);
  if (early.state === 'queued') session.hint(await waitingFor(session.client, early));
  return waited(session, early, waitMs - EARLY_MS);
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

async function showEnd(session: Session, command: Command) {
  showOne(session, command);
  process.exitCode = EXIT_OF[command.state];
  if (!hasEnded(command.state)) session.hint(`It has not ended: ${await waitingFor(session.client, command)}`);
}

function showOne({ options, color, print }: Session, command: Command) {
  if (options.json) return print(JSON.stringify(command, undefined, 2));
  const { id, device, name, params, actor, createdAt, finishedAt, misfit } = command;
  const rows: [string, string | number][] = [
    ['command', id],
    ['device', device],
    ['name', `${name} ${cell(params)}`],
    ['state', shownState(command, color)],
    ['answer', outcomeOf(command) || '–'],
    ['by', actor],
    ['created', time(createdAt)],
    ['sent', sentText(command)],
  ];
  if (finishedAt !== undefined) rows.push(['ended', time(finishedAt)]);
  if (misfit !== undefined) rows.push(['misfit', color.yellow(cell(misfit))]);
  print(sheet(rows, color));
}

function sentText({ state, attempt, expiresAt, deadlineAt }: Command): string {
  if (attempt > 0) return `${attempt} ×, deadline ${time(Number(deadlineAt))}`;
  return state === 'queued' ? `not yet; until ${time(expiresAt)}` : 'never';
}

function outcomeOf({ value, error }: Command): string {
  return error ? `${cell(error.code)}: ${cell(error.message)}` : cell(value);
}
