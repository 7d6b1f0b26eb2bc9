/** An alert as it is stored, and the notice that tells somebody of it. Pure. */
import type { Rule, RuleKind, Severity } from './rule.ts';
import type { AlertState } from './watch.ts';

/** Whom a rule found wrong: a device, a sink, or (neither) the hub as a whole. */
export interface Subject {
  device?: string;
  sink?: string;
}

/** One alert; a subject that goes wrong again has a new one. Times are Unix milliseconds. */
export interface Alert extends Subject {
  id: string;
  rule: string;
  kind: RuleKind;
  severity: Severity;
  state: AlertState;
  /** Of the field; of `lag` milliseconds, of `quarantine` readings. While it fires: the newest. */
  value?: number;
  /** When it began to be wrong. */
  since: number;
  firedAt?: number;
  resolvedAt?: number;
  /** What is wrong, in words for a person. */
  summary: string;
}

/** What a channel is told: the alert as it was when its state changed. */
export interface Notice extends Alert {
  /** The same however often it is sent. */
  notice: string;
  description: string;
}

/** The key of a row: a rule has one alert of each subject, the newest. */
export const alertKey = (rule: string, { device = '', sink = '' }: Subject): string => `${rule} ${device || sink}`;

export function noticeOf(alert: Alert, { description }: Pick<Rule, 'description'>): Notice {
  return { ...alert, notice: `${alert.id}-${alert.state}`, description };
}

/** `meter-7: power.voltage is 251, above 250 for 5 min` */
export function summaryOf(rule: Rule, { device = '', sink = '' }: Subject, value: number | undefined): string {
  const lasting = rule.forMs > 0 ? ` for ${span(rule.forMs)}` : '';
  switch (rule.kind) {
    case 'field': {
      const limit = rule.above === undefined ? `below ${rule.below}` : `above ${rule.above}`;
      return `${device}: ${rule.stream}.${rule.field} is ${shown(value)}, ${limit}${lasting}`;
    }
    case 'no-reading':
      return `${device}: no reading${rule.stream === undefined ? '' : ` of ${rule.stream}`}${lasting}`;
    case 'offline':
      return `${device}: offline${lasting}`;
    case 'quarantine':
      return `${shown(value)} readings refused within ${span(rule.windowMs ?? 0)}, more than ${rule.readings}`;
    case 'lag':
      return `${sink}: ${span(value ?? 0)} behind the journal, more than ${span(rule.lagMs ?? 0)}${lasting}`;
  }
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

function span(ms: number): string {
  const [unit, size] = UNITS.find(([, length]) => ms >= length) ?? ['ms', 1];
  return `${Number((ms / size).toFixed(1))} ${unit}`;
}

const shown = (value = Number.NaN) => String(Number(value.toPrecision(6)));
