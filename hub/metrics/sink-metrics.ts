/** The metrics of where readings end: sinks, MQTT brokers, the telemetry store. As tables, pure. */
import type { Metric } from '../kit/metrics.ts';

interface Sink {
  name: string;
  state: string;
  written: number;
  refused: number;
  lagFrames: number;
  lagMs: number;
}

interface Broker {
  name: string;
  state: string;
  published: number;
  received: number;
  inFlight: number;
}

/** Counts are since the hub started. */
export interface SinkSources {
  sinks(): readonly Sink[];
  brokers(): readonly Broker[];
  store(): {
    replay: { restarts: number; replayed: number; leftFrames: number };
    /** Absent when the store forgets nothing in a restart. */
    comparison?: { missing: number; restored: number; surplus: number };
  };
}

export function sinkMetrics({ sinks, brokers, store }: SinkSources): Metric[] {
  return [...ofSinks(sinks), ...ofBrokers(brokers), ...ofStore(store)];
}

function ofSinks(sinks: SinkSources['sinks']): Metric[] {
  const each = (of: (sink: Sink) => number) => ({ labels: ['sink'], read: () => byName(sinks(), of) });
  return [
    { name: 'hub_sink_written_total', help: 'Readings a sink took.', ...each(({ written }) => written) },
    { name: 'hub_sink_refused_total', help: 'Readings a sink refused for good.', ...each(({ refused }) => refused) },
    { name: 'hub_sink_lag_frames', help: 'Frames a sink has not read.', ...each(({ lagFrames }) => lagFrames) },
    {
      name: 'hub_sink_lag_seconds',
      help: 'How long the oldest unread frame has waited.',
      ...each(({ lagMs }) => lagMs / 1_000),
    },
    {
      name: 'hub_sink_stalled',
      help: '1 while a sink takes nothing until somebody acts.',
      ...each(({ state }) => Number(state === 'stalled')),
    },
  ];
}

function ofBrokers(brokers: SinkSources['brokers']): Metric[] {
  const each = (of: (broker: Broker) => number) => ({ labels: ['broker'], read: () => byName(brokers(), of) });
  return [
    {
      name: 'hub_mqtt_published_total',
      help: 'Messages that an MQTT broker acknowledged.',
      ...each(({ published }) => published),
    },
    {
      name: 'hub_mqtt_received_total',
      help: 'Messages that came from an MQTT broker.',
      ...each(({ received }) => received),
    },
    {
      name: 'hub_mqtt_connected',
      help: 'Whether the hub is connected to an MQTT broker.',
      ...each(({ state }) => Number(state === 'connected')),
    },
    {
      name: 'hub_mqtt_in_flight',
      help: 'Messages that wait for the acknowledgement of an MQTT broker.',
      ...each(({ inFlight }) => inFlight),
    },
  ];
}

function ofStore(store: SinkSources['store']): Metric[] {
  return [
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
      name: 'hub_store_replay_left_frames',
      help: 'Frames that a replay has still to read; 0 when none is under way.',
      read: () => store().replay.leftFrames,
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
}

const byName = <Named extends { name: string }>(all: readonly Named[], of: (each: Named) => number) =>
  Object.fromEntries(all.map((each) => [each.name, of(each)]));
