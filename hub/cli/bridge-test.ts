/** `hub bridge test`: what the rules of a configuration make of a message; asks no hub and no broker. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { Catalog } from '../../schemas/index.ts';
import { brokerNames } from '../bridge/brokers.ts';
import { faultOfTopic } from '../bridge/link/topic-name.ts';
import { type Trial, tryRules } from '../bridge/rules/rule-trial.ts';
import type { Config } from '../config.ts';
import { openRules } from '../hub-inbound.ts';
import { UserError } from '../kit/errors.ts';
import { EXIT } from './session.ts';
import { type Colors, sheet } from './tables.ts';

export interface BridgeTestFlags {
  topic: string;
  payload: string;
  broker?: string;
  retain?: boolean;
  json?: boolean;
}

const DAY_MS = 86_400_000;

/** Adds the verb's options and help; what it does comes from the caller, who can read the configuration. */
export function describeBridgeTest(bridge: Command): Command {
  return bridge
    .command('test')
    .description('what the rules make of a message, without a broker and without a hub')
    .requiredOption('--topic <topic>', 'of the message')
    .requiredOption('--payload <text>', 'of the message; - reads it from the standard input')
    .option('--broker <name>', 'as if it came from this broker; the rules of all brokers without it')
    .option('--retain', 'as if it were retained')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `\nExamples:\n  hub bridge test --config config/tasmota.yaml --topic tele/washer/SENSOR --payload '{"ENERGY":{"Power":95}}'\n` +
        '  mosquitto_sub -C 1 -t zigbee2mqtt/kitchen | hub bridge test --topic zigbee2mqtt/kitchen --payload -\n' +
        '\nExit codes: 0 it becomes a reading · 1 it does not · 2 wrong usage · 78 a mistake in the configuration',
    );
}

/** Prints what became of it; the exit code says whether that is a reading. Throws `UserError`. */
export function runBridgeTest(config: Config, catalog: Catalog, flags: BridgeTestFlags, payload: Buffer): void {
  const { topic, broker, retain = false } = flags;
  const fault = faultOfTopic(topic);
  if (fault) throw new UserError(`--topic ${fault}: nothing can be published to it.`, EXIT.usage);
  const rules = openRules({ config }, { catalog }, brokerNames(config.mqtt));
  if (broker !== undefined && !brokerNames(config.mqtt).includes(broker))
    throw new UserError(
      `There is no broker "${broker}": ${brokerNames(config.mqtt).join(', ') || 'none is configured'}.`,
      EXIT.usage,
    );
  const { clockAheadMs } = config.limits;
  const trials = tryRules(
    rules,
    { topic, payload, retain, ...(broker !== undefined && { broker }) },
    { streams: catalog.streams, clockAheadMs, retentionMs: config.store.retentionDays * DAY_MS, now: Date.now() },
  );
  const { stdout } = process;
  const color = pc.createColors(stdout.isTTY === true && pc.isColorSupported);
  if (flags.json) stdout.write(`${JSON.stringify(trials, undefined, 2)}\n`);
  else if (trials.length > 0) stdout.write(shown(trials, color));
  else process.stderr.write(`${noRule(topic, config)}\n`);
  const isReading = trials.some(({ reading }) => reading) && !trials.some(({ refused }) => refused);
  process.exitCode = isReading ? EXIT.ok : EXIT.failed;
}

/** What became something first; rules that leave the message alone are many, and one line, unless there is nothing else. */
function shown(trials: readonly Trial[], color: Colors): string {
  const [idle, concerned] = [trials.filter(({ skipped }) => skipped), trials.filter(({ skipped }) => !skipped)];
  if (concerned.length === 0 && idle.length === 1) return `${sheetOf(idle[0]!, color)}\n`;
  const sheets = concerned.map((trial) => sheetOf(trial, color));
  return `${[...sheets, ...(idle.length > 0 ? [color.yellow(countOf(idle))] : [])].join('\n\n')}\n`;
}

function countOf(idle: readonly Trial[]): string {
  const why = [...new Set(idle.map(({ skipped }) => skipped))].join('; ');
  return `${idle.length === 1 ? '1 rule leaves' : `${idle.length} rules leave`} it alone: ${why}.`;
}

function sheetOf({ rule, device, stream, reading, refused, skipped }: Trial, color: Colors): string {
  const rows: [string, string][] = [['rule', rule]];
  if (device !== undefined) rows.push(['device', device]);
  rows.push(['stream', stream]);
  if (reading) rows.push(['reading', color.green(JSON.stringify(reading))]);
  if (refused)
    rows.push(['refused', color.red(`${refused.path.slice(1)} ${refused.message} (${refused.code})`.trim())]);
  if (skipped) rows.push(['skipped', color.yellow(skipped)]);
  return sheet(rows, color);
}

function noRule(topic: string, { mqtt: { rules } }: Config): string {
  if (rules.length === 0) return 'The configuration has no rules (mqtt.rules).';
  return `No rule is for the topic ${topic}. Their topics: ${[...new Set(rules.map((rule) => rule.topic))].join(', ')}`;
}
