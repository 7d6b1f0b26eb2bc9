/** Builds the bridge: a link to each MQTT broker, and what goes over it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SinkStatus } from './api/status.ts';
import { type Births, createBirths, willOf } from './bridge/births.ts';
import { brokerNames, clientIdOf, EMBEDDED, nameOf } from './bridge/brokers.ts';
import { type ClearingRow, type Clearings, createClearings } from './bridge/clearings.ts';
import { ensureHubId } from './bridge/hub-id.file.ts';
import { createLink } from './bridge/link/bridge.mqtt.ts';
import type { LinkOptions, NewLink } from './bridge/link/link-port.ts';
import { createOutbound } from './bridge/outbound.ts';
import { openPayload, type PayloadOf } from './bridge/payload.ts';
import { createEchoes, type Echoes } from './bridge/rules/echoes.ts';
import type { Rule } from './bridge/rules/rules.ts';
import { type BridgeStatus, brokerStatuses, type LaneStatus } from './bridge/status.ts';
import { compileTopics, type Topics } from './bridge/topics.ts';
import type { Config } from './config.ts';
import type { HubStart } from './hub.ts';
import { type OwnBroker, openOwnBroker } from './hub-broker.ts';
import { type Inbound, openInbound, openRules } from './hub-inbound.ts';
import { type Integrations, type OpenIntegrations, openIntegrations } from './hub-integrations.ts';
import type { Records } from './hub-records.ts';
import type { Storage } from './hub-storage.ts';
import type { Sink } from './telemetry/store.ts';

export interface Bridge {
  /** For the journal to lead. */
  sinks: Sink[];
  status(sinks: readonly SinkStatus[]): BridgeStatus;
  /**
   * By the name of the broker. Each resolves when that broker took it. Throws `Unavailable` when it is away,
   * `RefusedByBroker` when it says no.
   */
  publishers: ReadonlyMap<string, (topic: string, payload: string) => Promise<void>>;
  /**
   * Begins to connect, when everything else is there; resolves to the address of the hub's own broker, when it has one.
   * Throws `UserError` when that is taken.
   */
  open(): Promise<string | undefined>;
}

type Broker = Config['mqtt']['brokers'][number] & Pick<LinkOptions, 'dial'>;

/** What everything on a broker is made with. */
interface Shared {
  start: HubStart;
  storage: Storage;
  records: Records;
  hubId: string;
  topics: Topics;
  payloadOf: PayloadOf;
  rules: Rule[];
  echoes: Echoes;
  integrate: OpenIntegrations;
}

/** One broker and what goes over it. */
interface Lane {
  link: NewLink;
  clearings: Clearings;
  births: Births;
  inbound: Inbound;
  integrations: Integrations;
  sinks: Sink[];
}

/** Throws `UserError` for what cannot be used: certificates, templates. */
export async function openBridge(start: HubStart, storage: Storage, records: Records): Promise<Bridge> {
  const { config, dataDir, stack } = start;
  const { mqtt } = config;
  const hubId = mqtt.hubId ?? (await ensureHubId(join(dataDir, 'hub.id')));
  const topics = compileTopics(mqtt.prefix, mqtt.topics);
  const rules = openRules(start, storage, brokerNames(mqtt));
  const integrate = openIntegrations({ start, storage, records, hubId, topics });
  const payloadOf = openPayload(mqtt.payload, storage.catalog.streams);
  const shared: Shared = {
    start,
    storage,
    records,
    hubId,
    topics,
    payloadOf,
    rules,
    echoes: createEchoes(),
    integrate,
  };
  const own = mqtt.embedded ? await openOwnBroker(start, records, hubId) : undefined;
  const ownLane = own && openLane(shared, ownBroker(own));
  const lanes = [...mqtt.brokers.map((broker) => openLane(shared, broker)), ...(ownLane ? [ownLane] : [])];
  followDevices(records, lanes);
  if (rules.length > 0) rememberEchoes(shared, lanes);
  stack.push('MQTT bridge', () => Promise.all(lanes.map(closeLane)));
  return {
    sinks: lanes.flatMap(({ sinks }) => sinks),
    publishers: new Map(lanes.map(({ link }) => [link.name, (topic, payload) => link.publish({ topic, payload })])),
    status: (sinks) => ({
      hub: hubId,
      brokers: brokerStatuses(lanes.flatMap(statusOfLane), sinks),
      rules: lanes.flatMap(({ inbound }) => inbound.rules()),
      commands: lanes.map(({ inbound }) => inbound.commands()),
      ...(own && { embedded: own.status() }),
    }),
    async open() {
      for (const link of linksOf(lanes)) link.open();
      return own?.open(ownLane!.link);
    },
  };
}

