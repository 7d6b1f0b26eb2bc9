/** What all stores do alike: the order of a batch, why a reading does not fit its stream, the columns of a query. */
import type { Stream } from '../../schemas/index.ts';
import type { Field } from '../../schemas/stream.ts';
import type { Frame, Reading, Value } from './reading.ts';
import type { Aggregate, Query, WindowFunction } from './store.ts';

/**
 * The frames that hold readings, by stream and device. Readings of one series end up side by side, which saves a
 * database a third of its work; within a series they stay as they came, because the later field wins.
 */
export function bySeries(frames: readonly Frame[]): Frame[] {
  return frames.filter((frame) => frame.readings.length > 0).sort(compareSeries);
}

function compareSeries(a: Frame, b: Frame): number {
  if (a.stream !== b.stream) return a.stream < b.stream ? -1 : 1;
  if (a.device !== b.device) return a.device < b.device ? -1 : 1;
  return 0;
}

/**
 * Whether a store can keep the value in the field without changing its type. Ingest has checked that already, but a
 * schema may have changed while the frame waited in the journal.
 */
export function fits(field: Field, value: Value): boolean {
  if (field.type === 'number') return Number.isFinite(value);
  if (field.type === 'integer') return Number.isSafeInteger(value);
  return typeof value === field.type;
}

/** Why a store cannot keep the reading, in a sentence; undefined when it can. */
export function misfit(stream: Stream | undefined, frame: Frame, reading: Reading): string | undefined {
  if (!stream) return `the hub has no stream "${frame.stream}" any more`;
  let fields = 0;
  for (const name in reading) {
    if (name === 'ts') continue;
    const field = stream.fields.get(name);
    if (!field) return `the stream "${frame.stream}" has no field "${name}" any more`;
    if (!fits(field, reading[name]!)) return `the field "${name}" must be of type ${field.type}`;
    fields++;
  }
  return fields === 0 ? 'the reading has no field' : undefined;
}

/** One column of an answer: a field, or what becomes of it in a window. */
export interface Column {
  /** Its key in the row. */
  name: string;
  field: Field;
  fn?: Aggregate;
}

/** The columns a query asks for, in its order. `mean`, `min` and `max` are of numbers only. */
export function columnsAsked(stream: Stream, { fields, buckets }: Pick<Query, 'fields' | 'buckets'>): Column[] {
  const all = fields ? fields.map((name) => stream.fields.get(name)) : [...stream.fields.values()];
  const known = all.filter((field) => field !== undefined);
  if (!buckets) return known.map((field) => ({ name: field.name, field }));
  return known.flatMap((field) => windowColumns(field, buckets.fn));
}

function windowColumns(field: Field, fn: WindowFunction): Column[] {
  const { name } = field;
  const isNumber = field.type === 'number' || field.type === 'integer';
  if (fn === 'envelope') return isNumber ? envelopeOf(field) : [{ name, field, fn: 'last' }];
  const needsNumber = fn === 'mean' || fn === 'min' || fn === 'max';
  return needsNumber && !isNumber ? [] : [{ name, field, fn }];
}

function envelopeOf(field: Field): Column[] {
  const { name } = field;
  return [
    { name, field, fn: 'mean' },
    { name: `${name}_min`, field, fn: 'min' },
    { name: `${name}_max`, field, fn: 'max' },
  ];
}
