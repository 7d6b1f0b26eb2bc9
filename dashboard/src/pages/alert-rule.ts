/** Makes a rule of alerts out of what a person wrote, and the other way. */
import type { TargetText } from '../commands/target.ts';
import { tagsToText } from '../devices/tag-text.ts';
import type { Selector } from '../hub/commands.ts';
import { millisecondsFrom, numberFrom } from '../kit/form-values.ts';
import type { Rule } from './alert-words.ts';

/** What the fields of the form hold. */
export type Texts = Record<string, string>;

/** What the API takes, as far as the form says it. */
export type Details = Record<string, unknown>;

const DAY_MS = 86_400_000;
/** What the hub takes; milliseconds. */
export const RULE_BOUNDS = {
  forMs: { least: 0, most: 30 * DAY_MS },
  clearForMs: { least: 0, most: 30 * DAY_MS },
  windowMs: { least: 1_000, most: DAY_MS },
  lagMs: { least: 1 },
  readings: { least: 0, whole: true },
} as const;

/** JSON pointers of what the form has a field for. */
export const RULE_FIELDS = ['/id', '/above', '/below', '/clear', '/description'].concat(
  Object.keys(RULE_BOUNDS).map((name) => `/${name}`),
);

/** Seconds in the form, milliseconds in the API. */
const seconds = (durationMs: number | undefined) => (durationMs ? String(durationMs / 1_000) : '');

/** Rules of the others are about the hub. */
export const isAboutDevices = (kind: string | undefined) => kind !== 'quarantine' && kind !== 'lag';

type Readers = Record<string, () => unknown>;

/** What the API takes, member by member, for `readAll`: each throws an `Error` for people. */
export function ruleReaders(texts: Texts): Readers {
  const { kind = 'field', stream, severity } = texts;
  const description = texts.description?.trim();
  const common: Readers = {
    kind: () => kind,
    severity: () => severity,
    ...(description && { description: () => description }),
    ...((texts.for || kind === 'no-reading') && { forMs: () => lasting(kind, texts.for ?? '') }),
    ...(texts.clearFor && { clearForMs: () => millisecondsFrom(texts.clearFor!, RULE_BOUNDS.clearForMs) }),
  };
  if (kind === 'field') return { ...common, ...limitReaders(texts) };
  if (kind === 'quarantine') return { ...common, ...refusedReaders(texts) };
  if (kind === 'lag') return { ...common, lagMs: () => millisecondsFrom(texts.lag ?? '', RULE_BOUNDS.lagMs) };
  return { ...common, ...(kind === 'no-reading' && stream && { stream: () => stream }) };
}

function lasting(kind: string, text: string): number {
  const forMs = millisecondsFrom(text, RULE_BOUNDS.forMs);
  if (kind === 'no-reading' && forMs === 0) throw new Error('must be more than 0: so long a device may be quiet');
  return forMs;
}

function refusedReaders({ readings = '', window = '' }: Texts): Readers {
  return {
    forMs: () => 0,
    readings: () => numberFrom(readings, RULE_BOUNDS.readings),
    windowMs: () => millisecondsFrom(window, RULE_BOUNDS.windowMs),
  };
}

function limitReaders({ stream, field, side = 'above', limit = '', clear = '' }: Texts): Readers {
  return {
    stream: () => stream,
    field: () => field,
    [side]: () => numberFrom(limit),
    ...(clear.trim() !== '' && { clear: () => clearFrom(clear, side, limit) }),
  };
}

/** It is over on the other side of the limit, or at it. */
function clearFrom(text: string, side: string, limit: string): number {
  const clear = numberFrom(text);
  const bound = Number(limit.trim().replace(',', '.'));
  if (side === 'above' && clear > bound) throw new Error('must not be above the limit');
  if (side === 'below' && clear < bound) throw new Error('must not be below the limit');
  return clear;
}

/** A rule as the form shows it. */
export function textsOf(rule: Rule): Texts {
  const { kind, above, below, clear, readings, windowMs, lagMs, stream, field } = rule;
  const limit = above ?? below;
  return {
    ...{ kind, severity: rule.severity, description: rule.description },
    ...{ for: seconds(rule.forMs), clearFor: seconds(rule.clearForMs) },
    ...(kind === 'no-reading' && { stream: stream ?? '' }),
    ...(kind === 'field' && {
      ...{ stream: stream ?? '', field: field ?? '', side: above === undefined ? 'below' : 'above' },
      ...{ limit: String(limit ?? ''), clear: String(clear ?? '') },
    }),
    ...(kind === 'quarantine' && { readings: String(readings ?? 0), window: seconds(windowMs) }),
    ...(kind === 'lag' && { lag: seconds(lagMs) }),
  };
}

/** Whom a rule is for as the form shows it; undefined when it is for devices with tags out of those that are named. */
export function targetIn({ tags = {}, devices }: Selector = {}): TargetText | undefined {
  const isTagged = Object.keys(tags).length > 0;
  if (!devices) return isTagged ? { kind: 'tags', text: tagsToText(tags) } : { kind: 'all', text: '' };
  return isTagged ? undefined : { kind: 'devices', text: devices.join(', ') };
}

/** What the form decides. */
const DECIDED = [
  ...(['stream', 'field', 'above', 'below', 'clear', 'lagMs', 'readings', 'windowMs'] as const),
  ...(['forMs', 'clearForMs', 'selector', 'description'] as const),
];

/** The change that makes a rule so. What the form has no field for stays as it is: channels, one sink, how long of refusals. */
export function changeOf(rule: Rule, details: Details): Details {
  const gone = DECIDED.filter((name) => rule[name] !== undefined && details[name] === undefined);
  const lostSink = rule.sink !== undefined && details.kind !== 'lag' ? { sink: null } : {};
  const lasting = rule.kind === 'quarantine' && details.kind === 'quarantine' ? { forMs: rule.forMs } : {};
  return { ...Object.fromEntries(gone.map((name) => [name, null])), ...lostSink, ...details, ...lasting };
}
