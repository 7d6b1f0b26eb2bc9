/** Loads and compiles the contract once: streams, commands, protocol frames and the configuration. The home of ajv. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type AnySchemaObject, type ErrorObject, type ValidateFunction } from 'ajv';
import safeRegex from 'safe-regex2';
import { type Field, faultsOfStream, fieldsOf, readingSchemaOf, type SchemaFault } from './stream.ts';

/** What does not fit, in the words of JSON Schema. */
export interface Failure {
  /** JSON pointer into the value. */
  path: string;
  /** The keyword that was broken. */
  code: string;
  message: string;
}

/** Returns the first failure, or undefined when the value fits. */
export type Check = (value: unknown) => Failure | undefined;

/** Returns everything that does not fit, at most `MAX_FAILURES`. For what people write, and small. */
export type CheckAll = (value: unknown) => Failure[];

export interface Stream {
  name: string;
  title: string;
  description: string;
  fields: ReadonlyMap<string, Field>;
  /** The JSON Schema as written. */
  schema: AnySchemaObject;
  /** Checks one reading, `ts` and `age` allowed. */
  check: Check;
}

export interface CommandType {
  name: string;
  title: string;
  description: string;
  timeoutMs: number;
  idempotent: boolean;
  /** A question to ask a person before it is sent. */
  confirm?: string;
  schema: AnySchemaObject;
  /** Of parameters whose size was checked: it goes on after the first failure. */
  checkParams: CheckAll;
  checkResult: Check;
}

/** A file of protocol/: the frames of one direction, each with examples. */
export interface ProtocolSchema {
  $defs: Record<string, FrameSchema>;
}

export interface FrameSchema extends Record<string, unknown> {
  title: string;
  description: string;
  properties: Record<string, Record<string, unknown>>;
  examples: Record<string, unknown>[];
}

export interface Catalog {
  streams: ReadonlyMap<string, Stream>;
  commands: ReadonlyMap<string, CommandType>;
  /** Files of the user's folder that stand in for shipped ones of the same name. */
  replaced: readonly string[];
}

/** One or more schema files cannot be used; the message has a line for each fault. */
export class SchemaError extends Error {
  constructor(faults: { file: string; path: string; message: string }[]) {
    super(faults.map(({ file, path, message }) => `${file}: ${path || '/'}: ${message}`).join('\n'));
    this.name = 'SchemaError';
  }
}

const CONTRACT = import.meta.dirname;
const KINDS = ['telemetry', 'commands'] as const;
const FILE_NAME = /^([a-z][A-Za-z0-9_-]{0,63})\.json$/;
const ANNOTATIONS = ['unit', 'confirm', 'idempotent', 'timeoutMs'];
const COMMAND_SCHEMA = readJson(join(CONTRACT, 'command.json')) as AnySchemaObject;

/** More would help nobody. */
const MAX_FAILURES = 20;

/** No coercion, no defaults, own properties only; of telemetry and frames the first error only. */
const strictAjv = (allErrors = false) => {
  const ajv = new Ajv({ strict: true, strictRequired: false, ownProperties: true, allErrors, logger: false });
  ajv.addVocabulary(ANNOTATIONS);
  return ajv;
};

/** Reads the streams and commands of the contract and of the user's own folder, whose files come first. Throws `SchemaError`. */
export function loadCatalog(userDir?: string): Catalog {
  const dirs = userDir === undefined ? [CONTRACT] : [CONTRACT, userDir];
  const faults: { file: string; path: string; message: string }[] = [];
  if (userDir !== undefined && !KINDS.some((kind) => existsSync(join(userDir, kind)))) {
    faults.push({ file: userDir, path: '', message: 'has no folder telemetry/ or commands/' });
  }
  const replaced: string[] = [];
  const load = <T>(kind: (typeof KINDS)[number], build: (name: string, schema: AnySchemaObject) => T) => {
    const loaded = new Map<string, T>();
    for (const { file, name } of dirs.flatMap((dir) => schemaFiles(join(dir, kind), faults))) {
      try {
        if (loaded.has(name)) replaced.push(file);
        loaded.set(name, build(name, readJson(file) as AnySchemaObject));
      } catch (error) {
        const found = error instanceof FaultList ? error.faults : [{ path: '', message: (error as Error).message }];
        faults.push(...found.map((fault) => ({ file, ...fault })));
      }
    }
    return loaded;
  };
  const catalog = { streams: load('telemetry', buildStream), commands: load('commands', buildCommand), replaced };
  if (faults.length > 0) throw new SchemaError(faults);
  return catalog;
}

class FaultList extends Error {
  readonly faults: SchemaFault[];
  constructor(faults: SchemaFault[]) {
    super('schema faults');
    this.faults = faults;
  }
}

function buildStream(name: string, schema: AnySchemaObject): Stream {
  const faults = [...faultsOfStream(schema), ...unsafePatterns(schema)];
  if (faults.length > 0) throw new FaultList(faults);
  const check = checkOf(compile(readingSchemaOf(schema) as AnySchemaObject));
  const { title = name, description = '' } = schema;
  return { name, title, description, fields: fieldsOf(schema), schema, check };
}

