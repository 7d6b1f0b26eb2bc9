/** Builds the bridge: a link to each MQTT broker, and what goes over it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SinkStatus } from './api/status.ts';
import { type Births, createBirths, willOf } from './bridge/births.ts';
import { createLink } from './bridge/bridge.mqtt.ts';
import type { LinkOptions, NewLink } from './bridge/broker.ts';
import { clientIdOf, nameOf } from './bridge/brokers.ts';
import { type ClearingRow, type Clearings, createClearings } from './bridge/clearings.ts';
import { ensureHubId } from './bridge/hub-id.file.ts';
import { createOutbound } from './bridge/outbound.ts';
import { compilePayload, faultOfPayload } from './bridge/payload.ts';
import { type BridgeStatus, brokerStatuses } from './bridge/status.ts';
import { compileTopics, type Topics } from './bridge/topics.ts';
import type { Config } from './config.ts';
import type { HubStart } from './hub.ts';
import type { Records } from './hub-records.ts';
import type { Storage } from './hub-storage.ts';
import { UserError } from './kit/errors.ts';
import type { Sink } from './telemetry/store.ts';

export interface Bridge {
  /** For the journal to lead. */
  sinks: Sink[];
  status(sinks: readonly SinkStatus[]): BridgeStatus;
  /** Begins to connect, when everything else is there. */
  open(): void;
}

type Broker = Config['mqtt']['brokers'][number];

/** What everything on a broker is made with. */
interface Shared {
  start: HubStart;
  storage: Storage;
  records: Records;
  hubId: string;
  topics: Topics;
}

/** One broker and what goes over it. */
interface Lane {
  link: NewLink;
  clearings: Clearings;
  births: Births;
  sinks: Sink[];
}

/** Throws `UserError` for what cannot be used: certificates, templates. */
export async function openBridge(start: HubStart, storage: Storage, records: Records): Promise<Bridge> {
  const { config, dataDir, stack } = start;
  const { mqtt } = config;
  const hubId = mqtt.hubId ?? (await ensureHubId(join(dataDir, 'hub.id')));
  const topics = compileTopics(mqtt.prefix, mqtt.topics);
  const shared: Shared = { start, storage, records, hubId, topics };
  const lanes = mqtt.brokers.map((broker) => openLane(shared, broker));
  followDevices(records, lanes);
  stack.push('MQTT bridge', () => Promise.all(lanes.map(closeLane)));
  return {
    sinks: lanes.flatMap(({ sinks }) => sinks),
    status: (sinks) => ({
      hub: hubId,
      brokers: brokerStatuses(
        lanes.map(({ link }) => link.status()),
        sinks,
      ),
      rules: [],
    }),
    open() {
      for (const { link } of lanes) link.open();
    },
  };
}

function openLane(shared: Shared, broker: Broker): Lane {
  const { start, records, topics, hubId } = shared;
  const link = createLink(linkOptionsOf(shared, broker), start.log);
  const onError = (error: unknown) => start.log.error({ broker: link.name, err: error }, 'the MQTT bridge failed');
  const clearings = createClearings(link, { table: records.backplane.table<ClearingRow>('mqtt-clearings'), onError });
  const births = createBirths(link, {
    ...{ topics, clearings, onError, announcesDevices: broker.telemetry },
    devices: () => allDevices(records),
    stateOf: (device) => records.devices.get(device) && (records.presence.of(device)?.state ?? 'offline'),
  });
  const sinks = broker.telemetry ? [createOutbound(link, { topics, hubId, payloadOf: payloadOf(shared) })] : [];
  return { link, clearings, births, sinks };
}

async function closeLane({ link, births }: Lane): Promise<void> {
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
    will: () => willOf(topics),
    remembered: {
      filters: () => sessions.get(name)?.value ?? [],
      keep: async (filters) => void (await sessions.set(name, [...filters])),
    },
  };
}

function payloadOf({ start, storage }: Shared) {
  const { payload } = start.config.mqtt;
  const fields = new Set(Array.from(storage.catalog.streams.values(), (stream) => [...stream.fields.keys()]).flat());
  const fault = faultOfPayload(payload, fields);
  if (fault) throw new UserError(`mqtt.payload ${fault}.`);
  return compilePayload(payload);
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
    for (const { births } of lanes) {
      if (device) births.changed(id);
      else births.removed(id);
    }
  });
}
