/** The verbs of alerts: what is wrong, the rules that find it, the channels that tell of it. */
import { type Command, Option } from 'commander';
import type { Alert } from '../alerts/alert.ts';
import type { ChannelStatus } from '../alerts/deliveries.ts';
import { RULE_KINDS, type Rule, SEVERITIES } from '../alerts/rule.ts';
import { ALERT_STATES, type AlertState } from '../alerts/watch.ts';
import { spanText } from '../kit/span.ts';
import { durationOf, listOf, numberOf, pairOf } from './arguments.ts';
import { selectionText } from './orders.ts';
import { type AddVerb, pathOf, type Session, type Verb } from './session.ts';
import { type Colors, cell, table, time } from './tables.ts';

/** Adds `hub alerts …`. */
export function registerAlerts(program: Command, verb: AddVerb): void {
  const alerts = program.command('alerts').description('What is wrong, and the rules that find it.');
  const states = new Option('--state <state>', 'only those in this state').choices(ALERT_STATES);
  verb(alerts, 'ls', 'Alerts, those that began last first.', listAlerts, ['hub alerts ls --state firing'])
    .addOption(states)
    .option('--rule <rule>', 'only of this rule')
    .option('--device <device>', 'only of this device')
    .option('--limit <n>', 'how many at most', numberOf, 100)
    .option('--json', 'as JSON');
  verb(alerts, 'channels', 'Where notices go, and how it goes.', listChannels, ['hub alerts channels']).option(
    '--json',
    'as JSON',
  );
  const test = 'Sends a test notice through a channel now.';
  verb(alerts, 'test <channel>', test, testChannel, ['hub alerts test on-call'], 'operator');
  registerRules(alerts.command('rules').description('What is watched.'), verb);
}

function registerRules(rules: Command, verb: AddVerb): void {
  verb(rules, 'ls', 'All rules, in the order of their names.', listRules, ['hub alerts rules ls']).option(
    '--json',
    'as JSON',
  );
  registerAdding(rules, verb);
  const change = (name: string, description: string, run: Verb) =>
    verb(rules, `${name} <rule>`, description, run, [`hub alerts rules ${name} too-hot`], 'operator');
  change('disable', 'Watches no more until it is enabled; what it found is resolved.', enable(false));
  change('enable', 'Watches again.', enable(true));
  change('rm', 'Removes it; what it found is resolved.', removeRule);
}

function registerAdding(rules: Command, verb: AddVerb): void {
  const examples = [
    'hub alerts rules add too-hot field --stream environment --field temperature --above 30 --clear 28 --for 5m',
    'hub alerts rules add quiet no-reading --for 15m --tag building=north',
    'hub alerts rules add gone offline --for 10m --severity critical',
    'hub alerts rules add refusals quarantine --readings 100 --window 5m',
    'hub alerts rules add store-late lag --sink store --lag 1m --for 2m',
  ];
  verb(rules, 'add <id> <kind>', `Adds a rule; its kind is ${RULE_KINDS.join(', ')}.`, addRule, examples, 'operator')
    .option('--stream <stream>', 'of field and no-reading')
    .option('--field <field>', 'of field: a number of the stream')
    .option('--above <value>', 'of field: it begins above this value', numberOf)
    .option('--below <value>', 'of field: it begins below this value', numberOf)
    .option('--clear <value>', 'of field: it ends only when the value is back as far as this', numberOf)
    .option('--readings <n>', 'of quarantine: more refused readings than this …', numberOf)
    .option('--window <duration>', '… within this time (5m)', durationOf)
    .option('--sink <sink>', 'of lag: only this sink')
    .option('--lag <duration>', 'of lag: how long the oldest frame may wait', durationOf)
    .option('--for <duration>', 'how long it must last before it fires', durationOf)
    .option('--clear-for <duration>', 'how long it must be over before it is resolved', durationOf)
    .option('--tag <name=value>', 'devices with this tag; may be repeated', pairOf)
    .option('--device <device>', 'only this device; may be repeated', listOf)
    .addOption(new Option('--severity <severity>', 'how bad it is').choices(SEVERITIES))
    .option('--description <text>', 'what to do, for whoever is told')
    .option('--deliver <channel>', 'only to this channel; may be repeated', listOf)
    .option('--json', 'as JSON');
}

async function listAlerts({ client, options, color, print, hint }: Session) {
  const asked = new URLSearchParams({ limit: String(options.limit) });
  for (const name of ['state', 'rule', 'device']) if (options[name]) asked.set(name, String(options[name]));
  const { alerts } = await client.json<{ alerts: Alert[] }>('GET', `/v1/alerts?${asked}`);
  if (options.json) print(JSON.stringify(alerts, undefined, 2));
  else if (alerts.length === 0) hint('There are no such alerts.');
  else print(alertTable(alerts, color));
}

