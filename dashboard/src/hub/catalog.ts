/** The contract of this hub: streams and commands from its schemas, and which parts of the API it has. */
import { signal } from '@preact/signals';
import { get } from './client.http.ts';

/** The part of JSON Schema that forms and charts are made from. */
export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  unit?: string;
  enum?: (string | number)[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  default?: unknown;
  examples?: unknown[];
  required?: string[];
  properties?: Record<string, JsonSchema>;
}

export interface Field {
  name: string;
  type: 'number' | 'integer' | 'boolean' | 'string';
  title: string;
  /** UCUM. */
  unit?: string;
  /** Values are multiples of it; when the schema says so. */
  step?: number;
}

export interface Stream {
  name: string;
  title: string;
  description: string;
  fields: Field[];
  schema: JsonSchema;
}

export interface CommandType {
  name: string;
  title: string;
  description: string;
  timeoutMs: number;
  idempotent: boolean;
  /** What to ask before it is sent. */
  confirm?: string;
  schema: { params?: JsonSchema; result?: JsonSchema };
}

interface Catalog {
  streams: Stream[];
  commands: CommandType[];
}

/** Empty until the hub told it. */
export const catalog = signal<Catalog>({ streams: [], commands: [] });
const routes = signal<ReadonlySet<string>>(new Set());

/** Asks the hub once for what does not change while it runs. Throws `HubRefusal`, `HubAway`. */
export async function loadCatalog(): Promise<void> {
  const [schemas, api] = await Promise.all([
    get<Catalog>('/v1/schemas'),
    get<{ paths: Record<string, Record<string, unknown>> }>('/openapi.json'),
  ]);
  routes.value = new Set(
    Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    ),
  );
  catalog.value = { ...schemas, streams: schemas.streams.map(withSteps) };
}

/** Each field with the step of its schema. */
export function withSteps(stream: Stream): Stream {
  const stepOf = (name: string) => stream.schema.properties?.[name]?.multipleOf;
  const fields = stream.fields.map((field) => {
    const step = stepOf(field.name);
    return step === undefined ? field : { ...field, step };
  });
  return { ...stream, fields };
}

/** Whether this hub has a route, such as `GET /v1/bridge`; parameters are written `{id}`. */
export const hasRoute = (route: string): boolean => routes.value.has(route);

export const streamOf = (name: string) => catalog.value.streams.find((stream) => stream.name === name);

export const commandOf = (name: string) => catalog.value.commands.find((command) => command.name === name);

/** Title of a field, for people; its name when the schema does not say. */
export function fieldOf(stream: string, name: string): Field {
  const known = streamOf(stream)?.fields.find((field) => field.name === name);
  return known ?? { name, type: 'number', title: name };
}
