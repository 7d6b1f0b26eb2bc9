/** An alert as it is stored, and the notice that tells somebody of it. Pure. */
import { spanText } from '../kit/span.ts';
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

/** `meter-7: power.voltage is 251, above 250 for 5 min`; before: `… above 250; fires when that lasts 5 min`. */
export function summaryOf(rule: Rule, subject: Subject, value: number | undefined, state: Alert['state']): string {
  const { device = '', sink = '' } = subject;
  const lasting = lastingWords(rule.forMs, state);
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
      return `${shown(value)} readings refused within ${spanText(rule.windowMs ?? 0)}, more than ${rule.readings}`;
    case 'lag':
      return `${sink}: ${spanText(value ?? 0)} behind the journal, more than ${spanText(rule.lagMs ?? 0)}${lasting}`;
  }
}

/** What is pending has not lasted so long. */
function lastingWords(forMs: number, state: Alert['state']): string {
  if (forMs === 0) return '';
  return state === 'pending' ? `; fires when that lasts ${spanText(forMs)}` : ` for ${spanText(forMs)}`;
}

const shown = (value = Number.NaN) => String(Number(value.toPrecision(6)));