async function listChannels({ client, options, color, print, hint }: Session) {
  const { channels } = await client.json<{ channels: ChannelStatus[] }>('GET', '/v1/alerts/channels');
  if (options.json) return print(JSON.stringify(channels, undefined, 2));
  if (channels.length === 0) return hint('There are no channels: alerts.webhooks in the configuration makes one.');
  const rows = channels.map(({ name, kind, waiting, delivered, dropped, lastError }) => [
    ...[name, kind, waiting, delivered, dropped],
    lastError === undefined ? color.green('ok') : color.red(cell(lastError)),
  ]);
  print(table(['CHANNEL', 'KIND', 'WAITING', 'DELIVERED', 'GIVEN UP', 'STATE'], rows, color));
}

async function testChannel({ client, hint }: Session, name = '') {
  await client.json('POST', pathOf`/v1/alerts/channels/${name}/test`);
  hint(`${name} took the test notice.`);
}

async function listRules({ client, options, color, print, hint }: Session) {
  const { rules } = await client.json<{ rules: Rule[] }>('GET', '/v1/alerts/rules');
  if (options.json) print(JSON.stringify(rules, undefined, 2));
  else if (rules.length === 0) hint('There are no rules yet: hub alerts rules add --help');
  else print(ruleTable(rules, color));
}

async function addRule({ client, options, tags, color, print }: Session, id = '', kind = '') {
  const { stream, field, above, below, clear, readings, sink, severity, description, deliver } = options;
  const { window: windowMs, lag: lagMs, for: forMs, clearFor: clearForMs } = options;
  const selector = {
    ...(Object.keys(tags).length > 0 && { tags }),
    ...(Array.isArray(options.device) && { devices: options.device }),
  };
  const said = {
    ...{ id, kind, stream, field, above, below, clear, readings, sink, severity, description, deliver },
    ...{ windowMs, lagMs, forMs, clearForMs },
    ...(Object.keys(selector).length > 0 && { selector }),
  };
  const rule = await client.json<Rule>('POST', '/v1/alerts/rules', said);
  print(options.json ? JSON.stringify(rule, undefined, 2) : ruleTable([rule], color));
}

function enable(enabled: boolean): Verb {
  return async ({ client, hint }, id = '') => {
    await client.json('PATCH', pathOf`/v1/alerts/rules/${id}`, { enabled });
    hint(`${id} is ${enabled ? 'watching' : 'disabled'}.`);
  };
}

async function removeRule({ client, hint }: Session, id = '') {
  await client.json('DELETE', pathOf`/v1/alerts/rules/${id}`);
  hint(`Removed ${id}.`);
}

function alertTable(alerts: Alert[], color: Colors): string {
  const rows = alerts.map(({ state, severity, rule, since, summary }) => {
    return [painted(state, color), severity, rule, time(since), cell(summary)];
  });
  return table(['STATE', 'SEVERITY', 'RULE', 'SINCE', 'WHAT'], rows, color);
}

function painted(state: AlertState, color: Colors): string {
  return { pending: color.yellow, firing: color.red, resolved: color.green }[state](state);
}

function ruleTable(rules: Rule[], color: Colors): string {
  const rows = rules.map((rule) => {
    const { id, kind, selector, severity, enabled, origin } = rule;
    const isOfDevices = kind !== 'quarantine' && kind !== 'lag';
    const whom = isOfDevices ? (selector ? selectionText(selector) : 'every device') : 'the hub';
    return [id, conditionText(rule), whom, severity, enabled ? color.green('on') : color.yellow('off'), origin];
  });
  return table(['RULE', 'WHEN', 'WHOM', 'SEVERITY', 'STATE', 'FROM'], rows, color);
}

/** `environment.temperature above 30 (ends at 28) for 5 min 0 s` */
function conditionText(rule: Rule): string {
  const { stream, field, above, below, clear, forMs, sink, lagMs, readings, windowMs } = rule;
  const lasting = forMs > 0 ? ` for ${spanText(forMs)}` : '';
  const back = clear === undefined ? '' : ` (ends at ${clear})`;
  const limit = above === undefined ? `below ${below}` : `above ${above}`;
  const texts: Record<Rule['kind'], string> = {
    field: `${stream}.${field} ${limit}${back}`,
    'no-reading': `no reading${stream === undefined ? '' : ` of ${stream}`}`,
    offline: 'offline',
    quarantine: `more than ${readings} readings refused within ${spanText(windowMs ?? 0)}`,
    lag: `${sink ?? 'any sink'} more than ${spanText(lagMs ?? 0)} behind`,
  };
  return texts[rule.kind] + lasting;
}
