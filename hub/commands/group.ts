/** A command to many devices: what is stored of it, what is shown, and when it has gone wrong often enough. Pure. */
import type { Device } from '../devices/devices.ts';
import { RefusedMember } from '../kit/errors.ts';
import { COMMAND_STATES, type CommandState } from './command.ts';

/** Which devices: those that bear every tag and, if it is given, are in the list. */
export interface Selector {
  /** Empty: every device. */
  tags?: Record<string, string>;
  devices?: string[];
}

/** What every device of a group is asked, and how carefully. */
export interface GroupOrder {
  selector: Selector;
  name: string;
  params?: Record<string, unknown>;
  ttlMs?: number;
  timeoutMs?: number;
  /** Devices that may have an unfinished command at a time; without it all. */
  parallel?: number;
  /** No more are sent once more than this share of all devices has failed. */
  stopWhenFailedPercent?: number;
}

export type GroupCounts = Record<CommandState, number>;

/** A group as stored. Its devices are in a row of their own, for they never change. Times are Unix milliseconds. */
export interface GroupRow extends GroupOrder {
  id: string;
  total: number;
  /** Devices that were reached in order: each has a command, or was refused one. */
  issued: number;
  /** Devices that could not be given a command, and why (a full queue, or gone since). */
  refused: Record<string, string>;
  /** Of the group's commands; complete once it is finished. */
  counts: GroupCounts;
  /** Why the rest was not sent. */
  stopped?: 'failures' | 'cancelled';
  /** Who cancelled it: in the name of whom commands are taken back, also after a restart. */
  stoppedBy?: string;
  actor: string;
  schedule?: string;
  createdAt: number;
  finishedAt?: number;
  /** Commands that ended `unknown`: a late truth still moves the counts. */
  unknown?: string[];
}

/** A group as operators see it. `total` = the sum of `counts` + `refused` + `pending`. */
export interface Group extends Omit<GroupRow, 'refused' | 'issued' | 'unknown' | 'stoppedBy'> {
  finished: boolean;
  /** Devices that have no command yet, or never get one when the group was stopped. */
  pending: number;
  refused: number;
  /** The first of them, with the reason. */
  refusals: { device: string; code: string }[];
}

/** Devices of one group. */
export const MAX_GROUP = 10_000;
const SHOWN_REFUSALS = 20;
const FAILED: readonly CommandState[] = ['failed', 'rejected', 'expired', 'unknown'];

export const noCounts = () => Object.fromEntries(COMMAND_STATES.map((state) => [state, 0])) as GroupCounts;

/** The id of a member's command, made of the group's and its place: asked for twice it is the same command. */
export const memberId = (group: string, index: number) => `${group}.${index}`;

/** `failed`, `rejected`, `expired`, `unknown` and refused devices count as failed. */
export function hasFailedTooOften({ counts, refused, total, stopWhenFailedPercent }: GroupRow): boolean {
  if (stopWhenFailedPercent === undefined) return false;
  const failed = FAILED.reduce((sum, state) => sum + counts[state], Object.keys(refused).length);
  return failed * 100 > stopWhenFailedPercent * total;
}

export function groupOf({ refused, issued, unknown: _, stoppedBy: __, ...row }: GroupRow): Group {
  const refusals = Object.entries(refused).map(([device, code]) => ({ device, code }));
  const given = Object.values(row.counts).reduce((sum, count) => sum + count, refusals.length);
  return {
    ...row,
    finished: row.finishedAt !== undefined,
    // A command may be counted already before its slice is written down.
    pending: row.total - Math.max(issued, given),
    refused: refusals.length,
    refusals: refusals.slice(0, SHOWN_REFUSALS),
  };
}

/** The page-wise registry of devices, as far as a selector needs it. */
export interface DeviceList {
  get(id: string): Device | undefined;
  list(page: { limit: number; after?: string }): { devices: Device[]; next?: string };
}

const PAGE = 1_000;

/**
 * The ids a selector means, disabled devices left out. Throws `RefusedError` (invalid: it selects nothing or too many;
 * not-found: a listed device does not exist).
 */
export function selectDevices({ tags, devices }: Selector, registry: DeviceList): string[] {
  if (!tags && !devices) refuse('invalid', 'The selector names neither tags nor devices.');
  const wanted = Object.entries(tags ?? {});
  const fits = (device: Device) => device.enabled && wanted.every(([name, value]) => device.tags[name] === value);
  const candidates = devices ? listed(devices, registry) : everyDevice(registry);
  const ids: string[] = [];
  for (const device of candidates) if (fits(device)) ids.push(device.id);
  if (ids.length === 0) refuse('not-found', 'The selector fits no device that is enabled.');
  if (ids.length > MAX_GROUP)
    refuse('invalid', `The selector fits ${ids.length} devices; a group has ${MAX_GROUP} at most.`);
  return ids;
}

function listed(ids: readonly string[], registry: DeviceList): Device[] {
  return [...new Set(ids)].map((id) => registry.get(id) ?? refuse('not-found', `There is no device "${id}".`));
}

function* everyDevice(registry: DeviceList): Generator<Device> {
  let after: string | undefined = '';
  while (after !== undefined) {
    const page: { devices: Device[]; next?: string } = registry.list({ limit: PAGE, after });
    yield* page.devices;
    after = page.next;
  }
}

function refuse(code: 'invalid' | 'not-found', detail: string): never {
  throw new RefusedMember(code, '/selector', detail);
}
