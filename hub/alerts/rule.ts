/** A rule of alerts: what is watched, when it is wrong, and whether a person may have written it so. Pure. */
import type { Stream } from '../../schemas/index.ts';
import { RefusedMember } from '../kit/errors.ts';

/**
 * `field`: a field of a stream above or below a limit. `no-reading`: a device that sent none for `forMs`. `offline`: a
 * device that is not connected. `quarantine`: so many refused readings within `windowMs`. `lag`: a sink behind the journal.
 */
export const RULE_KINDS = ['field', 'no-reading', 'offline', 'quarantine', 'lag'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];
export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** A rule as a person writes it; durations are milliseconds. */
export interface RuleDetails {
  kind: RuleKind;
  /** Of `field`; of `no-reading` it may be left out, and then any stream counts. */
  stream?: string;
  field?: string;
  /** The alert begins above, or below, this value … */
  above?: number;
  below?: number;
  /** … and may end only when the value has come back as far as this one; as far as the limit without it. */
  clear?: number;
  /** Of `lag`: one sink; without it each. */
  sink?: string;
  /** Of `lag`: how old the oldest waiting frame may be. */
  lagMs?: number;
  /** Of `quarantine`: more readings than this within `windowMs`. */
  readings?: number;
  windowMs?: number;
  /** How long it must be wrong before it fires; of `no-reading` how long a device may be quiet. */
  forMs?: number;
  /** How long it must be right again before it is resolved. */
  clearForMs?: number;
  /** Devices that are listed and bear all tags; without it every device. */
  selector?: { tags?: Record<string, string>; devices?: string[] };
  severity?: Severity;
  description?: string;
  /** Names of channels; without it every channel. */
  deliver?: string[];
  enabled?: boolean;
}

/** A rule in force. */
export interface Rule extends RuleDetails {
  id: string;
  forMs: number;
  clearForMs: number;
  severity: Severity;
  description: string;
  enabled: boolean;
  /** Rules of the configuration are changed there and nowhere else. */
  origin: 'configuration' | 'api';
}

/** What a rule is held against. */
export interface RuleContext {
  streams: ReadonlyMap<string, Pick<Stream, 'fields'>>;
  /** Absent before they are known: then any may be named. */
  sinks?: readonly string[];
  channels: readonly string[];
}

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const DEFAULT_WINDOW_MS = 300_000;

/** What each kind must say, and what it may. */
const SAYS: Record<RuleKind, { must: (keyof RuleDetails)[]; may: (keyof RuleDetails)[] }> = {
  field: { must: ['stream', 'field'], may: ['above', 'below', 'clear', 'selector'] },
  'no-reading': { must: ['forMs'], may: ['stream', 'selector'] },
  offline: { must: [], may: ['selector'] },
  quarantine: { must: ['readings'], may: ['windowMs'] },
  lag: { must: ['lagMs'], may: ['sink'] },
};
const EVERY_KIND: (keyof RuleDetails)[] = [
  ...(['kind', 'forMs', 'clearForMs', 'severity', 'description', 'deliver', 'enabled'] as const),
];

/** The rule with its defaults. `details` fits the schema of rules. Throws `RefusedMember` (invalid). */
export function ruleOf(id: string, details: RuleDetails, origin: Rule['origin'], context: RuleContext): Rule {
  const fault = faultOfRule(id, details, context);
  if (fault !== undefined) {
    const [member, words] = fault;
    throw new RefusedMember('invalid', `/${member}`, `The rule "${id.slice(0, 80)}": ${member} ${words}.`, words);
  }
  const defaults = { forMs: 0, clearForMs: 0, severity: 'warning', description: '', enabled: true } as const;
  const window = details.kind === 'quarantine' ? { windowMs: DEFAULT_WINDOW_MS } : {};
  return { ...defaults, ...window, ...details, id, origin };
}

/** Which member is wrong, and words that follow its name. */
type Fault = [member: keyof RuleDetails | 'id', words: string];

function faultOfRule(id: string, details: RuleDetails, context: RuleContext): Fault | undefined {
  if (!ID.test(id)) return ['id', 'must be letters, digits, or . _ - (64 at most)'];
  const { kind } = details;
  const { must, may } = SAYS[kind];
  const missing = must.find((key) => details[key] === undefined);
  if (missing) return [missing, `is missing: the kind ${kind} needs it`];
  const allowed = new Set<string>([...must, ...may, ...EVERY_KIND]);
  const surplus = Object.keys(details).find((key) => !allowed.has(key)) as keyof RuleDetails | undefined;
  const own = [...must, ...may].join(', ');
  if (surplus) return [surplus, `is nothing that the kind ${kind} has: it has ${own}`];
  return faultOfLimits(details) ?? faultOfNames(details, context);
}

function faultOfLimits({ kind, above, below, clear, forMs }: RuleDetails): Fault | undefined {
  if (kind === 'no-reading' && forMs === 0) return ['forMs', 'must be more than 0: how long a device may be quiet'];
  if (kind !== 'field') return undefined;
  if (above === undefined && below === undefined) return ['above', 'is missing, or below: where it begins'];
  if (above !== undefined && below !== undefined) return ['below', 'and above exclude each other'];
  if (clear === undefined) return undefined;
  if (above !== undefined && clear > above) return ['clear', `must not be above the limit ${above}: it is ${clear}`];
  if (below !== undefined && clear < below) return ['clear', `must not be below the limit ${below}: it is ${clear}`];
  return undefined;
}

function faultOfNames(details: RuleDetails, { streams, sinks, channels }: RuleContext): Fault | undefined {
  const { stream, field, sink, deliver = [] } = details;
  if (stream !== undefined && !streams.has(stream)) return ['stream', isNone(stream, 'streams', streams.keys())];
  if (sink !== undefined && sinks?.includes(sink) === false) return ['sink', isNone(sink, 'sinks', sinks)];
  const channel = deliver.find((name) => !channels.includes(name));
  if (channel !== undefined) return ['deliver', isNone(channel, 'channels', channels)];
  if (field === undefined) return undefined;
  const { fields } = streams.get(stream!)!;
  const type = fields.get(field)?.type;
  if (type === undefined) return ['field', isNone(field, `fields of ${stream}`, fields.keys())];
  return NUMERIC.has(type) ? undefined : ['field', `is "${field}", which holds no number but a ${type}`];
}

function isNone(name: string, what: string, names: Iterable<string>): string {
  return `is "${name}", but the ${what} are ${[...names].join(', ') || 'none'}`;
}

const NUMERIC = new Set<string>(['number', 'integer']);

/** Whether a value is wrong, right again, or in between, where an alert neither begins nor ends. */
export type Verdict = 'bad' | 'between' | 'good';

/** Of a rule of the kind `field`. */
export function verdictOf({ above, below, clear }: RuleDetails, value: number): Verdict {
  if (above !== undefined) return value > above ? 'bad' : value > (clear ?? above) ? 'between' : 'good';
  return value < below! ? 'bad' : value < (clear ?? below!) ? 'between' : 'good';
}

/** How long a rule's verdict must last before it fires: the quiet time of `no-reading` is in its verdict already. */
export const patienceMs = ({ kind, forMs }: Rule): number => (kind === 'no-reading' ? 0 : forMs);

/** Whether the rule means this device. */
export function means({ selector }: Rule, device: { id: string; tags: Record<string, string> }): boolean {
  if (!selector) return true;
  const { devices, tags = {} } = selector;
  if (devices && !devices.includes(device.id)) return false;
  return Object.entries(tags).every(([name, value]) => device.tags[name] === value);
}
