/** The composition root: every part of a hub, from the end of the road to its beginning. Stopped in reverse. */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Catalog, loadCatalog, loadUplinkChecks } from '../schemas/index.ts';
import { createApi } from './api/server.http.ts';
import { createSqliteAudit } from './audit/audit.sqlite.ts';
import { createDamper } from './audit/damper.ts';
import { openBackplane } from './backplane/backplane.sqlite.ts';
import type { Command } from './commands/command.ts';
import { createCommands } from './commands/commands.ts';
import { createGroups } from './commands/groups.ts';
import { createSchedules } from './commands/schedules.ts';
import type { Config } from './config.ts';
import { createDevices, type Device, type DeviceRow } from './devices/devices.ts';
import { createPresence } from './devices/presence.ts';
import { createAdmission, DEVICE_PATH } from './gateway/admission.ts';
import { type Certificate, readCertificate, selfSignedCertificate } from './gateway/certificate.selfsigned.ts';
import { createListener } from './gateway/listener.ws.ts';
import { createGatewayCounts } from './gateway/session.ts';
import { createSessions } from './gateway/sessions.ts';
import { readCron, startJobs } from './jobs.cron.ts';
import { type RefusalCode, Unavailable, UserError } from './kit/errors.ts';
import type { Log } from './kit/log.ts';
import { createMetrics } from './kit/metrics.ts';
import { createStack, type Stack } from './kit/stack.ts';
import { ensureAdmin, keepAdminToken } from './operators/admin-token.file.ts';
import { createOperators, type OperatorRow } from './operators/operators.ts';
import { createStatusReporter } from './status.ts';
import { nodeFiles } from './telemetry/files.node.ts';
import { createIngest } from './telemetry/ingest.ts';
import { openJournal } from './telemetry/journal.file.ts';
import { takeLock } from './telemetry/journal-lock.ts';
import { createLive } from './telemetry/live.ts';
import { createSqliteQuarantine } from './telemetry/quarantine.sqlite.ts';
import { createSinks } from './telemetry/sinks.ts';
import { createInfluxStore } from './telemetry/store.influx.ts';
import { createSqliteStore } from './telemetry/store.sqlite.ts';
import type { TelemetryStore } from './telemetry/store.ts';

export interface HubOptions {
  dataDir: string;
  log: Log;
  version: string;
}

