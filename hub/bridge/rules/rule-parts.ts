/** The parts of a rule, each compiled by itself: the device's name, a field's value, the time of a measurement. Pure. */
import type { Stream } from '../../../schemas/index.ts';
import type { Config } from '../../../schemas/types.gen.ts';
import { compilePath, type JsonPath } from './json-path.ts';
import type { Captures } from './topic-pattern.ts';

type FullRule = Config['mqtt']['rules'][number];
type Defaulted = 'device' | 'register' | 'retained';
/** A rule as it is written: what has a default may be left out. */
export type RuleConfig = Omit<FullRule, Defaulted | 'time'> &
  Partial<Pick<FullRule, Defaulted>> & { time?: { path: string; unit?: NonNullable<FullRule['time']>['unit'] } };
type FieldConfig = Exclude<RuleConfig['fields'][string], string>;

/** Where in the rule something is wrong, and what. */
export class RuleMistake extends Error {
  /** JSON pointer into the rule. */
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** Why a payload does not fit its rule. */
export interface Misfit {
  /** JSON pointer into the reading. */
  path: string;
  code: string;
  message: string;
}

/** Takes something out of a payload: undefined when it is not there. */
type Take<T> = (payload: unknown) => { value: T } | { misfit: Misfit } | undefined;

const NUMERIC = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/;
/** Significant digits of a double that are exact; the rest is noise of the multiplication. */
const DIGITS = 15;
const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/i;
const ZONE = /(Z|[+-]\d\d:?\d\d)$/i;

/** Puts a device's name together. Gives undefined when a part of it is missing. Throws `RuleMistake`. */
export function compileDevice(
  template: string,
  names: readonly string[],
): (captures: Captures, payload: unknown) => string | undefined {
  const parts = template.split(/(\{[^{}]*\})/).filter((part) => part !== '');
  const takes = parts.map((part) => partOf(part, names));
  return (captures, payload) => {
    const values = takes.map((take) => take(captures, payload));
    return values.includes(undefined) ? undefined : values.join('');
  };
}

function partOf(part: string, names: readonly string[]): (captures: Captures, payload: unknown) => string | undefined {
  if (!/^\{.*\}$/s.test(part)) {
    if (/[{}]/.test(part)) throw new RuleMistake('/device', 'has a brace without its counterpart');
    return () => part;
  }
  const inner = part.slice(1, -1);
  const path = inner.startsWith('$') ? compilePath(inner) : undefined;
  if (path) return (_, payload) => textOf(path(payload));
  if (inner.startsWith('$')) throw new RuleMistake('/device', `holds ${inner}, which is no path such as $.device.id`);
  if (names.includes(inner)) return (captures) => captures[inner];
  const known = names.length > 0 ? `; the topic names ${names.map((name) => `{${name}}`).join(', ')}` : '';
  throw new RuleMistake('/device', `holds {${inner}}, which is no level of the topic${known}`);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || Number.isFinite(value) ? String(value) : undefined;
}

/** How the value of a field is found and changed. `stream` is absent when nothing is known of it. Throws `RuleMistake`. */
export function compileField(name: string, config: FieldConfig | string, stream?: Stream): Take<unknown> {
  const at = `/fields/${name}`;
  const field = typeof config === 'string' ? { path: config } : config;
  if (stream) checkField(at, name, field, stream);
  if ((field.path === undefined) === (field.const === undefined))
    throw new RuleMistake(at, 'needs a path or a const, and not both');
  if (field.path === undefined) return constantOf(at, field);
  const path = pathOf(`${at}${typeof config === 'string' ? '' : '/path'}`, field.path);
  const mapped = field.map && new Map(Object.entries(field.map));
  const isScaled = field.scale !== undefined || field.offset !== undefined;
  return (payload) => {
    const found = path(payload);
    // Zigbee2MQTT writes null for what it does not know.
    if (found === undefined || found === null) return undefined;
    const value = mapped ? mapped.get(String(found)) : found;
    if (value === undefined) return { misfit: unmapped(name, found, mapped!) };
    return { value: isScaled ? scaled(value, field) : value };
  };
}

function constantOf(at: string, field: FieldConfig): Take<unknown> {
  const { const: constant, ...others } = field;
  const [other] = Object.keys(others);
  if (other) throw new RuleMistake(`${at}/${other}`, 'changes nothing of a const');
  return () => ({ value: constant });
}

function checkField(at: string, name: string, field: FieldConfig, stream: Stream): void {
  const known = stream.fields.get(name);
  if (!known) {
    const names = [...stream.fields.keys()].join(', ');
    throw new RuleMistake(at, `is no field of the stream ${stream.name}: ${names}`);
  }
  const isNumber = known.type === 'number' || known.type === 'integer';
  for (const key of ['scale', 'offset'] as const) {
    if (field[key] !== undefined && !isNumber)
      throw new RuleMistake(`${at}/${key}`, `is for numbers, not for a ${known.type}`);
  }
  const changes = field.scale !== undefined || field.offset !== undefined;
  const values = [
    ...(field.const === undefined ? [] : [field.const]),
    ...(changes ? [] : Object.values(field.map ?? {})),
  ];
  for (const value of values) {
    const failure = stream.check({ [name]: value });
    if (failure?.path === `/${name}`)
      throw new RuleMistake(at, `gives ${JSON.stringify(value)}, but the field ${failure.message}`);
  }
}

function pathOf(at: string, text: string): JsonPath {
  const path = compilePath(text);
  if (path) return path;
  throw new RuleMistake(
    at,
    `is "${text}", which is no path such as $.ENERGY.Power or $['no motion']; $ is the payload`,
  );
}

function unmapped(name: string, found: unknown, map: Map<string, unknown>): Misfit {
  const shown = JSON.stringify(found).slice(0, 80);
  return {
    path: `/${name}`,
    code: 'map',
    message: `is ${shown}, and the rule maps only ${[...map.keys()].join(', ')}`,
  };
}

/** What is no number stays as it is, so that the stream's schema says what is wrong with it. */
function scaled(value: unknown, { scale = 1, offset = 0 }: FieldConfig): unknown {
  const number = typeof value === 'string' && NUMERIC.test(value) ? Number(value) : value;
  if (typeof number !== 'number') return value;
  return Number((number * scale + offset).toPrecision(DIGITS));
}

/** Gives Unix milliseconds. Throws `RuleMistake`. */
export function compileTime({ path: text, unit = 'ms' }: NonNullable<RuleConfig['time']>): Take<number> {
  const path = pathOf('/time/path', text);
  return (payload) => {
    const found = path(payload);
    if (found === undefined || found === null) return undefined;
    const value = unit === 'iso' ? isoTime(found) : unixTime(found, unit === 's' ? 1_000 : 1);
    if (value !== undefined) return { value };
    const wanted = unit === 'iso' ? 'is no time as ISO 8601 writes it' : `is no Unix time in ${unit}`;
    return { misfit: { path: '/ts', code: 'time', message: `${wanted}: ${JSON.stringify(found).slice(0, 80)}` } };
  };
}

function unixTime(found: unknown, factor: number): number | undefined {
  const number = typeof found === 'string' && NUMERIC.test(found) ? Number(found) : found;
  return typeof number === 'number' && Number.isFinite(number)
    ? Number((number * factor).toPrecision(DIGITS + 1))
    : undefined;
}

function isoTime(found: unknown): number | undefined {
  if (typeof found !== 'string' || !ISO.test(found)) return undefined;
  const time = Date.parse(ZONE.test(found) || !found.includes('T') ? found : `${found}Z`);
  return Number.isNaN(time) ? undefined : time;
}
