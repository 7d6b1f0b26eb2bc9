/** The configuration: YAML, environment and secret files become one checked, frozen `Config`, or a list of mistakes. */
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { checkConfig, configSchema, type Failure } from '../schemas/index.ts';
import type { Config } from '../schemas/types.gen.ts';
import { checkApi, checkGateway, checkPorts, type Mistake } from './config-doors.ts';
import { readOr } from './config-files.ts';
import { checkMqtt } from './config-mqtt.ts';
import { checkRollups } from './config-store.ts';
import { EXIT_CONFIG, UserError } from './kit/errors.ts';

export type { Config };

export interface ConfigSource {
  /** Name and text of the YAML file, when there is one. */
  file?: { name: string; text: string };
  env: Record<string, string | undefined>;
  /** Reads a secret file; throws when it cannot. */
  readFile(path: string): string;
  /** What else is wrong, asked of a configuration without other mistakes. */
  checkLast?(config: Config): Mistake[];
}

interface OptionSchema {
  type: string;
  description: string;
  default?: unknown;
  enum?: string[];
  properties?: Record<string, OptionSchema>;
  items?: OptionSchema;
}

/** One option of the configuration, flattened from the schema. */
export interface Option {
  path: string[];
  /** Its name in the environment. */
  env: string;
  schema: OptionSchema;
  /** Of a list of sections: the options of each. They have no name in the environment: the list is JSON there. */
  items?: Option[];
}

/** Variables that start with HUB_ but are not options: the CLI and the entry point read them. */
const OTHER_VARIABLES = new Set(['HUB_CONFIG', 'HUB_DATA', 'HUB_URL', 'HUB_TOKEN']);

/** Every option, in the order of the schema. */
export const OPTIONS: readonly Option[] = flatten(configSchema as unknown as OptionSchema, []);

function flatten(schema: OptionSchema, path: string[]): Option[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const at = [...path, key];
    if (property.properties) return flatten(property, at);
    const items = property.items?.properties ? { items: flatten(property.items, [...path, `${key}[]`]) } : {};
    return [{ path: at, env: variableOf(at), schema: property, ...items }];
  });
}

function variableOf(path: string[]): string {
  return `HUB_${path.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('__')}`;
}

/** Merges the sources and fills in the defaults. Throws a `UserError` (exit 78) that names every mistake with its place. */
export function loadConfig(source: ConfigSource): Config {
  const file = parseFile(source.file);
  const fromEnv = new Map<string, string>();
  const mistakes = [...file.mistakes, ...applyEnvironment(file.value, source.env, fromEnv)];
  if (file.mistakes.length === 0) {
    const failures = checkConfig(file.value);
    const config = file.value as unknown as Config;
    const broken = new Set(failures.map(({ path }) => path.split('/')[1]));
    const crossed = crossCheck(config, source, (section) => !broken.has(section));
    if (failures.length + crossed.length + mistakes.length === 0) crossed.push(...(source.checkLast?.(config) ?? []));
    for (const { path, message } of [...failures.map(withExample), ...crossed]) {
      mistakes.push(`${placeOf(path, fromEnv, file.locate)}${dotted(path)} ${message}`);
    }
  }
  if (mistakes.length > 0) throw configError(mistakes);
  return deepFreeze(file.value as unknown as Config);
}

/** What must have another type is shown one: the default. */
function withExample({ path, code, message }: Failure): Mistake {
  const example = OPTIONS.find((option) => `/${option.path.join('/')}` === path)?.schema.default;
  const hasOne = code === 'type' && (typeof example === 'number' || typeof example === 'boolean');
  return { path, message: hasOne ? `${message}, such as ${example}` : message };
}

function configError(mistakes: string[]): UserError {
  const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`;
  return new UserError(
    `The configuration has ${count}:\n${mistakes.map((line) => `  ${line}`).join('\n')}\n\`hub config docs\` lists every option.`,
    EXIT_CONFIG,
  );
}

type Tree = Record<string, unknown>;

