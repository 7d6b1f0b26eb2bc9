/** The verbs of the command line that speak to a running hub; a client of the operator API and nothing else. */
import { type Command, Option } from 'commander';
import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import { connect } from './cli.http.ts';
import { durationOf, pairOf } from './cli-arguments.ts';
import { registerAudit } from './cli-audit.ts';
import { registerBridge } from './cli-bridge.ts';
import { registerCommands } from './cli-commands.ts';
import { registerGroups } from './cli-groups.ts';
import { registerOperators, registerRotation } from './cli-operators.ts';
import { registerSchedules } from './cli-schedules.ts';
import { EXIT, type Verb } from './cli-session.ts';
import * as verbs from './cli-verbs.ts';
import { registerCompletion } from './completion/completion.file.ts';
import { PRESENCE_STATES } from './devices/presence.ts';
import type { Role } from './operators/operators.ts';

const EXIT_CODES = `
Exit codes: 0 done · 1 the hub refused, or it failed · 2 wrong usage · 3 no hub could be reached ·
  130 interrupted.
The hub is found by its data folder (--data or HUB_DATA), or by HUB_URL and HUB_TOKEN.`;

/** Adds the client's verbs to the program, whose wrong usage ends with 2 from here on. Verbs throw `UserError`. */
export function registerCli(program: Command): void {
  program.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  registerGroups(program, verb);
  registerSchedules(program, verb);
  registerDevices(program.command('devices').description('Who may connect.'));
  registerCommands(program, verb);
  registerOperators(program, verb);
  const query = verb(program, 'query <device> <stream>', 'Readings of a device from the store.', verbs.runQuery, [
    'hub query meter-7 power --from -15m',
    'hub query meter-7 power --from -1d --every 1h --fn max --fields power,energy',
    'hub query meter-7 power --from 2026-07-01 --to 2026-07-02 --csv > july-1.csv',
  ]);
  query.option('--from <time>', 'first moment: RFC 3339, a date, Unix ms, or -1h', '-1h');
  query.option('--to <time>', 'end, not included', 'now');
  query.option('--fields <names>', 'with commas between; all without it');
  query.option('--every <duration>', 'aggregate over windows, such as 5m');
  query.option('--fn <name>', 'mean, min, max, last or count');
  query.option('--order <order>', 'desc (newest first) or asc', 'desc');
  query.option('--limit <rows>', 'at most so many rows', '100').option('--json', 'as JSON').option('--csv', 'as CSV');
  verb(program, 'tail [device]', 'Readings as they become durable; Ctrl-C ends it.', verbs.runTail, [
    'hub tail',
    'hub tail meter-7 --stream power --json | jq .power',
  ])
    .option('--stream <name>', 'only this stream')
    .option('--json', 'one JSON object a line');
  verb(program, 'status', 'What the hub says of itself.', verbs.runStatus, ['hub status', 'hub status --watch'])
    .option('--json', 'as JSON')
    .option('--watch', 'again each second; Ctrl-C ends it');
  const quarantine = program.command('quarantine').description('Readings that were refused.');
  verb(quarantine, 'ls', 'The newest refused readings, with reasons.', verbs.listQuarantine, [
    'hub quarantine ls --device a',
  ])
    .option('--device <device>', 'only of this device')
    .option('--limit <rows>', 'at most so many', '100')
    .option('--json', 'as JSON');
  registerAudit(program, verb);
  registerBridge(program, verb);
  registerCompletion(program, verb);
}

