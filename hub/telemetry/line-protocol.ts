/**
 * Writes readings as InfluxDB line protocol: measurement = stream, tag `device`, one field for each field.
 *
 * InfluxDB's identity of a point is measurement, tags and time, the hub's identity of a reading is device, stream and
 * time. A field with `x-tag` is therefore written twice: as a tag, to group by, and as a string field `<name>.value`,
 * so that a reading of nothing but tags is a point at all and the field can be counted or its last value asked for.
 * Rewriting a reading with the same tag value changes nothing. Rewriting it with **another** tag value leaves both
 * points in the database, since they belong to two series and the old one is not known any more: a query of the hub
 * merges them into one row, aggregates see both. Nothing else of a stream has that flaw, so a tag should describe the
 * moment of the reading (a state), not be corrected afterwards.
 */
import type { Stream } from '../../schemas/index.ts';
import { type Field, isTagValue } from '../../schemas/stream.ts';
import type { Frame, Reading, Value } from './reading.ts';
import { bySeries, misfit } from './series.ts';
import type { Refused } from './store.ts';

/** Lines sorted by series; line `i` is `readings[i]` of `frames[i]`, and empty when it needs no writing any more. */
export interface EncodedBatch {
  lines: string[];
  frames: Frame[];
  readings: Reading[];
  /** Readings that line protocol cannot carry; they have no line. */
  refused: Refused[];
}

/** Timestamps are in microseconds: write with `precision=u`. Never throws. */
export type EncodeLines = (frames: readonly Frame[]) => EncodedBatch;

interface FieldEncoder {
  /** `name=`, and with a comma before it. */
  first: string;
  next: string;
  /** `,name=` when the field is a tag too. */
  tag: string | undefined;
  /** The value as text, or undefined when it does not fit the field. */
  encode(value: Value): string | undefined;
}

interface StreamEncoder {
  stream: Stream;
  /** `measurement,device=` */
  prefix: string;
  fields: Map<string, FieldEncoder>;
}

/** The key of a field in InfluxDB; a dot cannot occur in a field's own name. */
export function storedKey(field: Field): string {
  return field.tag ? `${field.name}.value` : field.name;
}

/** Compiles an encoder for each stream; what does not depend on the reading is done here. */
export function createLineEncoder(streams: ReadonlyMap<string, Stream>): EncodeLines {
  const encoders = new Map([...streams].map(([name, stream]) => [name, compile(stream)]));
  return (frames) => {
    const batch: EncodedBatch = { lines: [], frames: [], readings: [], refused: [] };
    for (const frame of bySeries(frames)) encodeFrame(encoders.get(frame.stream), frame, batch);
    return batch;
  };
}

function encodeFrame(encoder: StreamEncoder | undefined, frame: Frame, batch: EncodedBatch): void {
  const series = encoder && isTagValue(frame.device) ? encoder.prefix + escapeKey(frame.device) : undefined;
  for (const reading of frame.readings) {
    const line = series === undefined ? undefined : lineOf(encoder!, series, reading);
    if (line === undefined) {
      const message = misfit(encoder?.stream, frame, reading) ?? 'line protocol cannot carry the device or a tag';
      batch.refused.push({ frame, reading, message });
      continue;
    }
    batch.lines.push(line);
    batch.frames.push(frame);
    batch.readings.push(reading);
  }
}

function lineOf(encoder: StreamEncoder, series: string, reading: Reading): string | undefined {
  let tags = series;
  let fields = '';
  for (const name in reading) {
    if (name === 'ts') continue;
    const field = encoder.fields.get(name);
    const text = field?.encode(reading[name]!);
    if (field === undefined || text === undefined) return undefined;
    if (field.tag !== undefined) tags += field.tag + escapeKey(reading[name] as string);
    fields += (fields === '' ? field.first : field.next) + text;
  }
  return fields === '' ? undefined : `${tags} ${fields} ${Math.round(reading.ts * 1000)}`;
}

function compile(stream: Stream): StreamEncoder {
  const fields = new Map([...stream.fields.values()].map((field) => [field.name, compileField(field)]));
  return { stream, prefix: `${escapeMeasurement(stream.name)},device=`, fields };
}

function compileField(field: Field): FieldEncoder {
  const key = escapeKey(storedKey(field));
  return {
    first: `${key}=`,
    next: `,${key}=`,
    tag: field.tag ? `,${escapeKey(field.name)}=` : undefined,
    encode: field.tag ? tagText : TEXTS[field.type],
  };
}

/** Each refuses what `fits` refuses. */
const TEXTS: Record<Field['type'], FieldEncoder['encode']> = {
  number: (value) => (Number.isFinite(value) ? `${value}` : undefined),
  integer: (value) => (Number.isSafeInteger(value) ? `${value}i` : undefined),
  boolean: (value) => (typeof value !== 'boolean' ? undefined : value ? 't' : 'f'),
  string: (value) => (typeof value === 'string' ? quoted(value) : undefined),
};

const tagText = (value: Value) => (typeof value === 'string' && isTagValue(value) ? quoted(value) : undefined);

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Tag keys, tag values and field keys. A newline or a trailing backslash cannot be escaped: see `isTagValue`. */
function escapeKey(text: string): string {
  return /[,= ]/.test(text) ? text.replace(/[,= ]/g, '\\$&') : text;
}

function escapeMeasurement(text: string): string {
  return text.replace(/[, ]/g, '\\$&');
}
