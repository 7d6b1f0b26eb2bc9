/** Commands, groups and schedules as the hub tells them. */
import type { Tone } from '../kit/parts.tsx';

export const COMMAND_STATES = [
  'queued',
  'sent',
  'accepted',
  'succeeded',
  'failed',
  'expired',
  'cancelled',
  'rejected',
  'unknown',
] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

export interface Command {
  id: string;
  device: string;
  name: string;
  params: Record<string, unknown>;
  state: CommandState;
  createdAt: number;
  updatedAt: number;
  expiresAt: number;
  timeoutMs: number;
  deadlineAt?: number;
  attempt: number;
  actor: string;
  acceptedAt?: number;
  /** 0 to 1. */
  progress?: number;
  value?: unknown;
  error?: { code: string; message: string };
  misfit?: string;
  finishedAt?: number;
  group?: string;
  schedule?: string;
}

/** Each state: how it looks, and what it means for people. */
export const STATES: Record<CommandState, { tone: Tone; means: string; ended: boolean }> = {
  queued: { tone: 'calm', means: 'Waits until the device can be told.', ended: false },
  sent: { tone: 'busy', means: 'On its way; the device has not answered yet.', ended: false },
  accepted: { tone: 'busy', means: 'The device is at it.', ended: false },
  succeeded: { tone: 'good', means: 'Done.', ended: true },
  failed: { tone: 'bad', means: 'The device tried and failed.', ended: true },
  expired: { tone: 'warn', means: 'The device did not come in time; it was never sent.', ended: true },
  cancelled: { tone: 'calm', means: 'Taken back before it was sent.', ended: true },
  rejected: { tone: 'bad', means: 'The device refused it.', ended: true },
  unknown: { tone: 'warn', means: 'Sent, then silence: it may have run. A late answer still counts.', ended: false },
};

export interface Selector {
  tags?: Record<string, string>;
  devices?: string[];
}

export interface Order {
  name: string;
  params?: Record<string, unknown>;
  ttlMs?: number;
  timeoutMs?: number;
  parallel?: number;
  stopWhenFailedPercent?: number;
}

export interface Group extends Order {
  id: string;
  selector: Selector;
  total: number;
  counts: Record<CommandState, number>;
  pending: number;
  refused: number;
  refusals: { device: string; code: string }[];
  finished: boolean;
  stopped?: 'failures' | 'cancelled';
  actor: string;
  schedule?: string;
  createdAt: number;
  finishedAt?: number;
}

export interface Run {
  id: string;
  at: number;
  startedAt: number;
  manual?: true;
  late?: true;
  state: 'due' | 'sent' | 'refused' | 'interrupted';
  command?: string;
  group?: string;
  error?: { code: string; message: string };
}

export interface Schedule extends Order {
  id: string;
  cron: string;
  timeZone: string;
  device?: string;
  selector?: Selector;
  missed: 'skip' | 'once' | 'all';
  missedLimit: number;
  description: string;
  enabled: boolean;
  createdAt: number;
  createdBy: string;
  nextRuns: number[];
  lastRun?: Run;
}

/** Whom it is for, in a few words. */
export function targetText({ device, selector }: { device?: string; selector?: Selector }): string {
  if (device !== undefined) return device;
  const tags = Object.entries(selector?.tags ?? {}).map(([name, value]) => `${name}=${value}`);
  const ids = selector?.devices ?? [];
  const named = ids.length > 3 ? `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more` : ids.join(', ');
  return [tags.join(', '), named].filter(Boolean).join(' among ') || 'every device';
}

/** With what changed and what is new, the newest first. */
export function withChanges(
  commands: Command[],
  changed: ReadonlyMap<string, Command>,
  takes: (command: Command) => boolean,
): Command[] {
  const known = new Set(commands.map(({ id }) => id));
  const kept = commands.map((command) => newer(command, changed.get(command.id)));
  const added = [...changed.values()].filter((command) => !known.has(command.id) && takes(command));
  return [...added.reverse(), ...kept].sort((a, b) => b.createdAt - a.createdAt);
}

const newer = (one: Command, other: Command | undefined) => (other && other.updatedAt >= one.updatedAt ? other : one);
