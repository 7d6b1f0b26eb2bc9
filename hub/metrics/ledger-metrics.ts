/** The metrics of what the hub writes down (the journal, refused readings, missing frames), as tables. Pure. */
import type { Metric } from '../kit/metrics.ts';

export interface LedgerSources {
  journal(): { bytes: number; limitBytes: number; space: { roomBytes: number; alarm: number } };
  /** Readings kept now, and the alarm that stands; not kept, and sent up again since the hub started. */
  quarantine(): { readings: number; limitReadings: number; alarm: number; dropped: number; replayed: number };
  /** Jumps in the frame numbers of devices since the hub started. */
  gaps(): number;
}

export function ledgerMetrics({ journal, quarantine, gaps }: LedgerSources): Metric[] {
  return [
    { name: 'hub_journal_bytes', help: 'Size of the journal.', read: () => journal().bytes },
    { name: 'hub_journal_limit_bytes', help: 'Size the journal never exceeds.', read: () => journal().limitBytes },
    {
      name: 'hub_journal_room_bytes',
      help: 'What the journal may still grow, by its limit and its disk.',
      read: () => journal().space.roomBytes,
    },
    {
      name: 'hub_journal_alarm_percent',
      help: 'The alarm of the journal that stands: 0, 70, 85 or 95.',
      read: () => journal().space.alarm,
    },
    { name: 'hub_quarantine_readings', help: 'Refused readings kept.', read: () => quarantine().readings },
    {
      name: 'hub_quarantine_limit_readings',
      help: 'Refused readings that are kept at most.',
      read: () => quarantine().limitReadings,
    },
    {
      name: 'hub_quarantine_alarm_percent',
      help: 'The alarm of the quarantine that stands: 0, 80 or 100 (full).',
      read: () => quarantine().alarm,
    },
    {
      name: 'hub_quarantine_dropped_total',
      help: 'Refused readings that were not kept, which their device was told.',
      read: () => quarantine().dropped,
    },
    {
      name: 'hub_quarantine_replayed_total',
      help: 'Readings that were sent up again from the quarantine.',
      read: () => quarantine().replayed,
    },
    { name: 'hub_gaps_total', help: 'Jumps in the frame numbers of devices.', read: gaps },
  ];
}