function buildCommand(name: string, schema: AnySchemaObject): CommandType {
  const failure = commandFile(schema);
  const faults = failure ? [{ path: failure.path, message: failure.message }] : unsafePatterns(schema);
  if (faults.length > 0) throw new FaultList(faults);
  const { title = name, description = '', timeoutMs = 30_000, idempotent = false, confirm } = schema;
  const checkParams = checkAllOf(compile(schema.params ?? { type: 'object', additionalProperties: false }, true));
  const checkResult = checkOf(compile(schema.result ?? {}));
  return { name, title, description, timeoutMs, idempotent, confirm, schema, checkParams, checkResult };
}

/** Every `pattern` that could take exponential time on a hostile string. */
function unsafePatterns(schema: unknown, path = ''): SchemaFault[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    const at = `${path}/${key}`;
    if (key === 'uniqueItems' && value === true) return [{ path: at, message: 'is refused: it takes quadratic time' }];
    if (key === 'pattern' && typeof value === 'string') {
      return safeRegex(value) ? [] : [{ path: at, message: 'may take exponential time (nested repetition)' }];
    }
    return unsafePatterns(value, at);
  });
}

function compile(schema: AnySchemaObject, allErrors = false): ValidateFunction {
  const ajv = strictAjv(allErrors);
  ajv.addVocabulary([...extensionsIn(schema)]);
  return ajv.compile(schema);
}

/** The `x-…` keywords a schema uses: annotations for others, which ajv must be told of. */
function extensionsIn(schema: unknown, found = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return found;
  for (const [key, value] of Object.entries(schema)) {
    if (key.startsWith('x-')) found.add(key);
    else extensionsIn(value, found);
  }
  return found;
}

const commandFile = checkOf(compile(COMMAND_SCHEMA));

function checkOf(validate: ValidateFunction): Check {
  return (value) => (validate(value) ? undefined : failureOf(validate.errors![0]!));
}

function checkAllOf(validate: ValidateFunction): CheckAll {
  return (value) => (validate(value) ? [] : validate.errors!.slice(0, MAX_FAILURES).map(failureOf));
}

function failureOf(error: ErrorObject): Failure {
  const { instancePath, keyword, params, message = 'is not valid' } = error;
  if (keyword === 'additionalProperties') {
    return {
      path: `${instancePath}/${escapePointer(params.additionalProperty)}`,
      code: keyword,
      message: 'is not a known field',
    };
  }
  if (keyword === 'required') {
    return { path: `${instancePath}/${escapePointer(params.missingProperty)}`, code: keyword, message: 'is missing' };
  }
  if (keyword === 'enum')
    return { path: instancePath, code: keyword, message: `must be one of ${params.allowedValues.join(', ')}` };
  if (keyword === 'const') return { path: instancePath, code: keyword, message: `must be ${params.allowedValue}` };
  return { path: instancePath, code: keyword, message };
}

const escapePointer = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1');

/** Checks of the frames that devices send, by `type`. */
export function loadUplinkChecks(): Record<'hello' | 'telemetry' | 'progress' | 'result', Check> {
  const ajv = strictAjv();
  ajv.addSchema(readJson(join(CONTRACT, 'protocol/uplink.json')) as AnySchemaObject);
  const check = (name: string) => checkOf(ajv.compile({ $ref: `uplink.json#/$defs/${name}` }));
  return { hello: check('Hello'), telemetry: check('Telemetry'), progress: check('Progress'), result: check('Result') };
}

/** The frames of both directions, as the documentation tells them. */
export const protocolSchemas = {
  uplink: readJson(join(CONTRACT, 'protocol/uplink.json')) as ProtocolSchema,
  downlink: readJson(join(CONTRACT, 'protocol/downlink.json')) as ProtocolSchema,
};

/** The JSON Schema of the configuration: defaults and documentation of every option. */
export const configSchema = readJson(join(CONTRACT, 'config.json')) as AnySchemaObject;

/** Fills in the defaults of a configuration in place; returns everything that does not fit. */
export function checkConfig(config: unknown): Failure[] {
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, useDefaults: true, allErrors: true, logger: false });
  ajv.addVocabulary(['x-secret']);
  const validate = ajv.compile(configSchema);
  return validate(config) ? [] : validate.errors!.map(failureOf);
}

function schemaFiles(dir: string, faults: { file: string; path: string; message: string }[]) {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir).filter((name) => name.endsWith('.json'));
  return names.sort().flatMap((base) => {
    const name = FILE_NAME.exec(base)?.[1];
    const file = join(dir, base);
    if (name) return [{ file, name }];
    faults.push({ file, path: '', message: 'a file name is a letter a-z, then letters, digits, - or _' });
    return [];
  });
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`cannot be read as JSON: ${(error as Error).message}`);
  }
}