/** How the hub reaches its own broker: by a stream of its own, with nothing that could be guessed. */
function ownBroker({ dial, url }: OwnBroker): Broker {
  const defaults = { windowMessages: 200, timeoutMs: 15_000, telemetry: true, commands: true };
  return { ...defaults, name: EMBEDDED, url, version: 4, dial };
}

function openLane(shared: Shared, broker: Broker): Lane {
  const { start, records, topics, hubId, payloadOf } = shared;
  const link = createLink(linkOptionsOf(shared, broker), start.log);
  const onError = (error: unknown) => start.log.error({ broker: link.name, err: error }, 'the MQTT bridge failed');
  const clearings = createClearings(link, { table: records.backplane.table<ClearingRow>('mqtt-clearings'), onError });
  const births = createBirths(link, {
    ...{ topics, clearings, onError, announcesDevices: broker.telemetry },
    devices: () => allDevices(records),
    stateOf: (device) => records.devices.get(device) && (records.presence.of(device)?.state ?? 'offline'),
  });
  const integrations = shared.integrate({
    ...{ link, clearings, telemetry: broker.telemetry, commands: broker.commands },
    connect: (more) => createLink({ ...secondOptionsOf(shared, broker), ...more }, start.log),
  });
  const outbound = broker.telemetry ? [createOutbound(link, { topics, hubId, payloadOf })] : [];
  const inbound = openInbound(start, shared.storage, records, link, { ...shared, ...broker });
  const { edge } = integrations;
  return { link, clearings, births, inbound, integrations, sinks: edge ? [...outbound, edge] : outbound };
}

/** Those of Sparkplug come by a connection of their own, for each connection has one last will. */
const linksOf = (lanes: readonly Lane[]): NewLink[] =>
  lanes.flatMap(({ link, integrations: { edge } }) => (edge ? [link, edge.link] : [link]));

function statusOfLane({ link, integrations: { announcer, edge } }: Lane): LaneStatus[] {
  const status = { ...link.status(), ...(announcer && { announced: announcer.announced }) };
  return edge ? [status, { ...edge.link.status(), refusedCommands: edge.refused }] : [status];
}

/** Of MQTT 3.1.1 only: the other version says in each message where it was. */
function rememberEchoes({ storage, echoes }: Shared, lanes: readonly Lane[]): void {
  storage.journal.onCommit((frames) => {
    if (lanes.some(({ link }) => link.status().version === 4)) echoes.remember(frames, Date.now());
  });
}

async function closeLane({ link, births, inbound, integrations }: Lane): Promise<void> {
  integrations.announcer?.close();
  await integrations.edge?.close();
  await inbound.close();
  await births.close();
  await link.close();
}

function linkOptionsOf({ records, hubId, topics }: Shared, broker: Broker): LinkOptions {
  const { url, username, password, version, windowMessages, timeoutMs, caFile, certFile, keyFile } = broker;
  const name = nameOf(broker);
  const sessions = records.backplane.table<string[]>('mqtt-sessions');
  const read = (file: string) => readFileSync(file, 'utf8');
  return {
    ...{ name, url, version, windowMessages, timeoutMs, clientId: clientIdOf(broker, hubId) },
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(caFile !== undefined && { ca: read(caFile) }),
    ...(certFile !== undefined && { cert: read(certFile) }),
    ...(keyFile !== undefined && { key: read(keyFile) }),
    ...(broker.dial && { dial: broker.dial, isClean: true }),
    will: () => willOf(topics),
    remembered: {
      filters: () => sessions.get(name)?.value ?? [],
      keep: async (filters) => void (await sessions.set(name, [...filters])),
    },
  };
}

/** The same broker with the same credentials; nothing is remembered. */
function secondOptionsOf(shared: Shared, broker: Broker): Omit<LinkOptions, 'remembered' | 'will'> {
  const { remembered: _, will: __, ...options } = linkOptionsOf(shared, broker);
  return { ...options, clientId: `${options.clientId}-sparkplug` };
}

function* allDevices({ devices }: Records): Generator<string> {
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: ReturnType<Records['devices']['list']> = devices.list({ limit: 1_000, after });
    for (const { id } of page.devices) yield id;
    after = page.next;
  }
}

function followDevices({ devices, presence }: Records, lanes: readonly Lane[]): void {
  presence.onChange((device) => {
    for (const { births } of lanes) births.changed(device);
  });
  devices.onChange((id, device) => {
    for (const { births, inbound } of lanes) {
      if (device) births.changed(id);
      else {
        births.removed(id);
        inbound.forget(id);
      }
    }
  });
}
