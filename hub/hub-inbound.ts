/** Builds what comes in over a broker: telemetry by rules, and commands with their answers. */
import { dampRefusals } from './audit/damper.ts';
import { createCommandResults, type OwedReply } from './bridge/command-results.ts';
import { createInboundCommands } from './bridge/inbound-commands.ts';
import type { BrokerLink } from './bridge/link/link-port.ts';
import type { Echoes } from './bridge/rules/echoes.ts';
import { createInboundTelemetry, type RuleStatus } from './bridge/rules/inbound-telemetry.ts';
import { compileRules, type Rule } from './bridge/rules/rules.ts';
import type { CommandsStatus } from './bridge/status.ts';
import type { Topics } from './bridge/topics.ts';
import type { HubStart } from './hub.ts';
import type { Records } from './hub-records.ts';
import type { Storage } from './hub-storage.ts';
import { EXIT_CONFIG, RefusedError, UserError } from './kit/errors.ts';
import { createIngest } from './telemetry/ingest.ts';

export interface Inbound {
  rules(): RuleStatus[];
  commands(): CommandsStatus;
  /** Forgets a removed device. */
  forget(device: string): void;
  /** Takes nothing more; what was not told is told after the next start. Idempotent. */
  close(): Promise<void>;
}

export interface InboundOptions {
  hubId: string;
  topics: Topics;
  rules: readonly Rule[];
  echoes: Echoes;
  /** The ends of all commands are published, not only those that were asked for. */
  telemetry: boolean;
  /** Commands are taken. */
  commands: boolean;
}

/** Subscribes; nothing comes before the link is opened. */
export function openInbound(
  start: HubStart,
  storage: Storage,
  records: Records,
  link: BrokerLink,
  options: InboundOptions,
): Inbound {
  const telemetry = openTelemetry(start, storage, records, link, options);
  for (const filter of telemetry.filters) link.subscribe(filter, (message) => telemetry.receive(filter, message));
  const { results, inbound } = openCommands(start, records, link, options);
  return {
    rules: telemetry.status,
    commands() {
      const { lastRefusal, counts } = inbound;
      const { published: told, waiting } = results.status();
      return { broker: link.name, ...counts, told, waiting, ...(lastRefusal !== undefined && { lastRefusal }) };
    },
    forget: telemetry.forget,
    async close() {
      telemetry.close();
      await results.close();
    },
  };
}

/** Throws `UserError` that names every mistake. */
export function openRules(
  { config }: Pick<HubStart, 'config'>,
  { catalog }: Pick<Storage, 'catalog'>,
  brokers: readonly string[],
): Rule[] {
  const { rules, mistakes } = compileRules(config.mqtt.rules, { streams: catalog.streams, brokers });
  if (mistakes.length === 0) return rules;
  const lines = mistakes.map(({ path, message }) => `  ${path.slice(1).replaceAll('/', '.')} ${message}`);
  throw new UserError(`The rules of the MQTT bridge cannot be used:\n${lines.join('\n')}`, EXIT_CONFIG);
}

function openTelemetry(
  { config, counts, log }: HubStart,
  { catalog, journal, quarantine, retentionMs }: Storage,
  records: Records,
  link: BrokerLink,
  { hubId, rules, echoes }: InboundOptions,
) {
  return createInboundTelemetry({
    ...{ broker: link.name, hubId, rules, counts, log },
    ingest: createIngest({ ...config.limits, streams: catalog.streams, retentionMs }),
    append: (frame) => journal.append(frame) === undefined,
    quarantine,
    device: (id) => records.devices.get(id),
    register: (id, rule) => register(records, id, link.name, rule.name),
    echoes: () => (link.status().version === 4 ? echoes : undefined),
  });
}

/** The token that every new device gets is told to nobody and ends at once. */
async function register({ devices, audit }: Records, id: string, broker: string, rule: string): Promise<void> {
  try {
    await devices.add(id, { description: `Came over ${broker}.` });
    await devices.revokeTokens(id);
  } catch (error) {
    if (error instanceof RefusedError) return;
    throw error;
  }
  await audit.record({
    actor: `mqtt:${broker}`,
    action: 'device.register',
    target: id,
    result: 'ok',
    detail: `by the rule ${rule}`,
  });
}

function openCommands({ log }: HubStart, records: Records, link: BrokerLink, options: InboundOptions) {
  const { backplane, commands, audit } = records;
  const { hubId, topics } = options;
  const results = createCommandResults({
    ...{ link, commands, hubId, log, tellsAll: options.telemetry, resultTopic: topics.result },
    replies: backplane.table<OwedReply>('mqtt-replies'),
    told: backplane.table<number>('mqtt-told'),
  });
  const inbound = createInboundCommands({
    ...{ broker: link.name, commands, results, parseTopic: topics.commandOf, isOwnTopic: topics.owns },
    audit: dampRefusals(audit.record),
  });
  if (options.commands) link.subscribe(topics.commandFilter, inbound.receive);
  return { results, inbound };
}
