/** Sparkplug payloads as bytes, by the package `sparkplug-payload` of Eclipse Tahu, whose only home this is. */
import { get } from 'sparkplug-payload';
import type { Metric, Payload, ReceivedMetric, SparkplugCodec } from './sparkplug.ts';

const library = get('spBv1.0')!;

export const sparkplugCodec: SparkplugCodec = {
  encode({ timestamp, seq, metrics }: Payload): Buffer {
    const payload = { timestamp, metrics: metrics.map(writtenMetric), ...(seq !== undefined && { seq }) };
    return Buffer.from(library.encodePayload(payload));
  },
  decode(bytes) {
    const { timestamp, metrics } = library.decodePayload(bytes);
    const at = numberOf(timestamp);
    return { metrics: (metrics ?? []).map(readMetric), ...(typeof at === 'number' && { timestamp: at }) };
  },
};

function writtenMetric({ name, type, value, timestamp, isHistorical, unit }: Metric) {
  return {
    ...{ name, type, value, timestamp },
    ...(isHistorical && { isHistorical }),
    // The name that hosts look for.
    ...(unit !== undefined && { properties: { engUnit: { type: 'String' as const, value: unit } } }),
  };
}

function readMetric({ name, value }: { name?: string | null; value: unknown }): ReceivedMetric {
  const read = { value: numberOf(value) };
  return typeof name === 'string' ? { ...read, name } : read;
}

/** 64-bit integers come as objects; commands need no more than a double holds. */
function numberOf(value: unknown): unknown {
  const isLong = typeof value === 'object' && value !== null && 'toNumber' in value;
  return isLong ? (value as { toNumber(): number }).toNumber() : value;
}
