/** Builds the road of a reading, gateway → ingest → journal → sinks, and who reacts to what happens on it. */
import { hostname } from 'node:os';
import { loadUplinkChecks } from '../schemas/index.ts';
import { originOf } from './bridge/origin.ts';
import type { CommandState } from './commands/command.ts';
import { whyExpired, whyLeave } from './devices/device-tokens.ts';
import type { GatewayCounts } from './gateway/road.ts';
import { createSessions, type Sessions } from './gateway/sessions.ts';
import { createTalkers, type Talkers } from './gateway/traffic.ts';
import type { HubStart } from './hub.ts';
import type { Bridge } from './hub-bridge.ts';
import { type Care, openCare } from './hub-care.ts';
import type { Records } from './hub-records.ts';
import type { Storage } from './hub-storage.ts';
import { type ClockWatch, createClockWatch } from './kit/clock-watch.ts';
import type { Log } from './kit/log.ts';
import { createMetrics, type Metrics } from './kit/metrics.ts';
import { ledgerMetrics } from './metrics/ledger-metrics.ts';
import { roadMetrics } from './metrics/road-metrics.ts';
import { sinkMetrics } from './metrics/sink-metrics.ts';
import { createStatusReporter, type StatusReporter } from './status.ts';
import { createIngest } from './telemetry/ingest.ts';
import { createLastValues, type LastValues } from './telemetry/last-values.ts';
import type { Live } from './telemetry/live.ts';
import { createQuarantineReplay, isFromQuarantine, type QuarantineReplay } from './telemetry/quarantine-replay.ts';
import { createSinks, type Sinks } from './telemetry/sinks.ts';
import type { Sink } from './telemetry/store.ts';

export interface Road {
  sessions: Sessions;
  live: Live;
  lastValues: LastValues;
  metrics: Metrics;
  reporter: StatusReporter;
  care: Care;
  quarantineReplay: QuarantineReplay;
  talkers: Talkers;
}

/** What only a device can make of a command. */
const ANSWERED = new Set<CommandState>(['accepted', 'succeeded', 'failed', 'rejected']);
const TOKEN_WATCH_MS = 250;
/** The part of the drain time that sinks may take. */
const SINKS_SHARE = 0.4;

export function openRoad(start: HubStart, storage: Storage, records: Records, bridge: Bridge): Road {
  const { config, counts, live, log, stack } = start;
  const { journal, store, quarantine } = storage;
  const ingest = createIngest({ ...config.limits, streams: storage.catalog.streams, retentionMs: storage.retentionMs });
  const quarantineReplay = createQuarantineReplay({ quarantine, ingest, journal });
  const sinks = openSinks(start, storage, bridge.sinks, (offset) => sessions.storedUpTo(offset));
  const care = openCare(start, storage, sinks);
  const clock = watchClock(log);
  const talkers = createTalkers(() => sessions.traffics(), performance.now());
  const onSecond = () => {
    clock.look(Date.now(), performance.now());
    talkers.look(performance.now());
  };
  const reporter = openReporter(start, storage, records, bridge, sinks, care, onSecond);
  const metrics = openMetrics(storage, { reporter, care, quarantineReplay });
  const { devices, presence, commands } = records;
  const sessions = createSessions({
    limits: config.limits,
    heartbeatMs: config.gateway.heartbeatMs,
    checks: loadUplinkChecks(),
    ingest,
    counts,
    journal,
    quarantine,
    commands,
    observeAck: metrics.observeAckLatency,
    onOpen(session) {
      devices.touch(session.device, session.connectedAt);
      presence.opened(session);
      devices
        .used(session.device, session.keyId)
        .catch((error) => log.error({ device: session.device, err: error }, 'its former token could not be ended'));
    },
    onEnd(session, end) {
      if (devices.get(session.device)) devices.touch(session.device, end.at);
      presence.ended(session, end);
    },
    storeProgress: () => {
      const { cursors, next } = journal.status(Date.now());
      return { stored: cursors[store.name]?.offset ?? 0, next };
    },
  });
  metrics.add(roadMetrics({ ...roadNumbers(records, counts, sessions), clockJumps: () => clock.jumps }));
  const leaveExpired = () => {
    for (const { device, keyId } of devices.expired(Date.now())) {
      if (sessions.get(device)?.keyId !== keyId) continue;
      sessions.close(device, 'token-invalid', whyExpired(devices.get(device)?.tokens ?? [], keyId));
    }
  };
  // A job's second is too long: an expired token shall have no socket after one.
  const tokenWatch = setInterval(leaveExpired, TOKEN_WATCH_MS);
  stack.push('token watch', async () => clearInterval(tokenWatch));
  onReadings(storage, records, live, leaveExpired);
  const lastValues = createLastValues(live, store, [...storage.catalog.streams.keys()]);
  onChanges(start, storage, records, sessions, live, lastValues);
  return { sessions, live, lastValues, metrics, reporter, care, quarantineReplay, talkers };
}

