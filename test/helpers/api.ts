/** An operator API over a real backplane in a temporary folder, with fakes for the parts that are not under test. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { createAlerts } from '../../hub/alerts/alerts.ts';
import { createDeliveries } from '../../hub/alerts/deliveries.ts';
import { createRules } from '../../hub/alerts/rules.ts';
import { type ApiDeps, type ApiOptions, createApi } from '../../hub/api/server.http.ts';
import type { HubStatus } from '../../hub/api/status.ts';
import { createSqliteAudit } from '../../hub/audit/audit.sqlite.ts';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { BridgeStatus } from '../../hub/bridge/status.ts';
import { createCommands } from '../../hub/commands/commands.ts';
import { createGroups } from '../../hub/commands/groups.ts';
import { createSchedules } from '../../hub/commands/schedules.ts';
import { createDevices } from '../../hub/devices/devices.ts';
import { createPresence } from '../../hub/devices/presence.ts';
import type { Talker } from '../../hub/gateway/traffic.ts';
import { readCron } from '../../hub/jobs.cron.ts';
import { createMetrics } from '../../hub/kit/metrics.ts';
import { ledgerMetrics } from '../../hub/metrics/ledger-metrics.ts';
import { roadMetrics } from '../../hub/metrics/road-metrics.ts';
import { sinkMetrics } from '../../hub/metrics/sink-metrics.ts';
import { ensureAdmin } from '../../hub/operators/admin-token.file.ts';
import { createBrowserSessions } from '../../hub/operators/browser-sessions.ts';
import { createOperators } from '../../hub/operators/operators.ts';
import type { Gap } from '../../hub/telemetry/gaps.ts';
import { createLive } from '../../hub/telemetry/live.ts';
import type { QuarantinedReading } from '../../hub/telemetry/quarantine.ts';
import type { Query, Row } from '../../hub/telemetry/store.ts';
import { loadCatalog } from '../../schemas/index.ts';
import { mqttContract } from './mqtt-contract.ts';

const JOURNAL: HubStatus['journal'] = {
  bytes: 2_048,
  limitBytes: 1_073_741_824,
  space: { roomBytes: 1_073_739_776, endsBy: 'limit', usedPercent: 0, alarm: 0, diskFreeBytes: 2 ** 36 },
  segments: 1,
  first: 0,
  next: 10,
  cursors: { store: { offset: 10, lagFrames: 0, lagMs: 0 } },
  failing: false,
  damage: [],
};

const STATUS: HubStatus = {
  version: '0.0.0',
  node: 'test',
  startedAt: 0,
  uptimeMs: 61_000,
  ready: true,
  reasons: [],
  devices: { known: 1, online: 0, silent: 0, offline: 1 },
  readings: { accepted: 42, rejected: 1, perSecond: 3.4 },
  frames: { received: 40, duplicate: 2, skipped: 0 },
  journal: JOURNAL,
  sinks: [{ name: 'store', state: 'ok', written: 42, refused: 1, lagFrames: 0, lagMs: 0 }],
  brokers: [{ name: 'broker.example:1883', state: 'connected', since: 0 }],
  quarantine: { readings: 1, limitReadings: 100_000, alarm: 0, dropped: 0 },
  store: { replay: { restarts: 0, replayed: 0, leftFrames: 0 } },
  audit: { failing: false, waiting: 0, lost: 0 },
};

const BRIDGE: BridgeStatus = {
  hub: '4f1c09ab',
  brokers: [
    {
      ...{ name: 'broker.example:1883', url: 'mqtt://broker.example', state: 'connected', since: 0, version: 5 },
      ...{ inFlight: 3, window: 200, published: 42, received: 7, refused: 0, lagFrames: 3, lagMs: 12 },
    },
  ],
  rules: [
    {
      ...{ name: 'zigbee', broker: 'broker.example:1883', stream: 'environment', filter: 'zigbee2mqtt/+' },
      ...{ messages: 7, readings: 5, refused: 1, skipped: 1, looped: 0, lastRefusal: 'the payload is not JSON' },
    },
  ],
  commands: [
    {
      ...{ broker: 'broker.example:1883', received: 4, sent: 2, repeated: 1, refused: 1, told: 3, waiting: 0 },
      lastRefusal: 'meter-7 dance: there is no such command',
    },
  ],
};

/** A reading as the quarantine keeps it. */
export const REFUSED: QuarantinedReading = {
  id: 1,
  device: 'a',
  stream: 'power',
  epoch: 'e',
  seq: 1,
  receivedAt: Date.UTC(2026, 6, 1),
  path: '/power',
  code: 'type',
  message: 'must be number',
  reading: { ts: 1, power: 'much' },
};

/** A store that remembers what it was asked and answers what the test says. */
function fakeStore() {
  const asked: Query[] = [];
  let answer: () => Row[] = () => [];
  return {
    asked,
    /** Never answers while it is set. */
    hold: false,
    answer: (next: () => Row[]) => {
      answer = next;
    },
    async query(query: Query) {
      asked.push(query);
      if (this.hold) await new Promise(() => {});
      return answer();
    },
  };
}

