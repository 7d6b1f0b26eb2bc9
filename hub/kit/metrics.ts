/** Metrics for Prometheus: plain numbers that the parts count anyway, read when somebody asks. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type AlertSources, addAlertMetrics } from './alert-metrics.ts';
import { type LedgerSources, ledgerCounters, ledgerGauges } from './ledger-metrics.ts';

/** Where the numbers are; each is read once for each scrape. Counts are since the hub started. */
export interface MetricSources extends LedgerSources {
  /** Readings by outcome: accepted, rejected. */
  readings(): Record<string, number>;
  /** Frames by direction and type, or by outcome. */
  frames(): Record<string, number>;
  /** Devices with an open session. */
  sessions(): number;
  /** Jumps of the wall clock that were noticed. */
  clockJumps(): number;
  /** Known devices by their presence. */
  devices(): Record<string, number>;
  /** Commands by the state they reached, and how many are queued now. */
  commands(): { reached: Readonly<Record<string, number>>; queued: number };
  /** MQTT brokers. */
  brokers(): readonly { name: string; state: string; published: number; received: number; inFlight: number }[];
  sinks(): readonly {
    name: string;
    state: string;
    written: number;
    refused: number;
    lagFrames: number;
    lagMs: number;
  }[];
  store(): {
    replay: { restarts: number; replayed: number; leftFrames: number };
    /** Absent when the store forgets nothing in a restart. */
    comparison?: { missing: number; restored: number; surplus: number };
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
  addStoreMetrics(registry, sources.store);
  addPlainCounters(registry, [
    ...ledgerCounters(sources),
    { name: 'hub_clock_jumps_total', help: 'Jumps of the wall clock by a second or more.', read: sources.clockJumps },
  ]);
  addPlainGauges(registry, ledgerGauges(sources));
  return {
    observeAckLatency: (seconds) => ackLatency.observe(seconds),
    watchDoors: (doors) => addDoorMetrics(registry, doors),
    watchAlerts: (alerts) => addAlertMetrics(registry, alerts),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function addCounters(registry: Registry, { readings, frames, sinks, commands, brokers }: MetricSources) {
  const byBroker = (value: 'published' | 'received') => () =>
    Object.fromEntries(brokers().map((broker) => [broker.name, broker[value]]));
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
    {
      name: 'hub_mqtt_published_total',
      help: 'Messages that an MQTT broker acknowledged.',
      label: 'broker',
      read: byBroker('published'),
    },
    {
      name: 'hub_mqtt_received_total',
      help: 'Messages that came from an MQTT broker.',
      label: 'broker',
      read: byBroker('received'),
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

function addGauges(registry: Registry, { sessions, devices, commands, brokers }: MetricSources) {
  const plain = [
    { name: 'hub_sessions', help: 'Devices with an open session.', read: sessions },
    { name: 'hub_commands_queued', help: 'Commands that wait to be sent.', read: () => commands().queued },
  ];
  addPlainGauges(registry, plain);
  new Gauge({
    name: 'hub_devices',
    help: 'Known devices by presence: online, silent or offline.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(devices())) this.set({ state }, count);
    },
  });
  addBrokerGauges(registry, brokers);
}

function addPlainGauges(registry: Registry, gauges: { name: string; help: string; read: () => number }[]) {
  for (const { name, help, read } of gauges) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  }
}

function addPlainCounters(
  registry: Registry,
  counters: { name: string; help: string; read: () => number | undefined }[],
) {
  for (const { name, help, read } of counters) {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read() ?? 0);
      },
    });
  }
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

function addBrokerGauges(registry: Registry, brokers: MetricSources['brokers']) {
  const gauges = [
    {
      name: 'hub_mqtt_connected',
      help: 'Whether the hub is connected to an MQTT broker.',
      read: (broker: ReturnType<typeof brokers>[number]) => Number(broker.state === 'connected'),
    },
    {
      name: 'hub_mqtt_in_flight',
      help: 'Messages that wait for the acknowledgement of an MQTT broker.',
      read: (broker: ReturnType<typeof brokers>[number]) => broker.inFlight,
    },
  ];
  for (const { name, help, read } of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ['broker'],
      registers: [registry],
      collect() {
        this.reset();
        for (const broker of brokers()) this.set({ broker: broker.name }, read(broker));
      },
    });
  }
}

function addStoreMetrics(registry: Registry, store: MetricSources['store']) {
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
      read: () => store().comparison?.missing,
    },
    {
      name: 'hub_store_restored_total',
      help: 'Missing values that were written again.',
      read: () => store().comparison?.restored,
    },
    {
      name: 'hub_store_surplus_total',
      help: 'Values that the store has and the journal does not have.',
      read: () => store().comparison?.surplus,
    },
  ];
  addPlainCounters(registry, counters);
  new Gauge({
    name: 'hub_store_replay_left_frames',
    help: 'Frames that a replay has still to read; 0 when none is under way.',
    registers: [registry],
    collect() {
      this.set(store().replay.leftFrames);
    },
  });
}
