/** What a telemetry schema may say: the rules that keep InfluxDB, SQLite and a chart able to hold every field. */

/** Where a schema is wrong: JSON pointer into it, and the reason in words. */
export interface SchemaFault {
  path: string;
  message: string;
}

export type FieldType = 'number' | 'integer' | 'boolean' | 'string';

export interface Field {
  name: string;
  /** `number` is stored as a float, `integer` as an integer, whatever the value looks like. */
  type: FieldType;
  /** Stored as an indexed tag in InfluxDB. */
  tag: boolean;
  title: string;
  /** UCUM code, when the field has a unit. */
  unit?: string;
}

type Json = Record<string, unknown>;

/** Keys of a reading that are about time, not fields. */
export const RESERVED_KEYS = ['ts', 'age'] as const;
const RESERVED_FIELDS = new Set<string>([...RESERVED_KEYS, 'time', 'device', 'stream', '__proto__', 'constructor']);
const FIELD_NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;
const TYPES = new Set(['number', 'integer', 'boolean', 'string']);
const TOP_KEYWORDS = new Set(
  '$schema $id $comment title description type additionalProperties properties required minProperties'.split(' '),
);
const FIELD_KEYWORDS = new Set(
  (
    '$comment title description type unit default examples deprecated enum const minimum maximum exclusiveMinimum ' +
    'exclusiveMaximum multipleOf minLength maxLength pattern'
  ).split(' '),
);
const MAX_STRING = 4096;
const MAX_FIELDS = 256;

/** Everything that is wrong with a telemetry schema; empty when it can become a stream. */
export function faultsOfStream(schema: unknown): SchemaFault[] {
  if (!isObject(schema)) return [{ path: '', message: 'must be a JSON object' }];
  const faults: SchemaFault[] = [];
  const fault = (path: string, message: string) => faults.push({ path, message });
  if (schema.type !== 'object') fault('/type', 'must be "object": a reading is an object of fields');
  if (schema.additionalProperties !== false)
    fault('/additionalProperties', 'must be false: only known fields have a type');
  for (const key of unknownKeys(schema, TOP_KEYWORDS)) fault(`/${key}`, 'is not supported in a stream schema');
  const properties = schema.properties;
  if (!isObject(properties) || Object.keys(properties).length === 0)
    fault('/properties', 'must hold at least one field');
  else {
    if (Object.keys(properties).length > MAX_FIELDS) fault('/properties', `must hold at most ${MAX_FIELDS} fields`);
    for (const [name, field] of Object.entries(properties)) faults.push(...faultsOfField(name, field));
  }
  return faults;
}

function faultsOfField(name: string, field: unknown): SchemaFault[] {
  const at = `/properties/${name}`;
  if (!isObject(field)) return [{ path: at, message: 'must be a schema object' }];
  const faults: SchemaFault[] = [];
  const fault = (path: string, message: string) => faults.push({ path: at + path, message });
  if (RESERVED_FIELDS.has(name)) fault('', `"${name}" is a reserved word, not a field name`);
  else if (!FIELD_NAME.test(name)) fault('', 'a field name is a letter, then letters, digits or _ (64 at most)');
  if (typeof field.type !== 'string' || !TYPES.has(field.type)) {
    fault('/type', 'must be one of number, integer, boolean, string: a stored field has one scalar type');
  }
  for (const key of unknownKeys(field, FIELD_KEYWORDS)) fault(`/${key}`, 'is not supported on a field');
  if (field.unit !== undefined && typeof field.unit !== 'string') fault('/unit', 'must be a UCUM code');
  if (field.type === 'string') faults.push(...faultsOfString(at, field));
  else if (field['x-tag']) fault('/x-tag', 'only an enumerated string can be a tag');
  return faults;
}

function faultsOfString(at: string, field: Json): SchemaFault[] {
  const faults: SchemaFault[] = [];
  const values = Array.isArray(field.enum) ? field.enum : undefined;
  const bounded = values || (typeof field.maxLength === 'number' && field.maxLength <= MAX_STRING);
  if (!bounded) faults.push({ path: at, message: `a string needs an enum, or a maxLength of at most ${MAX_STRING}` });
  if (!field['x-tag']) return faults;
  if (!values) faults.push({ path: `${at}/enum`, message: 'a tag needs an enum: unbounded tags ruin the index' });
  values?.forEach((value, index) => {
    if (typeof value !== 'string' || !isTagValue(value)) {
      const message = 'a tag value is a non-empty string without control characters or a backslash at its end';
      faults.push({ path: `${at}/enum/${index}`, message });
    }
  });
  return faults;
}

/** Whether InfluxDB's line protocol can carry a tag value: it cannot escape a newline or a trailing backslash. */
export function isTagValue(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.length > 0 && !text.endsWith('\\') && !/[\u0000-\u001f\u007f]/.test(text);
}

/** The fields of a schema without faults. */
export function fieldsOf(schema: Json): Map<string, Field> {
  const fields = new Map<string, Field>();
  for (const [name, raw] of Object.entries(schema.properties as Record<string, Json>)) {
    const field: Field = {
      name,
      type: raw.type as FieldType,
      tag: raw['x-tag'] === true,
      title: String(raw.title ?? name),
    };
    if (typeof raw.unit === 'string') field.unit = raw.unit;
    fields.set(name, field);
  }
  return fields;
}

/** The schema a reading is checked against: fields, plus `ts` and `age`, with integers a double can hold exactly. */
export function readingSchemaOf(schema: Json): Json {
  const properties: Record<string, Json> = { ts: { type: 'number' }, age: { type: 'number', minimum: 0 } };
  for (const [name, raw] of Object.entries(schema.properties as Record<string, Json>)) {
    const exact = { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    properties[name] = raw.type === 'integer' ? { ...exact, ...raw } : raw;
  }
  return { ...schema, $id: undefined, $schema: undefined, properties };
}

function unknownKeys(object: Json, known: Set<string>): string[] {
  return Object.keys(object).filter((key) => !known.has(key) && !key.startsWith('x-'));
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
