/** The payload of a reading: the reading as JSON, or what a template of the configuration makes of it. */
import type { Stream } from '../../schemas/index.ts';
import { EXIT_CONFIG, UserError } from '../kit/errors.ts';
import type { Reading } from '../telemetry/reading.ts';

/** The text of one reading. */
export type PayloadOf = (device: string, stream: string, reading: Reading) => string;

type Schema = Record<string, unknown>;

/** Schemas of the parts of a payload. */
export interface PayloadParts {
  stream: string;
  reading: Schema;
  /** Undefined for a field that the stream has not. */
  fieldOf(name: string): Schema | undefined;
}

type Part = (device: string, stream: string, reading: Reading) => unknown;

const PARTS: Record<string, Part> = {
  reading: (_device, _stream, reading) => reading,
  device: (device) => device,
  stream: (_device, stream) => stream,
  ts: (_device, _stream, { ts }) => ts,
  iso: (_device, _stream, { ts }) => new Date(ts).toISOString(),
};
/** JSON Schemas of the parts that are the same for every stream. */
const PART_SCHEMAS: Record<string, Schema> = {
  device: { type: 'string' },
  ts: { type: 'number', description: 'Unix milliseconds.' },
  iso: { type: 'string', format: 'date-time' },
};
/** A name alone in braces; JSON has none. */
const NAME = /\{([A-Za-z_][\w.-]*)\}/g;
const FIELD = /^fields\.([A-Za-z_]\w*)$/;

/** The names of the fields of all streams. */
export function fieldNamesOf(streams: ReadonlyMap<string, Stream>): Set<string> {
  return new Set(Array.from(streams.values(), (stream) => [...stream.fields.keys()]).flat());
}

/** Why a template cannot be used; `fields` are the names of all streams' fields, when they are known. */
export function faultOfPayload(template: string, fields?: ReadonlySet<string>): string | undefined {
  for (const [, name] of template.matchAll(NAME)) {
    const field = FIELD.exec(name!)?.[1];
    if (!field && !(name! in PARTS)) {
      return `has {${name}}, which stands for nothing; it may have {reading}, {device}, {stream}, {ts}, {iso} and {fields.NAME}`;
    }
    if (field && fields && !fields.has(field)) return `has {${name}}, but no stream has a field ${field}`;
  }
  return faultOfSample(compilePayload(template)('device', 'stream', { ts: 0 }));
}

/** Other text is for those who want it, such as lines of CSV. */
function faultOfSample(text: string): string | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    return `begins like JSON and is none once it is filled in: ${text.slice(0, 200)}`;
  }
}

/** The payload of a template that the streams fit. Throws `UserError`. */
export function openPayload(template: string, streams: ReadonlyMap<string, Stream>): PayloadOf {
  const fault = faultOfPayload(template, fieldNamesOf(streams));
  if (fault) throw new UserError(`mqtt.payload ${fault}.`, EXIT_CONFIG);
  return compilePayload(template);
}

/** The template must have no fault; each part is JSON, and a field that a reading has not is `null`. */
export function compilePayload(template: string): PayloadOf {
  if (template === '') return (_device, _stream, reading) => JSON.stringify(reading);
  const pieces = template.split(NAME);
  const parts = pieces.map((name, at) => (at % 2 === 0 ? undefined : partOf(name)));
  return (device, stream, reading) =>
    pieces.map((text, at) => (parts[at] ? JSON.stringify(parts[at](device, stream, reading) ?? null) : text)).join('');
}

function partOf(name: string): Part {
  const field = FIELD.exec(name)?.[1];
  return field ? (_device, _stream, reading) => (Object.hasOwn(reading, field) ? reading[field] : null) : PARTS[name]!;
}

/** The JSON Schema of what a template makes; undefined when that is no JSON. The template must have no fault. */
export function schemaOfPayload(template: string, parts: PayloadParts): Schema | undefined {
  if (template === '') return parts.reading;
  const names: string[] = [];
  const marked = template.replace(NAME, (_, name) => JSON.stringify(`${MARK}${names.push(name) - 1}`));
  try {
    return schemaOfValue(JSON.parse(marked), (at) => schemaOfPart(names[at]!, parts));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Stands for a part while the template is read as JSON; no text of a template begins with it. */
const MARK = '\u0000';

function schemaOfPart(name: string, { stream, reading, fieldOf }: PayloadParts): Schema {
  if (name === 'reading') return reading;
  if (name === 'stream') return { const: stream };
  const field = FIELD.exec(name)?.[1];
  if (field === undefined) return PART_SCHEMAS[name]!;
  const schema = fieldOf(field);
  return schema ? { anyOf: [schema, { type: 'null' }] } : { type: 'null' };
}

/** Closed: a template makes the same members each time. */
function schemaOfValue(value: unknown, partAt: (at: number) => Schema): Schema {
  if (typeof value === 'string' && value.startsWith(MARK)) return partAt(Number(value.slice(1)));
  if (Array.isArray(value)) {
    const items = value.map((item) => schemaOfValue(item, partAt));
    return { type: 'array', items, additionalItems: false, minItems: items.length };
  }
  if (typeof value !== 'object' || value === null) return { const: value };
  const properties = Object.entries(value).map(([key, each]) => [key, schemaOfValue(each, partAt)]);
  const closed = { additionalProperties: false, required: Object.keys(value) };
  return { type: 'object', properties: Object.fromEntries(properties), ...closed };
}
