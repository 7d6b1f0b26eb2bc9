/** Builds what others see of the hub over a broker: Home Assistant its devices, hosts of Sparkplug B an edge node. */
import { dampRefusals } from './audit/damper.ts';
import type { Clearings } from './bridge/clearings.ts';
import { settleAnnounced } from './bridge/home-assistant/announced-mark.ts';
import { type Announcer, createAnnouncer } from './bridge/home-assistant/announcer.ts';
import { discoveryOf } from './bridge/home-assistant/home-assistant.ts';
import type { BrokerLink, LinkOptions, NewLink } from './bridge/link/link-port.ts';
import { createRepertoire, type Repertoire } from './bridge/repertoire.ts';
import { createEdgeNode, type EdgeNode } from './bridge/sparkplug/edge-node.ts';
import { sparkplugCodec } from './bridge/sparkplug/sparkplug-codec.ts';
import type { Topics } from './bridge/topics.ts';
import type { HubStart } from './hub.ts';
import type { Records } from './hub-records.ts';
import type { Storage } from './hub-storage.ts';
import { RefusedError } from './kit/errors.ts';

/** What all of them are made with. */
export interface IntegrationDeps {
  start: HubStart;
  storage: Storage;
  records: Records;
  hubId: string;
  topics: Topics;
}

/** On one broker. */
export interface Integrations {
  announcer?: Announcer;
  edge?: EdgeNode;
}

export type OpenIntegrations = (on: {
  link: BrokerLink;
  clearings: Clearings;
  /** Whether the hub publishes there of its devices, and whether it takes commands there. */
  telemetry: boolean;
  commands: boolean;
  /** A second connection, like that of `link`. */
  connect(options: Pick<LinkOptions, 'name' | 'will' | 'isClean'>): NewLink;
}) => Integrations;

/** A function that opens on one broker what the configuration wants. */
export function openIntegrations(deps: IntegrationDeps): OpenIntegrations {
  const { homeAssistant, sparkplug } = deps.start.config.mqtt;
  const repertoire = homeAssistant.enabled || sparkplug.enabled ? openRepertoire(deps) : undefined;
  return (on) => {
    const isAnnounced = homeAssistant.enabled && on.telemetry;
    settle(deps, on, isAnnounced ? homeAssistant.prefix : undefined);
    if (!repertoire || !on.telemetry) return {};
    return {
      ...(isAnnounced && { announcer: openAnnouncer(deps, repertoire, on) }),
      ...(sparkplug.enabled && { edge: openEdgeNode(deps, repertoire, on) }),
    };
  };
}

function settle(
  { start, records }: IntegrationDeps,
  { link, clearings }: Parameters<OpenIntegrations>[0],
  prefix: string | undefined,
): void {
  settleAnnounced(link.name, prefix, {
    ...{ clearings, devices: records.devices, table: records.backplane.table<string>('mqtt-announced') },
    onError: (error) => start.log.error({ broker: link.name, err: error }, 'the MQTT bridge failed'),
  });
}

function openRepertoire({ start, storage, records }: IntegrationDeps): Repertoire {
  const repertoire = createRepertoire(records.backplane.table('mqtt-repertoire'));
  start.stack.push('repertoire', () => repertoire.close());
  storage.journal.onCommit(repertoire.saw);
  records.devices.onChange((id, device) => device ?? repertoire.forget(id));
  return repertoire;
}

function openAnnouncer(
  { start, storage, records, topics }: IntegrationDeps,
  repertoire: Repertoire,
  { link, clearings, commands }: Parameters<OpenIntegrations>[0],
): Announcer {
  const { catalog } = storage;
  const { version, log, config } = start;
  return createAnnouncer(
    {
      ...{ link, clearings, repertoire, log, devices: records.devices },
      discoveryOf: (device) => discoveryOf(device, repertoire.of(device.id), { catalog, topics, version, commands }),
    },
    { prefix: config.mqtt.homeAssistant.prefix },
  );
}

function openEdgeNode(
  { start, storage, records, hubId }: IntegrationDeps,
  repertoire: Repertoire,
  { link, commands, connect }: Parameters<OpenIntegrations>[0],
): EdgeNode {
  const { config, live, log, version } = start;
  const { group, node = hubId } = config.mqtt.sparkplug;
  const { devices, presence, backplane } = records;
  return createEdgeNode(
    {
      ...{ codec: sparkplugCodec, live, devices, presence, repertoire, log },
      catalog: commands ? storage.catalog : { ...storage.catalog, commands: new Map() },
      commands: { onChange: records.commands.onChange, send: auditedSend(records, link.name) },
      births: backplane.table('mqtt-births'),
      connect: (will) => connect({ name: `sparkplug-${link.name}`, isClean: true, will }),
    },
    {
      ...{ broker: link.name, group, node, version },
      markTopic: `${config.mqtt.prefix}/$sparkplug`,
    },
  );
}

/** Commands of Sparkplug hosts are written down as those of every other way in. */
function auditedSend({ commands, audit }: Records, from: string): Records['commands']['send'] {
  const record = dampRefusals(audit.record);
  return async (request) => {
    const { actor, device: target, name } = request;
    const line = { actor, action: 'command.send', target, from };
    try {
      const command = await commands.send(request);
      await record({ ...line, result: 'ok', detail: `${name} ${command.id}` });
      return command;
    } catch (error) {
      if (error instanceof RefusedError) await record({ ...line, result: error.code, detail: name });
      throw error;
    }
  };
}
