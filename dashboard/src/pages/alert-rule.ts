/** Makes a rule of alerts out of what a person wrote, and the other way. */
import type { TargetText } from '../commands/target.ts';
import { tagsToText } from '../devices/tag-text.ts';
import type { Selector } from '../hub/commands.ts';
import type { Rule } from './alert-words.ts';

/** What the fields of the form hold. */
export type Texts = Record<string, string>;

/** What the API takes, as far as the form says it. */
export type Details = Record<string, unknown>;

/** What is no number goes to the hub as it was written: it says at which field that is. */
function numberIn(text = '', factor = 1): number | string {
  const number = Number(text);
  return text.trim() !== '' && Number.isFinite(number) ? number * factor : text;
}

/** Seconds in the form, milliseconds in the API. */
const ms = (seconds: string | undefined) => numberIn(seconds, 1_000);
const seconds = (durationMs: number | undefined) => (durationMs ? String(durationMs / 1_000) : '');

/** Rules of the others are about the hub. */
export const isAboutDevices = (kind: string | undefined) => kind !== 'quarantine' && kind !== 'lag';

/** What the API takes. */
export function ruleFrom(texts: Texts): Details {
  const { kind = 'field', stream, field, side = 'above', limit, clear, severity } = texts;
  const description = texts.description?.trim();
  const common = {
    kind,
    severity,
    ...(description && { description }),
    ...(texts.for && { forMs: ms(texts.for) }),
    ...(texts.clearFor && { clearForMs: ms(texts.clearFor) }),
  };
  if (kind === 'field')
    return { ...common, stream, field, [side]: numberIn(limit), ...(clear && { clear: numberIn(clear) }) };
  if (kind === 'quarantine')
    return { ...common, forMs: 0, readings: numberIn(texts.readings), windowMs: ms(texts.window) };
  if (kind === 'lag') return { ...common, lagMs: ms(texts.lag) };
  return { ...common, ...(kind === 'no-reading' && stream && { stream }) };
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
