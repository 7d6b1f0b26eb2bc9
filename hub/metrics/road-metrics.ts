/** The metrics of the way from the devices: doors, sessions, readings, commands. As tables, pure. */
import type { Metric } from '../kit/metrics.ts';

/** Counts are since the hub started. */
export interface RoadSources {
  /** Readings by outcome: accepted, rejected. */
  readings(): Readonly<Record<string, number>>;
  /** Frames by direction and type, or by outcome. */
  frames(): Readonly<Record<string, number>>;
  /** Devices with an open session. */
  sessions(): number;
  /** Known devices by their presence. */
  devices(): Readonly<Record<string, number>>;
  /** Commands by the state they reached, and how many are queued now. */
  commands(): { reached: Readonly<Record<string, number>>; queued: number };
  /** Jumps of the wall clock that were noticed. */
  clockJumps(): number;
}

export interface DoorSources {
  /** Connections at the device door since the start, by what became of them. */
  knocks(): Readonly<Record<string, number>>;
  /** When the certificate of each door ends, Unix milliseconds. */
  certificates(): readonly { door: string; endMs: number }[];
}

export function roadMetrics({ readings, frames, sessions, devices, commands, clockJumps }: RoadSources): Metric[] {
  return [
    { name: 'hub_readings_total', help: 'Readings by what became of them.', labels: ['outcome'], read: readings },
    { name: 'hub_frames_total', help: 'Frames by kind.', labels: ['kind'], read: frames },
    { name: 'hub_sessions', help: 'Devices with an open session.', read: sessions },
    {
      name: 'hub_devices',
      help: 'Known devices by presence: online, silent or offline.',
      labels: ['state'],
      read: devices,
    },
    {
      name: 'hub_commands_total',
      help: 'Commands by each state they reached.',
      labels: ['state'],
      read: () => commands().reached,
    },
    { name: 'hub_commands_queued', help: 'Commands that wait to be sent.', read: () => commands().queued },
    { name: 'hub_clock_jumps_total', help: 'Jumps of the wall clock by a second or more.', read: clockJumps },
  ];
}

/** What is known only when the doors are open. */
export function doorMetrics({ knocks, certificates }: DoorSources): Metric[] {
  return [
    {
      name: 'hub_knocks_total',
      help: 'Connections at the device door by what became of them.',
      labels: ['outcome'],
      read: knocks,
    },
    {
      name: 'hub_certificate_end_seconds',
      help: 'When the certificate of a door ends, Unix time.',
      labels: ['door'],
      read: () => Object.fromEntries(certificates().map(({ door, endMs }) => [door, endMs / 1_000])),
    },
  ];
}