/** Everything a test of the API needs; `dataDir` holds hub.json and admin.token, as a running hub's does. */
export async function startApi(overrides: Partial<ApiDeps> = {}, options: Partial<ApiOptions> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'hub-api-'));
  const backplane = openBackplane(join(dataDir, 'hub.db'));
  const devices = createDevices(backplane.table('devices'), { seen: backplane.table('devices.seen') });
  const presence = createPresence({
    presence: backplane.table('presence'),
    sessions: backplane.table('sessions'),
    expectedIntervalMs: (id) => devices.get(id)?.expectedIntervalMs,
  });
  const operators = createOperators(backplane.table('operators'));
  await ensureAdmin(operators, join(dataDir, 'admin.token'));
  const browserSessions = createBrowserSessions({ operators, table: backplane.table('browser-sessions') });
  const commands = createCommands({
    table: backplane.table('commands'),
    types: loadCatalog().commands,
    deviceSince: (id) => devices.get(id)?.createdAt,
  });
  const groups = createGroups({
    table: backplane.table('groups'),
    members: backplane.table('group-members'),
    commands,
    devices,
  });
  const schedules = createSchedules({
    table: backplane.table('schedules'),
    runs: backplane.table('runs'),
    commands,
    groups,
    deviceExists: (id) => devices.get(id) !== undefined,
    readCron,
  });
  const rules = createRules({
    configured: [],
    table: backplane.table('alert-rules'),
    context: { streams: loadCatalog().streams, sinks: ['store', 'quarantine'], channels: [] },
  });
  const alerts = createAlerts({
    ...{ rules, devices, table: backplane.table('alerts'), tell: async () => {} },
    presenceOf: presence.of,
    sinks: () => [],
    refusedBySinks: () => 0,
  });
  const audit = await createSqliteAudit({ file: join(dataDir, 'audit.db') });
  const live = createLive();
  const store = fakeStore();
  const logged: string[] = [];
  const log = pino(
    { level: 'debug' },
    new Writable({ write: (line, _, done) => done(void logged.push(String(line))) }),
  );
  const metrics = createMetrics();
  metrics.add(
    roadMetrics({
      clockJumps: () => 0,
      readings: () => ({ accepted: 42, rejected: 1, quarantined: 1 }),
      frames: () => ({ telemetry: 40 }),
      sessions: () => 3,
      devices: () => presence.counts(devices.size),
      commands: () => ({ reached: commands.counts, queued: commands.queued }),
    }),
  );
  metrics.add(
    ledgerMetrics({
      journal: () => JOURNAL,
      quarantine: () => ({ ...STATUS.quarantine, replayed: 0 }),
      gaps: () => 0,
    }),
  );
  metrics.add(
    sinkMetrics({
      brokers: () => BRIDGE.brokers,
      sinks: () => [{ name: 'store', state: 'ok', written: 42, refused: 1, lagFrames: 7, lagMs: 1_500 }],
      store: () => STATUS.store,
    }),
  );
  const state = {
    ready: true,
    reasons: [] as string[],
    quarantine: [] as QuarantinedReading[],
    gaps: [] as Gap[],
    talkers: [] as Talker[],
  };
  const deliveries = createDeliveries({ channels: [], table: backplane.table('alert-notices'), log });
  const deps: ApiDeps = {
    rules,
    alerts,
    deliveries,
    devices,
    commands,
    groups,
    schedules,
    mqtt: mqttContract(),
    jobs: () => [],
    operators,
    browserSessions,
    pushToken: () => false,
    keepOperatorToken: async () => {},
    audit,
    live,
    lastValues: { of: async (id) => live.lastOf(id) },
    store,
    replay: { begin: async () => {}, status: () => STATUS.store.replay },
    metrics,
    log,
    catalog: loadCatalog(),
    version: '0.0.0',
    status: () => STATUS,
    bridge: () => BRIDGE,
    deviceTrust: () => ({ pem: 'PEM', names: ['localhost'] }),
    ready: () => ({ ready: state.ready, reasons: state.reasons }),
    presence,
    quarantine: {
      list: async ({ limit }) => state.quarantine.slice(0, limit),
      get: async (id) => state.quarantine.find((reading) => reading.id === id),
      remove: async () => state.quarantine.splice(0).length,
    },
    quarantineReplay: { run: async () => ({ replayed: state.quarantine.splice(0).length, refused: 0 }) },
    talkers: { top: () => state.talkers },
    gaps: { list: async ({ limit }) => state.gaps.slice(0, limit) },
    ...overrides,
  };
  const api = await createApi(deps, { host: '127.0.0.1', port: 0, failedAttemptsPerMinute: 1_000, ...options });
  await writeFile(join(dataDir, 'hub.json'), JSON.stringify({ pid: process.pid, api: api.url, gateway: '' }));
  const tokens = {
    viewer: (await operators.add('vera', 'viewer')).token,
    operator: (await operators.add('otto', 'operator')).token,
    admin: (await operators.add('ada', 'admin')).token,
  };

  async function call(method: string, path: string, { token = tokens.admin, body, headers = {} }: CallOptions = {}) {
    const response = await fetch(api.url + path, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const type = response.headers.get('content-type') ?? '';
    return {
      status: response.status,
      type,
      headers: response.headers,
      text,
      body: /[/+]json/.test(type) ? JSON.parse(text) : text,
    };
  }

  async function close() {
    await api.close();
    await audit.close();
    groups.close();
    await presence.close();
    await devices.close();
    await backplane.close();
    await rm(dataDir, { recursive: true });
  }

  return {
    api,
    alerts,
    audit,
    call,
    close,
    commands,
    dataDir,
    deps,
    devices,
    presence,
    operators,
    browserSessions,
    live,
    store,
    logged,
    state,
    tokens,
  };
}

interface CallOptions {
  /** An operator token; empty for none. The admin's without it. */
  token?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

export type TestApi = Awaited<ReturnType<typeof startApi>>;
