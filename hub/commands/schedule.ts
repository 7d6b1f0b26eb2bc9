/** A command on a timetable: what is stored of it, how it is checked, and what becomes of times that were missed. Pure. */
import { RefusedError } from '../kit/errors.ts';
import type { GroupOrder, Selector } from './group.ts';
import type { Timetable } from './timetable.ts';

/** What is done with times that came while the hub was down (or its clock or its loop stood still). */
export const MISSED = ['skip', 'once', 'all'] as const;
export type Missed = (typeof MISSED)[number];

/** A schedule as a person writes it. */
export interface ScheduleDetails extends Omit<GroupOrder, 'selector'> {
  /** Five or six fields (with seconds), or a name such as `@daily`. */
  cron: string;
  /** IANA name. */
  timeZone: string;
  /** Either one device … */
  device?: string;
  /** … or many. */
  selector?: Selector;
  missed: Missed;
  /** With `all`: so many of them at most, the newest. */
  missedLimit: number;
  description: string;
  enabled: boolean;
}

/** A schedule as stored. Times are Unix milliseconds. */
export interface ScheduleRow extends ScheduleDetails {
  id: string;
  /** Of this very schedule: one that is added later under the same name has another. Begins the ids of its runs. */
  series: string;
  createdAt: number;
  createdBy: string;
  /** Every time up to here is settled: it ran, or never will. */
  settledAt: number;
}

/** One scheduled time, written before anything is sent; its key is made of series and time, so there is only one. */
export interface RunRow {
  id: string;
  schedule: string;
  /** The scheduled time; of a run by hand, when it was asked for. */
  at: number;
  startedAt: number;
  manual?: true;
  /** It came while the hub was away. */
  late?: true;
  /** `due`: written down, nothing sent yet. `interrupted`: the hub stopped in between, and it was too late to go on. */
  state: 'due' | 'sent' | 'refused' | 'interrupted';
  /** The id of what was sent. */
  command?: string;
  group?: string;
  error?: { code: string; message: string };
}

/** How late a time may be noticed and still be on time. */
export const GRACE_MS = 2_000;
/** Times missed longer ago are forgotten, whatever the policy. */
const LOOKBACK_MS = 31 * 86_400_000;
/** A clock that goes back further than this was wrong before: what it had settled does not count any more. */
const CLOCK_TRUST_MS = 86_400_000;

export const DEFAULTS = { timeZone: 'UTC', missed: 'skip', missedLimit: 10, description: '', enabled: true } as const;

/** Since when times are to be looked at. */
export function sinceOf({ settledAt }: Pick<ScheduleRow, 'settledAt'>, now: number): number {
  return settledAt - now > CLOCK_TRUST_MS ? now : settledAt;
}

export interface DueTimes {
  /** To be run, in order; those before `now - GRACE_MS` are late. */
  run: number[];
  /** How many are left out by the policy. */
  skipped: number;
}

/** What is due between `since` and `now`: all that is on time, and of what was missed what the policy wants. */
export function dueTimes(
  timetable: Timetable,
  since: number,
  now: number,
  { missed, missedLimit }: Pick<ScheduleDetails, 'missed' | 'missedLimit'>,
): DueTimes {
  const kept = { skip: 0, once: 1, all: missedLimit }[missed];
  const run: number[] = [];
  const late: number[] = [];
  let skipped = 0;
  for (const time of timetable.between(Math.max(since, now - LOOKBACK_MS), now)) {
    if (time > now - GRACE_MS) run.push(time);
    else if (late.push(time) > kept) {
      late.shift();
      skipped += 1;
    }
  }
  return { run: [...late, ...run], skipped };
}

/** The id of the run of a scheduled time, and of the command or group it sends. */
export const runId = (series: string, at: number) => `${series}-${at.toString(36)}`;

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Throws `RefusedError` (invalid) unless a schedule may be called so. */
export function checkScheduleId(id: string): void {
  if (!ID.test(id)) refuse(`"${id.slice(0, 80)}" is no name of a schedule: letters, digits, or . _ - (64 at most).`);
}

/** Throws `RefusedError` (invalid) unless it goes to one device or to a selection. */
export function checkTarget({ device, selector, parallel, stopWhenFailedPercent }: ScheduleDetails): void {
  if ((device === undefined) === (selector === undefined)) refuse('Name either a device or a selector.');
  if (device !== undefined && (parallel !== undefined || stopWhenFailedPercent !== undefined))
    refuse('parallel and stopWhenFailedPercent are for many devices.');
}

function refuse(detail: string): never {
  throw new RefusedError('invalid', detail);
}