function watchClock(log: Log): ClockWatch {
  return createClockWatch(Date.now(), performance.now(), (byMs) => {
    const how = byMs > 0 ? 'put on' : 'put back';
    log.warn({ byMs }, `the clock of this machine was ${how} by ${Math.abs(byMs)} ms, or the machine slept`);
  });
}

function openSinks(
  { config, log, stack }: HubStart,
  { journal, store, quarantine, gaps }: Storage,
  others: readonly Sink[],
  storedUpTo: (offset: number) => void,
): Sinks {
  const sinks = createSinks(journal, [store, quarantine, gaps, ...others], {
    batchReadings: config.store.batchReadings,
    log,
    onRefused: (refused) => quarantine.add(refused),
    onAdvance: (sink, offset) => {
      if (sink === store.name) storedUpTo(offset);
    },
  });
  quarantine.onRoom(sinks.nudge);
  stack.push('sinks', () => sinks.close({ drainMs: config.gateway.drainMs * SINKS_SHARE }));
  return sinks;
}

function openReporter(
  { counts, readiness, version, stack }: HubStart,
  { journal, quarantine }: Storage,
  { audit, devices, presence }: Records,
  bridge: Bridge,
  sinks: Sinks,
  care: Care,
  onSecond: () => void,
): StatusReporter {
  readiness.add(() => journal.status(Date.now()).failing && 'the journal cannot be written; the log says why');
  readiness.add(() => audit.status().failing && 'the audit log cannot be written; the log says why');
  const reporter = createStatusReporter({
    version,
    node: hostname(),
    counts,
    presence: () => presence.counts(devices.size),
    journal,
    sinks,
    quarantine,
    store: care.status,
    audit,
    bridge: bridge.status,
    notReady: readiness.reasons,
    onSecond,
  });
  stack.push('status', () => reporter.close());
  return reporter;
}

/** What is counted where readings end, and of what is written down. */
function openMetrics(
  { journal, quarantine, gaps }: Storage,
  { reporter, care, quarantineReplay }: Pick<Road, 'reporter' | 'care' | 'quarantineReplay'>,
): Metrics {
  const metrics = createMetrics();
  metrics.add(sinkMetrics({ sinks: reporter.sinks, brokers: () => reporter.bridge().brokers, store: care.status }));
  metrics.add(
    ledgerMetrics({
      journal: () => journal.status(Date.now()),
      quarantine: () => ({ ...quarantine.status(), replayed: quarantineReplay.replayed }),
      gaps: () => gaps.noticed,
    }),
  );
  return metrics;
}

/** What is counted on the way from the devices. */
function roadNumbers({ commands, devices, presence }: Records, counts: GatewayCounts, sessions: Sessions) {
  return {
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
  };
}

/** What follows from each group commit. */
function onReadings(
  { journal }: Storage,
  { devices, presence, commands }: Records,
  live: Live,
  leaveExpired: () => void,
): void {
  journal.onCommit((frames) => {
    live.update(frames);
    for (const frame of frames) {
      if (isFromQuarantine(frame)) continue;
      const { device, epoch, receivedAt, readings } = frame;
      devices.touch(device, receivedAt);
      presence.heard(device, receivedAt, readings.length, originOf(epoch)?.broker);
    }
    // A flood of readings starves timers; it drives the deadlines of commands and tokens itself.
    commands.sweep();
    leaveExpired();
  });
}

/** What follows from a change of a command, of a presence, of a device. */
function onChanges(
  { log }: HubStart,
  { journal, gaps }: Storage,
  records: Records,
  sessions: Sessions,
  live: Live,
  lastValues: LastValues,
): void {
  const { commands, devices, presence } = records;
  commands.onChange((command) => {
    const { device, id, state, updatedAt } = command;
    live.tell({ kind: 'command', device, key: id, data: command });
    if (ANSWERED.has(state)) devices.touch(device, updatedAt);
  });
  presence.onChange((device, now) => live.tell({ kind: 'presence', device, data: { device, ...now } }));
  // Checkpoints and blocks tell of removed devices, too.
  journal.forgetAllBut((id) => devices.get(id) !== undefined);
  devices.onChange((id, device, isRevoked) => {
    const why = whyLeave(device, sessions.get(id)?.keyId ?? '', isRevoked);
    if (why) sessions.close(id, why.code, why.detail);
    if (device) return;
    for (const part of [live, lastValues, journal, presence]) part.forget(id);
    commands.removeDevice(id).catch((error) => log.error({ device: id, err: error }, 'its commands stay'));
    gaps.forget(id).catch((error) => log.error({ device: id, err: error }, 'its gaps stay'));
  });
}
