/** Metrics for Prometheus: plain numbers that the parts count anyway, read when somebody asks. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type AlertSources, addAlertMetrics } from './alert-metrics.ts';

/** Where the numbers are; each is read once for each scrape. Counts are since the hub started. */
export interface MetricSources {
  /** Readings by outcome: accepted, rejected, duplicate, quarantined … */
  readings(): Record<string, number>;
  /** Frames by direction and type, or by outcome. */
  frames(): Record<string, number>;
  /** Devices with an open session. */
  sessions(): number;
  /** Known devices by their presence. */
  devices(): Record<string, number>;
  journal(): { bytes: number; limitBytes: number; space: { roomBytes: number; alarm: number } };
  /** Commands by the state they reached, and how many are queued now. */
  commands(): { reached: Readonly<Record<string, number>>; queued: number };
  sinks(): readonly {
    name: string;
    state: string;
    written: number;
    refused: number;
    lagFrames: number;
    lagMs: number;
  }[];
  /** Absent when the store forgets nothing in a restart. */
  store?(): {
    replay: { restarts: number; replayed: number; leftFrames: number };
    comparison: { missing: number; restored: number; surplus: number };
  };
}

export interface DoorSources {
  /** Connections at the device door since the start, by what became of them. */
  knocks(): Readonly<Record<string, number>>;
  /** When the certificate of each door ends, Unix milliseconds. */
  certificates(): Readonly<Record<string, number>>;
}

export interface Metrics {
  /** A group was committed, so long after its oldest frame arrived. */
  observeAckLatency(seconds: number): void;
  /** Adds what is known only when the doors are open. */
  watchDoors(doors: DoorSources): void;
  /** Adds what is known only when the alerts are there. */
  watchAlerts(alerts: AlertSources): void;
  /** The text that a scrape gets. */
  text(): Promise<string>;
  readonly contentType: string;
}

const ACK_BUCKETS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** A registry of its own, so that several hubs in one process do not meet. Node's own metrics are included. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const ackLatency = new Histogram({
    name: 'hub_ack_latency_seconds',
    help: 'From the arrival of the oldest frame of a group commit until the group is durable and acknowledged.',
    buckets: ACK_BUCKETS_SECONDS,
    registers: [registry],
  });
  addCounters(registry, sources);
  addGauges(registry, sources);
  addSinkGauges(registry, sources);
  if (sources.store) addStoreMetrics(registry, sources.store);
  return {
    observeAckLatency: (seconds) => ackLatency.observe(seconds),
    watchDoors: (doors) => addDoorMetrics(registry, doors),
    watchAlerts: (alerts) => addAlertMetrics(registry, alerts),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function addCounters(registry: Registry, { readings, frames, sinks, commands }: MetricSources) {
  const bySink = (value: 'written' | 'refused') => () =>
    Object.fromEntries(sinks().map((sink) => [sink.name, sink[value]]));
  const counters = [
    { name: 'hub_readings_total', help: 'Readings by what became of them.', label: 'outcome', read: readings },
    { name: 'hub_frames_total', help: 'Frames by kind.', label: 'kind', read: frames },
    {
      name: 'hub_commands_total',
      help: 'Commands by each state they reached.',
      label: 'state',
      read: () => commands().reached,
    },
    { name: 'hub_sink_written_total', help: 'Readings a sink took.', label: 'sink', read: bySink('written') },
    {
      name: 'hub_sink_refused_total',
      help: 'Readings a sink refused for good.',
      label: 'sink',
      read: bySink('refused'),
    },
  ];
  for (const { name, help, label, read } of counters) {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read())) this.inc({ [label]: value }, count);
      },
    });
  }
}

function addDoorMetrics(registry: Registry, { knocks, certificates }: DoorSources) {
  new Counter({
    name: 'hub_knocks_total',
    help: 'Connections at the device door by what became of them.',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(knocks())) this.inc({ outcome }, count);
    },
  });
  new Gauge({
    name: 'hub_certificate_end_seconds',
    help: 'When the certificate of a door ends, Unix time.',
    labelNames: ['door'],
    registers: [registry],
    collect() {
      for (const [door, endMs] of Object.entries(certificates())) this.set({ door }, endMs / 1_000);
    },
  });
}

function addGauges(registry: Registry, { sessions, devices, journal, commands }: MetricSources) {
  const plain = [
    { name: 'hub_sessions', help: 'Devices with an open session.', read: sessions },
    { name: 'hub_commands_queued', help: 'Commands that wait to be sent.', read: () => commands().queued },
    { name: 'hub_journal_bytes', help: 'Size of the journal.', read: () => journal().bytes },
    { name: 'hub_journal_limit_bytes', help: 'Size the journal never exceeds.', read: () => journal().limitBytes },
    {
      name: 'hub_journal_room_bytes',
      help: 'What the journal may still grow, by its limit and its disk.',
      read: () => journal().space.roomBytes,
    },
    {
      name: 'hub_journal_alarm_percent',
      help: 'The alarm of the journal that stands: 0, 70, 85 or 95.',
      read: () => journal().space.alarm,
    },
  ];
  for (const { name, help, read } of plain) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  }
  new Gauge({
    name: 'hub_devices',
    help: 'Known devices by presence: online, silent or offline.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(devices())) this.set({ state }, count);
    },
  });
}

function addSinkGauges(registry: Registry, { sinks }: MetricSources) {
  type Sink = ReturnType<typeof sinks>[number];
  const gauges = [
    { name: 'hub_sink_lag_frames', help: 'Frames a sink has not read.', read: (sink: Sink) => sink.lagFrames },
    {
      name: 'hub_sink_lag_seconds',
      help: 'How long the oldest unread frame has waited.',
      read: (sink: Sink) => sink.lagMs / 1_000,
    },
    {
      name: 'hub_sink_stalled',
      help: '1 while a sink takes nothing until somebody acts.',
      read: (sink: Sink) => (sink.state === 'stalled' ? 1 : 0),
    },
  ];
  for (const { name, help, read } of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ['sink'],
      registers: [registry],
      collect() {
        this.reset();
        for (const sink of sinks()) this.set({ sink: sink.name }, read(sink));
      },
    });
  }
}

function addStoreMetrics(registry: Registry, store: NonNullable<MetricSources['store']>) {
  const counters = [
    {
      name: 'hub_store_restarts_total',
      help: 'Restarts of the store that the hub noticed.',
      read: () => store().replay.restarts,
    },
    {
      name: 'hub_store_replayed_total',
      help: 'Readings that were written again after a restart of the store.',
      read: () => store().replay.replayed,
    },
    {
      name: 'hub_store_missing_total',
      help: 'Values that the store had acknowledged and lacked.',
      read: () => store().comparison.missing,
    },
    {
      name: 'hub_store_restored_total',
      help: 'Missing values that were written again.',
      read: () => store().comparison.restored,
    },
    {
      name: 'hub_store_surplus_total',
      help: 'Values that the store has and the journal does not have.',
      read: () => store().comparison.surplus,
    },
  ];
  for (const { name, help, read } of counters) {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
  new Gauge({
    name: 'hub_store_replay_left_frames',
    help: 'Frames that a replay has still to read; 0 when none is under way.',
    registers: [registry],
    collect() {
      this.set(store().replay.leftFrames);
    },
  });
}