export interface Hub {
  urls: { api: string; gateway: string };
  /** Drains: takes nothing new, finishes what it has, says goodbye to the devices. Idempotent. */
  stop(): Promise<void>;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const TOKEN_WATCH_MS = 250;
/** How the drain time is shared: acks for what was taken, goodbyes to the devices, sinks; the rest is for files. */
const SHARES = { acks: 0.3, goodbyes: 0.1, sinks: 0.4 };

/** Starts a hub; what was started is stopped again when a later part fails. Throws `UserError` for mistakes of people. */
export async function startHub(config: Config, options: HubOptions): Promise<Hub> {
  const stack = createStack();
  try {
    return await build(config, options, stack);
  } catch (error) {
    await stack.unwind();
    throw startError(error);
  }
}

async function build(config: Config, { dataDir, log, version }: HubOptions, stack: Stack): Promise<Hub> {
  const { gateway, limits } = config;
  const { drainMs } = gateway;
  const retentionMs = config.store.retentionDays * DAY_MS;
  const within = (name: string) => join(dataDir, name);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  stack.push('lock', await takeLock(nodeFiles, dataDir));
  const catalog = loadCatalog(config.schemas.dir);

  // where readings end
  const { dir = within('journal'), replayHours, ...journalOptions } = config.journal;
  const journal = await openJournal({ ...journalOptions, dir, replayMs: replayHours * HOUR_MS, log });
  stack.push('journal', () => journal.close());
  const store = await openStore(config, within('telemetry.db'), catalog.streams, log);
  stack.push('store', () => store.close());
  const quarantine = await createSqliteQuarantine({
    file: within('quarantine.db'),
    limitReadings: limits.quarantineReadings,
  });
  stack.push('quarantine', () => quarantine.close());

  // what the hub knows
  const backplane = openBackplane(within('hub.db'));
  stack.push('backplane', () => backplane.close());
  const devices = createDevices(backplane.table<DeviceRow>('devices'), { seen: backplane.table('seen') });
  stack.push('devices', () => devices.close());
  const presence = createPresence({
    presence: backplane.table('presence'),
    sessions: backplane.table('sessions'),
    expectedIntervalMs: (id) => devices.get(id)?.expectedIntervalMs,
  });
  stack.push('presence', () => presence.close());
  const operators = createOperators(backplane.table<OperatorRow>('operators'));
  const madeAdmin = await ensureAdmin(operators, within('admin.token'));
  const audit = await createSqliteAudit({
    file: within('audit.db'),
    onTrouble: (error, lost) =>
      log.error({ err: error, lost }, 'the audit log could not be written; it is tried again'),
  });
  stack.push('audit', () => audit.close());
  if (madeAdmin)
    await audit.record({
      actor: 'hub',
      action: 'operator.token',
      target: 'admin',
      result: 'ok',
      detail: 'its token is in admin.token',
    });
  const commands = createCommands({
    table: backplane.table<Command>('commands'),
    types: catalog.commands,
    deviceExists: (id) => devices.get(id) !== undefined,
    audit: audit.record,
    onError: (error) => log.error({ err: error }, 'a change of a command could not be stored; it is tried again'),
  });
  stack.push('commands', async () => commands.close());
  const groups = createGroups({
    table: backplane.table('groups'),
    members: backplane.table('group-members'),
    commands,
    devices,
    onTrouble: (error) => log.error({ err: error }, 'a group command could not go on; it is tried again'),
  });
  stack.push('groups', () => groups.close());
  const schedules = createSchedules({
    table: backplane.table('schedules'),
    runs: backplane.table('runs'),
    commands,
    groups,
    deviceExists: (id) => devices.get(id) !== undefined,
    audit: audit.record,
    readCron,
  });

  // the road: gateway → ingest → journal → sinks
  const sinks = createSinks(journal, [store, quarantine], {
    batchReadings: config.store.batchReadings,
    log,
    onRefused: (refused) => quarantine.add(refused),
    onAdvance: (sink, offset) => {
      if (sink === store.name) sessions.storedUpTo(offset);
    },
  });
  stack.push('sinks', () => sinks.close({ drainMs: drainMs * SHARES.sinks }));
  const live = createLive();
  const counts = createGatewayCounts();
  const metrics = createMetrics({
    readings: () => ({ accepted: counts.accepted, rejected: counts.rejected }),
    frames: () => ({
      received: counts.frames,
      duplicate: counts.duplicates,
      flow: counts.flows,
      error: counts.errors,
      skipped: counts.gaps,
    }),
    sessions: () => sessions.size,
    devices: () => presence.counts(devices.size),
    commands: () => ({ reached: commands.counts, queued: commands.queued }),
    journal: () => journal.status(Date.now()),
    sinks: () => reporter.sinks(),
  });
  const sessions = createSessions({
    limits,
    heartbeatMs: gateway.heartbeatMs,
    checks: loadUplinkChecks(),
    ingest: createIngest({ ...limits, streams: catalog.streams, retentionMs }),
    counts,
    journal,
    commands,
    observeAck: metrics.observeAckLatency,
    onOpen(session) {
      presence.opened(session);
      devices
        .used(session.device, session.keyId)
        .catch((error) => log.error({ device: session.device, err: error }, 'its former token could not be ended'));
    },
    onEnd: presence.ended,
    storeProgress: () => {
      const { cursors, next } = journal.status(Date.now());
      return { stored: cursors[store.name]?.offset ?? 0, next };
    },
  });
  const leaveExpired = () => {
    for (const { device, keyId } of devices.expired(Date.now())) {
      if (sessions.get(device)?.keyId === keyId) sessions.close(device, 'token-invalid', 'its token has expired');
    }
  };
  journal.onCommit((frames) => {
    live.update(frames);
    for (const { device, receivedAt, readings } of frames) {
      devices.touch(device, receivedAt);
      presence.heard(device, receivedAt, readings.length);
    }
    // A flood of readings starves timers; it drives the deadlines of commands itself.
    commands.sweep();
    leaveExpired();
  });
  // A job's second is too long: an expired token shall have no socket after one.
  const tokenWatch = setInterval(leaveExpired, TOKEN_WATCH_MS);
  stack.push('token watch', async () => clearInterval(tokenWatch));
  commands.onChange((command) =>
    live.tell({ kind: 'command', device: command.device, key: command.id, data: command }),
  );
  presence.onChange((device, now) => live.tell({ kind: 'presence', device, data: { device, ...now } }));
  devices.onChange((id, device) => {
    const reason = reasonToLeave(device, sessions.get(id)?.keyId);
    if (reason) sessions.close(id, reason, 'an operator changed the device');
    if (!device) for (const part of [live, journal, presence]) part.forget(id);
    if (!device) commands.removeDevice(id).catch((error) => log.error({ device: id, err: error }, 'its commands stay'));
  });

  // who looks after it
  const jobs = startJobs(
    [
      { name: 'run schedules', at: '* * * * * *', run: () => schedules.tick() },
      { name: 'expire commands', at: '*/10 * * * * *', run: async () => commands.sweep() },
      {
        name: 'expire tokens',
        at: '* * * * *',
        run: async () => (await devices.forgetExpired(Date.now())) + (await operators.forgetExpired(Date.now())),
      },
      { name: 'forget old runs', at: '23 * * * *', run: () => schedules.prune() },
      { name: 'forget old groups', at: '29 * * * *', run: () => groups.prune(Date.now()) },
      { name: 'sweep the journal', at: '* * * * *', run: () => journal.sweep(Date.now()) },
      {
        name: 'prune the store',
        at: '17 * * * *',
        run: async () => retentionMs > 0 && store.prune(Date.now() - retentionMs),
      },
      { name: 'find silent devices', at: '*/10 * * * * *', run: async () => presence.sweep(Date.now()) },
    ],
    (job, error) => log.error({ job, err: error }, 'a job failed'),
  );
  stack.push('jobs', () => jobs.close());
  let ready = false;
  const reasonsNotReady = () => [
    ...(ready ? [] : ['the hub is starting or stopping']),
    ...(journal.status(Date.now()).failing ? ['the journal cannot be written; the log says why'] : []),
  ];
  const isReady = () => reasonsNotReady().length === 0;
  const reporter = createStatusReporter({
    version,
    node: hostname(),
    counts,
    presence: () => presence.counts(devices.size),
    journal,
    sinks,
    quarantine,
    isReady,
  });
  stack.push('status', () => reporter.close());

  // the doors: operators first, devices last
  const http = await listening('api.port', config.api.port, () =>
    createApi(
      {
        devices,
        commands,
        groups,
        schedules,
        jobs: jobs.list,
        operators,
        pushToken: (id, token) => sessions.get(id)?.push({ type: 'token', token }) ?? false,
        keepOperatorToken: (name, token) => keepAdminToken(within('admin.token'), name, token),
        audit,
        catalog,
        store,
        live,
        metrics,
        quarantine,
        presence,
        status: reporter.status,
        ready: () => ({ ready: isReady(), reasons: reasonsNotReady() }),
        log,
        version,
      },
      config.api,
    ),
  );
  stack.push('operator API', () => http.close());
  const recordStranger = createDamper(audit.record);
  const admission = createAdmission(
    {
      authenticate: devices.authenticate,
      onFailure(from, { code, detail }, keyId = '') {
        const target = keyId && `key ${keyId}`;
        void recordStranger({ actor: 'unknown', action: 'device.connect', target, result: code, from, detail });
      },
    },
    { ...limits, maxConnections: limits.connections, origins: gateway.origins },
  );
  const tls = gateway.tls.enabled ? { tls: await certificateOf(config, within('tls'), log) } : {};
  const { host, port, heartbeatMs } = gateway;
  const door = await listening('gateway.port', port, () =>
    createListener(
      { admission, sessions, log },
      { host, port, heartbeatMs, frameBytes: limits.frameBytes, maxConnections: limits.connections, ...tls },
    ),
  );
  stack.push('gateway', async () => {
    ready = false;
    admission.drain();
    await sessions.drain(drainMs * SHARES.acks);
    await door.close(drainMs * SHARES.goodbyes);
  });
  ready = true;

  let stopped: Promise<void> | undefined;
  const scheme = gateway.tls.enabled ? 'wss' : 'ws';
  return {
    urls: { api: http.url, gateway: `${scheme}://${host}:${door.port}${DEVICE_PATH}` },
    stop() {
      stopped ??= stack.unwind((part, error) => {
        if (error) log.error({ part, err: error }, 'a part did not stop as it should');
        else log.debug({ part }, 'stopped');
      });
      return stopped;
    },
  };
}

function openStore(
  { store }: Config,
  file: string,
  streams: Catalog['streams'],
  log: Log,
): Promise<TelemetryStore> | TelemetryStore {
  return store.kind === 'sqlite' ? createSqliteStore({ file, streams }) : createInfluxStore({ ...store, streams, log });
}

async function certificateOf({ gateway: { tls } }: Config, dir: string, log: Log): Promise<Certificate> {
  if (tls.certFile !== undefined && tls.keyFile !== undefined) return readCertificate(tls.certFile, tls.keyFile);
  const { made, ...certificate } = await selfSignedCertificate(dir);
  if (made) log.info({ dir }, 'made a self-signed certificate; devices trust its cert.pem');
  return certificate;
}

/** Why a device may not stay connected after an operator changed it. */
function reasonToLeave(device: Device | undefined, keyId = ''): RefusalCode | undefined {
  if (!device) return 'device-removed';
  if (!device.enabled) return 'device-disabled';
  return device.tokens.some((token) => token.keyId === keyId) ? undefined : 'token-invalid';
}

/** What the machine refuses is for a person to mend: a folder, a file, an address. Anything else is a bug, and stays one. */
function startError(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  const isOfMachine = error instanceof Unavailable || (typeof code === 'string' && /^E[A-Z]+$/.test(code));
  return isOfMachine ? new UserError(`The hub cannot start: ${message}`) : error;
}

/** Names the option by which a port that cannot be had is moved. */
async function listening<T>(option: string, port: number, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const variable = `HUB_${option.replace('.', '__').toUpperCase()}`;
    if (code === 'EADDRINUSE')
      throw new UserError(`Port ${port} is taken by another program. Choose another with ${option} or ${variable}.`);
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new UserError(`${option}: cannot listen: ${message}`);
    throw error;
  }
}
