/** The metrics of alerts and of the channels that tell of them. As tables, pure. */
import type { Metric } from '../kit/metrics.ts';

export interface AlertSources {
  /** Alerts by their state, now. */
  counts(): Readonly<Record<string, number>>;
  /** Each channel with its notices; those that were delivered and given up since the start. */
  channels(): readonly { name: string; waiting: number; delivered: number; dropped: number }[];
}

export function alertMetrics({ counts, channels }: AlertSources): Metric[] {
  return [
    { name: 'hub_alerts', help: 'Alerts by state: pending, firing or resolved.', labels: ['state'], read: counts },
    {
      name: 'hub_alert_notices_waiting',
      help: 'Notices of alerts that a channel has not taken yet.',
      labels: ['channel'],
      read: () => Object.fromEntries(channels().map(({ name, waiting }) => [name, waiting])),
    },
    {
      name: 'hub_alert_notices_total',
      help: 'Notices of alerts by what became of them.',
      labels: ['channel', 'outcome'],
      read: () => Object.fromEntries(channels().map(({ name, delivered, dropped }) => [name, { delivered, dropped }])),
    },
  ];
}
