/** The verb of the MQTT bridge: how each broker and each rule is. */
import type { Command } from 'commander';
import type { BridgeStatus, BrokerStatus } from '../bridge/status.ts';
import { spanText } from '../kit/span.ts';
import type { AddVerb, Session } from './session.ts';
import { type Colors, cell, table, time } from './tables.ts';

export function registerBridge(program: Command, verb: AddVerb): void {
  const bridge = program.command('bridge').description('MQTT brokers and what goes over them.');
  verb(bridge, 'status', 'The brokers, each with its lag, and the rules.', showBridge, [
    'hub bridge status',
    'hub bridge status --json | jq \'.brokers[] | select(.state != "connected")\'',
  ]).option('--json', 'as JSON');
}

async function showBridge({ client, options, color, print, hint }: Session) {
  const status = await client.json<BridgeStatus>('GET', '/v1/bridge');
  if (options.json) print(JSON.stringify(status, undefined, 2));
  else if (status.brokers.length === 0) hint('There is no MQTT broker: hub config docs tells of mqtt.brokers.');
  else print(bridgeSheet(status, Date.now(), color));
}

/** Brokers and rules as tables; below them why brokers are not connected. */
export function bridgeSheet(
  { hub, brokers, rules, commands, embedded }: BridgeStatus,
  now: number,
  color: Colors,
): string {
  const parts = [`${color.bold('hub')}  ${hub}`, brokerTable(brokers, now, color)];
  for (const { name, state, lastError } of brokers) {
    if (state !== 'connected' && lastError !== undefined) parts.push(`${color.red(name)}: ${cell(lastError)}`);
  }
  for (const broker of brokers) parts.push(...countsOf(broker, color));
  if (rules.length > 0) parts.push(ruleTable(rules, color));
  parts.push(commandTable(commands, color));
  if (embedded) parts.push(embeddedLine(embedded, color));
  return parts.join('\n\n');
}

function brokerTable(brokers: readonly BrokerStatus[], now: number, color: Colors): string {
  const rows = brokers.map((broker) => [
    broker.name,
    stateOfBroker(broker.state, color),
    `${time(broker.since)} (${spanText(Math.max(0, now - broker.since))})`,
    broker.version === 5 ? '5' : '3.1.1',
    `${broker.inFlight} of ${broker.window}`,
    broker.lagFrames === 0 ? 'none' : `${broker.lagFrames} frames, ${spanText(broker.lagMs)}`,
    broker.published,
    broker.received,
    broker.refused,
  ]);
  const head = ['BROKER', 'STATE', 'SINCE', 'MQTT', 'WINDOW', 'LAG', 'PUBLISHED', 'RECEIVED', 'REFUSED'];
  return table(head, rows, color);
}

/** What only some brokers count. */
function countsOf({ name, announced, refusedCommands = 0 }: BrokerStatus, color: Colors): string[] {
  const told =
    announced === undefined ? [] : [`${color.bold(name)}  told Home Assistant of devices ${announced} times`];
  return refusedCommands > 0
    ? [...told, `${color.bold(name)}  refused ${refusedCommands} commands of Sparkplug`]
    : told;
}

function embeddedLine(embedded: NonNullable<BridgeStatus['embedded']>, color: Colors): string {
  const { clients, retained, refusedSignIns, refusedPublishes } = embedded;
  const refused = `refused: ${refusedSignIns} sign-ins, ${refusedPublishes} messages`;
  return `${color.bold('own broker')}  ${clients} clients, ${retained} retained messages; ${refused}`;
}

function ruleTable(rules: BridgeStatus['rules'], color: Colors): string {
  const rows = rules.map((rule) => [
    cell(rule.name),
    rule.broker,
    rule.stream,
    rule.messages,
    rule.readings,
    rule.refused,
    rule.skipped,
    rule.looped,
    cell(rule.lastRefusal),
  ]);
  const head = ['RULE', 'BROKER', 'STREAM', 'MESSAGES', 'READINGS', 'REFUSED', 'SKIPPED', 'LOOPED', 'LAST REFUSAL'];
  return table(head, rows, color);
}

function commandTable(commands: BridgeStatus['commands'], color: Colors): string {
  const rows = commands.map((each) => [
    each.broker,
    each.received,
    each.sent,
    each.repeated,
    each.refused,
    each.told,
    each.waiting,
    cell(each.lastRefusal),
  ]);
  const head = ['COMMANDS', 'RECEIVED', 'SENT', 'REPEATED', 'REFUSED', 'RESULTS', 'WAITING', 'LAST REFUSAL'];
  return table(head, rows, color);
}

/** `refused` needs somebody; what is `connecting` mends itself. */
export function stateOfBroker(state: BrokerStatus['state'], color: Colors): string {
  if (state === 'connected') return color.green(state);
  return state === 'refused' ? color.red(state) : color.yellow(state);
}
