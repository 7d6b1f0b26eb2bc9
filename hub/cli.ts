/** The verbs of the command line that speak to a running hub; a client of the operator API and nothing else. */
import { type Command, InvalidArgumentError } from 'commander';
import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import { connect } from './cli.http.ts';
import { EXIT, type Verb } from './cli-session.ts';
import * as verbs from './cli-verbs.ts';

const EXIT_CODES = `
Exit codes: 0 done · 1 the hub refused, or it failed · 2 wrong usage · 3 no hub could be reached ·
  130 interrupted.
The hub is found by its data folder (--data or HUB_DATA), or by HUB_URL and HUB_TOKEN.`;

/** Adds the client's verbs to the program, whose wrong usage ends with 2 from here on. Verbs throw `UserError`. */
export function registerCli(program: Command): void {
  program.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  registerDevices(program.command('devices').description('Who may connect.'));
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
    .option('--device <id>', 'only of this device')
    .option('--limit <rows>', 'at most so many', '100')
    .option('--json', 'as JSON');
}

function registerDevices(devices: Command) {
  verb(devices, 'add <id>', 'Adds a device and prints its token, once.', verbs.addDevice, [
    'hub devices add meter-7 --tag building=north --description "Main meter"',
    'hub devices add meter-7 --json | jq -r .token',
  ])
    .option('--tag <name=value>', 'may be repeated', tagOf, {})
    .option('--description <text>', 'for people')
    .option('--json', 'exactly {"id","token"}');
  verb(devices, 'ls', 'All devices.', verbs.listDevices, ['hub devices ls', 'hub devices ls --json']).option(
    '--json',
    'as JSON',
  );
  verb(devices, 'show <id>', 'One device and its last readings.', verbs.showDevice, [
    'hub devices show meter-7',
  ]).option('--json', 'as JSON');
  verb(devices, 'rm <id>', 'Removes a device; its readings stay in the store.', verbs.removeDevice, [
    'hub devices rm meter-7',
  ]);
  verb(devices, 'enable <id>', 'Lets a device connect again.', verbs.enable(true), ['hub devices enable meter-7']);
  verb(devices, 'disable <id>', 'Closes its connection and keeps it out.', verbs.enable(false), [
    'hub devices disable meter-7',
  ]);
  verb(devices, 'revoke <id>', 'Takes its tokens away and closes its connection.', verbs.revoke, [
    'hub devices revoke meter-7',
  ]);
}

/** A command with what all verbs share: where the hub is, examples, exit codes. */
function verb(parent: Command, usage: string, description: string, run: Verb, examples: string[]): Command {
  const command = parent.command(usage).description(description);
  command.option('--data <dir>', "the hub's data folder (HUB_DATA)");
  command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}\n${EXIT_CODES}`);
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

function tagOf(text: string, tags: Record<string, string>): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Write it as name=value.');
  return { ...tags, [name]: value };
}
