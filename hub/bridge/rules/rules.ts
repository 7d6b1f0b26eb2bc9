/** Rules that make readings of what devices say on a broker: compiled once, applied to each message. Pure. */
import { isUtf8 } from 'node:buffer';
import type { Stream } from '../../../schemas/index.ts';
import { isTooDeep } from '../../kit/depth.ts';
import { compileDevice, compileField, compileTime, type Misfit, type RuleConfig, RuleMistake } from './rule-parts.ts';
import { compilePattern } from './topic-pattern.ts';

/** What a rule makes of a message. */
export type Outcome =
  /** Not checked yet: the stream's schema and the clock come after. Without `ts` the arrival counts. */
  | { kind: 'reading'; device: string; reading: Record<string, unknown> }
  /** None of the fields is in the payload; devices say other things, too. */
  | { kind: 'nothing' }
  /** `device` is absent when not even that could be told; `payload` is what came. */
  | ({ kind: 'refused'; device?: string; payload: unknown } & Misfit);

export interface Rule {
  /** Its name in the status. */
  name: string;
  /** Takes messages of this broker only. */
  broker?: string;
  stream: string;
  /** MQTT topic filter to subscribe to. */
  filter: string;
  /** Adds devices that are not known. */
  register: boolean;
  /** Takes retained messages too. */
  retained: boolean;
  /** Whether it is for this topic. */
  matches(topic: string): boolean;
  /** Never throws, whatever came. `retained`: a message that has no time of its own is refused. */
  apply(topic: string, payload: Buffer, retained?: boolean): Outcome;
}

export interface Mistake {
  /** JSON pointer into the configuration. */
  path: string;
  message: string;
}

export interface RuleContext {
  /** Without them only what can be seen in the rule itself is checked. */
  streams?: ReadonlyMap<string, Stream>;
  /** Names of the configured brokers. */
  brokers?: readonly string[];
}

/** Larger payloads are refused: 128 KiB, as of a frame of a device. */
export const MAX_PAYLOAD_BYTES = 131_072;
const MAX_DEPTH = 8;
const MAX_SHOWN = 16_384;

/** Those that can be used, and what is wrong with the others. */
export function compileRules(
  configs: readonly RuleConfig[],
  context: RuleContext = {},
): { rules: Rule[]; mistakes: Mistake[] } {
  const rules: Rule[] = [];
  const mistakes: Mistake[] = [];
  for (const [index, config] of configs.entries()) {
    try {
      rules.push(compileRule(config, context));
    } catch (error) {
      if (!(error instanceof RuleMistake)) throw error;
      mistakes.push({ path: `/mqtt/rules/${index}${error.path}`, message: error.message });
    }
  }
  return { rules, mistakes };
}

function compileRule(config: RuleConfig, { streams, brokers }: RuleContext): Rule {
  const { topic, name = topic, broker, device = '{device}', register = false, retained = false } = config;
  const pattern = compilePattern(topic);
  if (typeof pattern === 'string') throw new RuleMistake('/topic', pattern);
  if (broker !== undefined && brokers && !brokers.includes(broker))
    throw new RuleMistake('/broker', `is "${broker}", but the brokers are ${brokers.join(', ') || 'none'}`);
  if (retained && !config.time)
    throw new RuleMistake('/retained', 'needs time: a retained message comes again at each connection');
  const stream = streams?.get(config.stream);
  if (streams && !stream)
    throw new RuleMistake('/stream', `is "${config.stream}", but the streams are ${[...streams.keys()].join(', ')}`);
  const deviceOf = compileDevice(device, pattern.names);
  const read = compileReading(config, stream);
  return {
    ...{ name, stream: config.stream, filter: pattern.filter, register, retained },
    ...(broker !== undefined && { broker }),
    matches: (of) => pattern.match(of) !== undefined,
    apply(of, payload, isRetained = false) {
      const captures = pattern.match(of) ?? {};
      const parsed = parse(payload, read.takesText);
      const named = deviceOf(captures, 'misfit' in parsed ? undefined : parsed.value);
      const known = named === undefined ? {} : { device: named };
      if ('misfit' in parsed) return { kind: 'refused', ...known, ...parsed.misfit, payload: shown(payload) };
      if (named === undefined) return { kind: 'refused', ...NO_DEVICE, payload: parsed.value };
      const made = read.reading(parsed.value, isRetained);
      if (made === undefined) return { kind: 'nothing' };
      if ('misfit' in made) return { kind: 'refused', ...known, ...made.misfit, payload: parsed.value };
      return { kind: 'reading', device: named, reading: made.value };
    },
  };
}

const NO_DEVICE: Misfit = { path: '', code: 'device', message: 'does not name its device where the rule looks for it' };
const NO_TIME: Misfit = { path: '/ts', code: 'time', message: 'is missing, and a retained message needs one' };

type Made = { value: Record<string, unknown> } | { misfit: Misfit } | undefined;

/** How the payload becomes a reading. `takesText`: a payload that is not JSON may be a value itself. */
function compileReading(config: RuleConfig, stream: Stream | undefined) {
  const fields = Object.entries(config.fields).map(([name, field]) => ({
    name,
    isConstant: typeof field === 'object' && field.const !== undefined,
    take: compileField(name, field, stream),
  }));
  const time = config.time && compileTime(config.time);
  const onlyConstants = fields.every(({ isConstant }) => isConstant);
  const takesText = Object.values(config.fields).some(
    (field) => (typeof field === 'string' ? field : field.path) === '$',
  );

  function reading(payload: unknown, isRetained: boolean): Made {
    const value: Record<string, unknown> = {};
    let isFound = onlyConstants;
    for (const { name, isConstant, take } of fields) {
      const taken = take(payload);
      if (taken === undefined) continue;
      if ('misfit' in taken) return taken;
      value[name] = taken.value;
      isFound ||= !isConstant;
    }
    if (!isFound) return undefined;
    const ts = time?.(payload);
    if (ts === undefined) return isRetained ? { misfit: NO_TIME } : { value };
    return 'misfit' in ts ? ts : { value: { ts: ts.value, ...value } };
  }

  return { takesText, reading };
}

function parse(payload: Buffer, takesText: boolean): { value: unknown } | { misfit: Misfit } {
  const misfit = (code: string, message: string) => ({ misfit: { path: '', code, message } });
  if (payload.length > MAX_PAYLOAD_BYTES) return misfit('too-big', `must have at most ${MAX_PAYLOAD_BYTES} bytes`);
  if (!isUtf8(payload)) return misfit('not-json', 'is not text in UTF-8');
  if (isTooDeep(payload, MAX_DEPTH)) return misfit('too-deep', `must be nested at most ${MAX_DEPTH} levels deep`);
  const text = payload.toString();
  try {
    return { value: JSON.parse(text) };
  } catch {
    return takesText ? { value: text } : misfit('not-json', 'is not JSON');
  }
}

/** What can be kept of a payload that is not JSON. */
function shown(payload: Buffer): string {
  return payload.subarray(0, MAX_SHOWN).toString();
}