function registerDevices(devices: Command) {
  verb(
    devices,
    'add <id>',
    'Adds a device and prints its token, once.',
    verbs.addDevice,
    [
      'hub devices add meter-7 --tag building=north --description "Main meter"',
      'hub devices add meter-7 --json | jq -r .token',
    ],
    'operator',
  )
    .option('--tag <name=value>', 'may be repeated', pairOf, {})
    .option('--description <text>', 'for people')
    .option('--expected-interval <duration>', 'silent without a reading for so long; learnt without it', durationOf)
    .option('--expires <duration>', 'the token dies after so long; never without it', durationOf)
    .option('--json', 'exactly {"id","token"}');
  registerRotation(devices, verb);
  verb(devices, 'ls', 'All devices, or those that are asked for.', verbs.listDevices, [
    'hub devices ls',
    'hub devices ls --presence silent --tag building=north',
    'hub devices ls --json | jq -r .[].id',
  ])
    .addOption(new Option('--presence <state>', 'only those in this state').choices(PRESENCE_STATES))
    .option('--tag <name=value>', 'only those with this tag; may be repeated', pairOf, {})
    .option('--json', 'as JSON');
  verb(devices, 'sessions <device>', 'Its last connections, and how each ended.', verbs.listSessions, [
    'hub devices sessions meter-7',
  ]).option('--json', 'as JSON');
  verb(devices, 'show <device>', 'One device and its last readings.', verbs.showDevice, [
    'hub devices show meter-7',
  ]).option('--json', 'as JSON');
  verb(
    devices,
    'set <device>',
    'Changes what is known of a device; tags replace all tags.',
    verbs.setDevice,
    [
      'hub devices set meter-7 --description "Main meter" --tag building=north --tag floor=1',
      'hub devices set meter-7 --expected-interval 5m',
      'hub devices set meter-7 --expected-interval learn',
    ],
    'operator',
  )
    .option('--tag <name=value>', 'may be repeated', pairOf)
    .option('--description <text>', 'for people')
    .option('--expected-interval <duration>', 'silent without a reading for so long, or learn', (text) =>
      text === 'learn' ? text : durationOf(text),
    )
    .option('--json', 'as JSON');
  verb(
    devices,
    'rm <device>',
    'Removes a device; its readings stay in the store.',
    verbs.removeDevice,
    ['hub devices rm meter-7'],
    'operator',
  );
  verb(
    devices,
    'enable <device>',
    'Lets a device connect again.',
    verbs.enable(true),
    ['hub devices enable meter-7'],
    'operator',
  );
  verb(
    devices,
    'disable <device>',
    'Closes its connection and keeps it out.',
    verbs.enable(false),
    ['hub devices disable meter-7'],
    'operator',
  );
  verb(
    devices,
    'revoke <device>',
    'Takes its tokens away and closes its connection.',
    verbs.revoke,
    ['hub devices revoke meter-7'],
    'operator',
  );
}

/** A command with what all verbs share: where the hub is, the role it needs, examples, exit codes. */
function verb(
  parent: Command,
  usage: string,
  description: string,
  run: Verb,
  examples: string[],
  role: Role = 'viewer',
): Command {
  const command = parent.command(usage).description(description);
  command.option('--data <dir>', "the hub's data folder (HUB_DATA)");
  const lines = examples.map((line) => `  ${line}`).join('\n');
  command.addHelpText('after', `\nNeeds a token of the role ${role}.\n\nExamples:\n${lines}\n${EXIT_CODES}`);
  return command.action(() => runVerb(command, run));
}

async function runVerb(command: Command, run: Verb) {
  const { tag = {}, ...options } = command.optsWithGlobals();
  const dataDir = String(options.data ?? process.env.HUB_DATA ?? './data');
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  // A reader such as `head` that has enough ends the verb quietly; the error may come after its last line.
  process.stdout.on('error', interrupt);
  try {
    const reconnect = () => connect(dataDir, process.env, stop.signal);
    const session = { client: await reconnect(), reconnect, options, tags: tag, stopped: stop.signal, ...outputs() };
    await run(session, ...command.args);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    // Verbs that last end in peace; of the others, Ctrl-C left something undone.
    process.exitCode = EXIT.interrupted;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

function outputs() {
  const { stdout, stderr } = process;
  const print = (text: string) => void stdout.write(`${text}\n`);
  const color = pc.createColors(stdout.isTTY === true && pc.isColorSupported);
  const reprint = stdout.isTTY ? createLogUpdate(stdout) : print;
  return { print, hint: (text: string) => void stderr.write(`${text}\n`), reprint, color };
}
