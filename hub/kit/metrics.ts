/** Metrics for Prometheus: plain numbers that the parts count anyway, read when somebody asks. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** One number, or one for each value of the first label, each of which may be split by the next label. */
export type Numbers = number | undefined | { readonly [value: string]: Numbers };

/** A counter, from the start of the hub, when its name ends in `_total`; otherwise a gauge. */
export interface Metric {
  name: string;
  help: string;
  labels?: readonly string[];
  /** Called once for each scrape; undefined counts as 0. */
  read(): Numbers;
}

export interface Metrics {
  add(metrics: readonly Metric[]): void;
  /** A group was committed, so long after its oldest frame arrived. */
  observeAckLatency(seconds: number): void;
  /** The text that a scrape gets. */
  text(): Promise<string>;
  readonly contentType: string;
}

const ACK_BUCKETS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** A registry of its own, so that several hubs in one process do not meet. Node's own metrics are included. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const ackLatency = new Histogram({
    name: 'hub_ack_latency_seconds',
    help: 'From the arrival of the oldest frame of a group commit until the group is durable and acknowledged.',
    buckets: ACK_BUCKETS_SECONDS,
    registers: [registry],
  });
  return {
    add(metrics) {
      for (const metric of metrics) register(registry, metric);
    },
    observeAckLatency: (seconds) => ackLatency.observe(seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function register(registry: Registry, { name, help, labels = [], read }: Metric): void {
  const Kind = name.endsWith('_total') ? Counter : Gauge;
  new Kind({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      this.reset();
      for (const [values, number] of samplesOf(read(), labels)) this.inc(values, number);
    },
  });
}

type Sample = [values: Record<string, string>, number: number];

function* samplesOf(numbers: Numbers, [label, ...inner]: readonly string[], outer: Sample[0] = {}): Generator<Sample> {
  if (typeof numbers !== 'object') yield [outer, numbers ?? 0];
  else
    for (const [value, part] of Object.entries(numbers)) yield* samplesOf(part, inner, { ...outer, [label!]: value });
}
