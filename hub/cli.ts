/** The verbs of the command line that speak to a running hub; a client of the operator API and nothing else. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import { registerAlerts } from './cli/alerts.ts';
import { registerAudit } from './cli/audit.ts';
import { registerBridge } from './cli/bridge.ts';
import { connect } from './cli/client.http.ts';
import { registerCommands } from './cli/commands.ts';
import { registerDashboard } from './cli/dashboard.ts';
import { registerDevices } from './cli/devices.ts';
import { registerGaps } from './cli/gaps.ts';
import { registerGroups } from './cli/groups.ts';
import { registerJournal } from './cli/journal.file.ts';
import { RequestMistake } from './cli/mistakes.ts';
import { registerOperators } from './cli/operators.ts';
import { registerQuarantine } from './cli/quarantine.ts';
import { askOn } from './cli/question.terminal.ts';
import { registerReadings } from './cli/readings.ts';
import { registerSchedules } from './cli/schedules.ts';
import { EXIT, EXIT_CODES, type Verb, WAITING_EXIT_CODES } from './cli/session.ts';
import { registerStatus } from './cli/status.ts';
import { registerStore } from './cli/store.ts';
import { registerCompletion } from './completion/completion.file.ts';
import type { Role } from './operators/operators.ts';

const FINDING = 'The hub is found by its data folder (--data or HUB_DATA), or by HUB_URL and HUB_TOKEN.';

/** Adds the client's verbs to the program, whose wrong usage ends with 2 from here on. Verbs throw `UserError`. */
export function registerCli(program: Command): void {
  program.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  // A reader such as `head` that has enough is nobody's mistake; only a hub that runs is told of it.
  const ignore = () => {};
  const tolerate = () => void process.stdout.off('error', ignore).on('error', ignore);
  program.addHelpText('beforeAll', () => tolerate() ?? '');
  program.hook('preAction', (_, action) => (action.name() === 'start' ? undefined : tolerate()));
  const readings = [registerDevices, registerReadings, registerQuarantine, registerGaps, registerAlerts];
  const orders = [registerCommands, registerGroups, registerSchedules];
  const care = [registerStatus, registerDashboard, registerStore, registerOperators, registerAudit, registerBridge];
  for (const register of [...readings, ...orders, ...care]) register(program, verb);
  registerJournal(program);
  registerCompletion(program, verb);
  registerHelp(program);
}

/** Commander's own help knows one word; here `hub help devices add` is `hub devices add --help`. */
function registerHelp(program: Command) {
  program
    .helpCommand(false)
    .command('help [verb...]')
    .description('Shows the help of a verb.')
    .addHelpText('after', '\nExamples:\n  hub help devices add\n  hub help send')
    .action((words: string[]) => {
      let command = program;
      for (const word of words) {
        const below = command.commands.find((each) => each.name() === word);
        command = below ?? command.error(`error: unknown command '${word}'`);
      }
      command.outputHelp();
    });
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
  command.addHelpText('after', () => {
    const waits = command.options.some(({ long }) => long === '--wait');
    const exitCodes = waits ? WAITING_EXIT_CODES : EXIT_CODES;
    return `\nNeeds a token of the role ${role}.\n\nExamples:\n${lines}\n${exitCodes}\n${FINDING}`;
  });
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
    const session = {
      client: await reconnect(),
      reconnect,
      options,
      tags: tag,
      stopped: stop.signal,
      ...outputs(stop.signal),
    };
    const ask = askOn(process.stdin, process.stderr, stop.signal);
    await run({ ...session, ...(ask && { ask }) }, ...command.args);
  } catch (error) {
    if (!stop.signal.aborted) throw error instanceof RequestMistake ? error.asTyped(command) : error;
    // Verbs that last end in peace; of the others, Ctrl-C left something undone.
    process.exitCode = EXIT.interrupted;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

function outputs(stopped: AbortSignal) {
  const { stdout, stderr } = process;
  const print = (text: string) => void stdout.write(`${text}\n`);
  const color = pc.createColors(stdout.isTTY === true && pc.isColorSupported);
  const reprint = stdout.isTTY ? createLogUpdate(stdout) : print;
  const pour = (texts: AsyncIterable<string>) => pourInto(stdout, texts, stopped);
  return { print, pour, hint: (text: string) => void stderr.write(`${text}\n`), reprint, color };
}

async function pourInto(output: NodeJS.WriteStream, texts: AsyncIterable<string>, stopped: AbortSignal) {
  let isRead = true;
  output.once('error', () => {
    isRead = false;
  });
  try {
    for await (const text of texts) if (!output.write(text)) await once(output, 'drain', { signal: stopped });
  } catch (error) {
    if (isRead) throw error;
  }
}
