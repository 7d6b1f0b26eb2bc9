/** Alerts and their rules as the hub tells them, and in words. */
import type { Concern } from '../hub/status.ts';
import type { Tone } from '../kit/parts.tsx';

export interface Alert {
  rule: string;
  /** Absent when it is about the hub. */
  device?: string;
  state: 'pending' | 'firing' | 'resolved';
  since: number;
  value?: unknown;
}

export const ALERT_TONES: Record<Alert['state'], Tone> = { pending: 'warn', firing: 'bad', resolved: 'good' };

/** As something that needs attention. */
export function alertConcern({ rule, device }: Alert): Concern {
  const text = device === undefined ? 'The alert is firing.' : `The alert is firing for ${device}.`;
  return { grave: true, title: rule, text, at: '#/alerts' };
}
