/** Makes the messages of a Sparkplug B edge node: topics, and the metrics of births, data and deaths. Pure. */
import type { Catalog, CommandType, Stream } from '../../../schemas/index.ts';
import type { FieldType } from '../../../schemas/stream.ts';
import type { Reading } from '../../telemetry/reading.ts';
import { shownUnit } from '../units.ts';

export type MetricType = 'Int64' | 'Double' | 'Boolean' | 'String';

/** `null`: there is no value (yet). */
export interface Metric {
  name: string;
  type: MetricType;
  value: number | string | boolean | null;
  /** Unix milliseconds at which it was measured. */
  timestamp: number;
  /** Not the present: a host keeps it and leaves what it shows. */
  isHistorical?: boolean;
  /** As it is shown; only in births. */
  unit?: string;
}

export interface Payload {
  /** Unix milliseconds at which it was made. */
  timestamp: number;
  /** 0 to 255, counting every message of the edge node; a death by will has none. */
  seq?: number;
  metrics: Metric[];
}

/** A metric that came from a host; it need not have any of these. */
export interface ReceivedMetric {
  name?: string;
  value: unknown;
}

/** What a host sent. */
export interface ReceivedPayload {
  timestamp?: number;
  metrics: ReceivedMetric[];
}

/** Bytes on the wire. Decoding throws for bytes that are no Sparkplug payload. */
export interface SparkplugCodec {
  encode(payload: Payload): Buffer;
  decode(bytes: Buffer): ReceivedPayload;
}

export type MessageKind = 'NBIRTH' | 'NDEATH' | 'DBIRTH' | 'DDEATH' | 'DDATA' | 'NCMD' | 'DCMD';

/** Where the edge node stands in the namespace. */
export interface EdgeNodeName {
  group: string;
  node: string;
}

export const REBIRTH = 'Node Control/Rebirth';
/** Wraps `seq` and `bdSeq`. */
export const SEQUENCES = 256;

export function sparkplugTopic({ group, node }: EdgeNodeName, kind: MessageKind, device?: string): string {
  return `spBv1.0/${group}/${kind}/${node}${device === undefined ? '' : `/${device}`}`;
}

/** Ties a death to the birth of the same connection. */
export const bdSeqMetric = (bdSeq: number, timestamp: number): Metric => ({
  ...{ name: 'bdSeq', type: 'Int64', value: bdSeq, timestamp },
});

/** Of NBIRTH. */
export const nodeMetrics = (bdSeq: number, version: string, timestamp: number): Metric[] => [
  bdSeqMetric(bdSeq, timestamp),
  { name: REBIRTH, type: 'Boolean', value: false, timestamp },
  { name: 'Properties/Hub Version', type: 'String', value: version, timestamp },
];

/** What a device may say and be told. */
export type Offer = Pick<Catalog, 'streams' | 'commands'>;

/** Of DBIRTH: every field of every stream that the device is known to send, with the last value, and its commands. */
export function deviceMetrics(
  seen: Iterable<string>,
  last: Readonly<Record<string, Reading>>,
  { streams, commands }: Offer,
  now: number,
): Metric[] {
  const measured = [...seen].flatMap((name) => {
    const stream = streams.get(name);
    return stream ? streamMetrics(stream, last[name], now) : [];
  });
  return [...measured, ...[...commands.values()].flatMap((type) => commandMetrics(type, now))];
}

function streamMetrics({ name, fields }: Stream, reading: Reading | undefined, now: number): Metric[] {
  return [...fields.values()].map((field) => {
    const unit = shownUnit(field.unit);
    const value = reading?.[field.name] ?? null;
    const timestamp = value === null ? now : reading!.ts;
    const metric = { name: `${name}/${field.name}`, type: TYPES[field.type], value, timestamp: Math.trunc(timestamp) };
    return unit === undefined ? metric : { ...metric, unit };
  });
}

const TYPES: Record<FieldType, MetricType> = {
  number: 'Double',
  integer: 'Int64',
  boolean: 'Boolean',
  string: 'String',
};

/** Of DDATA: the fields of one reading. */
export function readingMetrics(
  stream: string,
  fields: Stream['fields'],
  reading: Reading,
  isHistorical: boolean,
): Metric[] {
  const timestamp = Math.trunc(reading.ts);
  const metrics: Metric[] = [];
  for (const field of fields.values()) {
    const value = reading[field.name];
    if (value === undefined) continue;
    const metric: Metric = { name: `${stream}/${field.name}`, type: TYPES[field.type], value, timestamp };
    metrics.push(isHistorical ? { ...metric, isHistorical } : metric);
  }
  return metrics;
}

/** How a host writes a command: a metric for each parameter, one that runs it without any, or one that takes JSON. */
export interface CommandMetric {
  name: string;
  type: MetricType;
  command: string;
  /** Absent: the whole command. */
  param?: string;
  unit?: string;
}

/** The metrics by which a command can be asked for. */
export function metricsOfCommand({ name: command, schema }: CommandType): CommandMetric[] {
  const { properties = {}, required = [] } = (schema.params ?? {}) as {
    properties?: Record<string, { type?: string; unit?: string }>;
    required?: string[];
  };
  const whole = { name: `commands/${command}`, command };
  const params = Object.entries(properties).map(([param, { type = '', unit }]) => {
    const shown = shownUnit(unit);
    const metric = { name: `${whole.name}/${param}`, type: TYPES[type as FieldType], command, param };
    return shown === undefined ? metric : { ...metric, unit: shown };
  });
  if (params.some(({ type }) => !type)) return [{ ...whole, type: 'String' }];
  return required.length > 0 ? params : [{ ...whole, type: 'Boolean' }, ...params];
}

const commandMetrics = (type: CommandType, timestamp: number): Metric[] =>
  metricsOfCommand(type).map(({ name, type, unit }) => ({
    ...{ name, type, timestamp, value: type === 'Boolean' ? false : null },
    ...(unit !== undefined && { unit }),
  }));
