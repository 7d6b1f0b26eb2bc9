/** Alerts and their rules as the hub tells them, and in words. */
import { fieldOf, streamOf } from '../hub/catalog.ts';
import { type Selector, targetText } from '../hub/commands.ts';
import type { Concern } from '../hub/status.ts';
import { count, fieldValue, span } from '../kit/format.ts';
import type { Tone } from '../kit/parts.tsx';
import { linkTo } from '../router.ts';

export const RULE_KINDS = ['field', 'no-reading', 'offline', 'quarantine', 'lag'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];
export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Times are Unix milliseconds. */
export interface Alert {
  id: string;
  rule: string;
  kind: RuleKind;
  severity: Severity;
  state: 'pending' | 'firing' | 'resolved';
  device?: string;
  sink?: string;
  value?: number;
  since: number;
  firedAt?: number;
  resolvedAt?: number;
  /** What is wrong, in words for a person. */
  summary: string;
}

/** Durations are milliseconds. */
export interface Rule {
  id: string;
  kind: RuleKind;
  stream?: string;
  field?: string;
  above?: number;
  below?: number;
  clear?: number;
  sink?: string;
  lagMs?: number;
  readings?: number;
  windowMs?: number;
  forMs: number;
  clearForMs: number;
  selector?: Selector;
  severity: Severity;
  description: string;
  deliver?: string[];
  enabled: boolean;
  /** Rules of the configuration are changed there and nowhere else. */
  origin: 'configuration' | 'api';
}

/** What each kind watches. */
export const KIND_TITLES: Record<RuleKind, string> = {
  field: 'A field above or below a limit',
  'no-reading': 'No reading for a time',
  offline: 'A device is offline',
  quarantine: 'Many readings are refused',
  lag: 'A sink is behind',
};

export const ALERT_TONES: Record<Alert['state'], Tone> = { pending: 'warn', firing: 'bad', resolved: 'good' };
export const SEVERITY_TONES: Record<Severity, Tone> = { info: 'calm', warning: 'warn', critical: 'bad' };

/** What a rule watches, in a sentence. */
export function ruleWords(rule: Rule): string {
  const { kind, stream = '', field = '', clear, forMs } = rule;
  const back = clear === undefined ? '' : ` (over at ${fieldValue(clear, fieldOf(stream, field))})`;
  const lasting = forMs > 0 && kind !== 'no-reading' ? ` for ${span(forMs)}` : '';
  return `${wrong(rule)}${back}${lasting}${ofWhom(rule)}`;
}

/** What an alert is about. The hub's summary tells it as it is when it fires: one that is pending has not lasted so long. */
export function alertWords({ state, device, sink, value, summary }: Alert, rule: Rule | undefined): string {
  if (state !== 'pending' || !rule) return summary;
  const who = device === undefined ? '' : `${device}: `;
  const found = rule.kind === 'field' ? ` (${fieldValue(value, fieldOf(rule.stream ?? '', rule.field ?? ''))})` : '';
  const now = `${wrong({ ...rule, ...(sink !== undefined && { sink }) })} now${found}`;
  return `${who}${now}, fires when that has lasted ${span(rule.forMs)}`;
}

function wrong({
  kind,
  stream = '',
  field = '',
  above,
  below,
  forMs,
  readings = 0,
  windowMs = 0,
  sink,
  lagMs = 0,
}: Rule): string {
  if (kind === 'field') {
    const measure = fieldOf(stream, field);
    const limit = above === undefined ? `below ${fieldValue(below, measure)}` : `above ${fieldValue(above, measure)}`;
    return `${measure.title} ${limit}`;
  }
  if (kind === 'no-reading')
    return `no reading${stream && ` of ${streamOf(stream)?.title ?? stream}`} for ${span(forMs)}`;
  if (kind === 'offline') return 'offline';
  if (kind === 'quarantine') return `more than ${count(readings)} readings refused within ${span(windowMs)}`;
  return `${sink ?? 'any sink'} more than ${span(lagMs)} behind`;
}

function ofWhom({ kind, selector }: Rule): string {
  return kind === 'quarantine' || kind === 'lag' ? '' : `, ${targetText(selector ? { selector } : {})}`;
}

/** What fires as matters that need attention: one for each rule, however many devices it found. */
export function alertConcerns(firing: readonly Alert[]): Concern[] {
  return [...Map.groupBy(firing, ({ rule }) => rule)].map(([rule, alerts]) => {
    const grave = alerts.some(({ severity }) => severity === 'critical');
    const [first, ...others] = alerts as [Alert, ...Alert[]];
    if (others.length > 0)
      return { grave, title: `“${rule}” fires ${alerts.length} times`, text: first.summary, at: '#/alerts' };
    const at = first.device === undefined ? '#/alerts' : linkTo(['devices', first.device]);
    return { grave, title: first.summary, text: `Alert “${rule}”.`, at };
  });
}