function parseFile(file: ConfigSource['file']) {
  const lines = new LineCounter();
  const document = parseDocument(file?.text ?? '{}', { lineCounter: lines, prettyErrors: false });
  const name = file?.name ?? '';
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}: `;
  };
  const mistakes = document.errors.map((error) => `${at(error.pos[0])}${error.message}`);
  const value = (document.errors.length === 0 ? document.toJS() : {}) ?? {};
  if (typeof value !== 'object' || Array.isArray(value))
    mistakes.push(`${name}:1:1: must hold sections, not one value`);
  return { value: value as Tree, mistakes, locate: (path: string[]) => at(offsetOf(document, path)) };
}

/** Where the deepest existing part of a path stands in the file: its key when it has one. */
function offsetOf(document: Document, path: string[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const key of path) {
    if (isSeq(node)) {
      node = node.items[Number(key)];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
      continue;
    }
    if (!isMap(node)) break;
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
    if (!pair) break;
    if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
    node = pair.value;
  }
  return offset;
}

function applyEnvironment(config: Tree, env: ConfigSource['env'], fromEnv: Map<string, string>): string[] {
  const mistakes: string[] = [];
  const byName = new Map(OPTIONS.map((option) => [option.env, option]));
  for (const [name, text] of Object.entries(env)) {
    // An empty variable is how compose files and unit files leave one out.
    if (!name.startsWith('HUB_') || !text || OTHER_VARIABLES.has(name)) continue;
    const option = byName.get(name);
    if (!option) {
      mistakes.push(`environment ${name}: is no option of the hub`);
      continue;
    }
    setAt(config, option.path, parseValue(text, option));
    fromEnv.set(option.path.join('/'), name);
  }
  return mistakes;
}

/** Leaves a section alone that is no section: the schema says so, and nothing is replaced in silence. */
function setAt(config: Tree, path: string[], value: unknown): void {
  let section = config;
  for (const key of path.slice(0, -1)) {
    section[key] ??= {};
    if (typeof section[key] !== 'object') return;
    section = section[key] as Tree;
  }
  section[path.at(-1)!] = value;
}

/** A text that does not look like its type is left as text, so that the schema can say what is wrong with it. */
function parseValue(text: string, { schema: { type }, items }: Option): unknown {
  if (items) return parseJson(text);
  if (type === 'array')
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  if ((type === 'integer' || type === 'number') && text.trim() !== '' && Number.isFinite(Number(text)))
    return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a schema cannot say, for the sections that fit theirs; reads the secret files on the way. */
function crossCheck(config: Config, { readFile, env }: ConfigSource, isSound: (section: string) => boolean): Mistake[] {
  return [
    ...(isSound('gateway') ? checkGateway(config.gateway, readFile) : []),
    ...(isSound('api') ? checkApi(config.api, readFile) : []),
    ...(isSound('mqtt') ? checkMqtt(config.mqtt, readFile, env) : []),
    ...(['gateway', 'api', 'mqtt'].every(isSound) ? checkPorts(config) : []),
    ...(isSound('store') ? checkStore(config.store, readFile) : []),
  ];
}

function checkStore(store: Config['store'], readFile: ConfigSource['readFile']): Mistake[] {
  return [...checkUrl(store.url), ...readSecrets(store, readFile), ...checkRollups(store)];
}

/** The address is not repeated in the message: it may hold a password. */
function checkUrl(url: string): Mistake[] {
  if (!URL.canParse(url)) return [{ path: '/store/url', message: 'is no address such as http://127.0.0.1:8086' }];
  const { username, password } = new URL(url);
  if (!username && !password) return [];
  return [{ path: '/store/url', message: 'must not hold credentials: use store.username and store.passwordFile' }];
}

function readSecrets(store: Config['store'], readFile: ConfigSource['readFile']): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const key of ['password', 'token'] as const) {
    const file = store[`${key}File`];
    if (file === undefined) continue;
    if (store[key] !== undefined)
      mistakes.push({ path: `/store/${key}File`, message: `and store.${key} exclude each other` });
    const text = readOr(file, `/store/${key}File`, readFile);
    if (typeof text === 'string') store[key] = text.trimEnd();
    else mistakes.push(text);
  }
  return mistakes;
}

function placeOf(path: string, fromEnv: Map<string, string>, locate: (path: string[]) => string): string {
  const keys = path.split('/').slice(1);
  const variable = keys.map((_, at) => fromEnv.get(keys.slice(0, at + 1).join('/'))).find(Boolean);
  return variable ? `environment ${variable}: ` : locate(keys);
}

const dotted = (pointer: string) => pointer.slice(1).replaceAll('/', '.') || 'the file';

function deepFreeze<T extends object>(object: T): T {
  for (const value of Object.values(object)) if (typeof value === 'object' && value !== null) deepFreeze(value);
  return Object.freeze(object);
}
