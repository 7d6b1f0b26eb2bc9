/**
 * Sends quarantined readings up the road again: checked by the streams of today, with the times they had. A reading
 * leaves the quarantine when the journal has it; until then it is in both, and writing it twice changes nothing.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { GivenTimes, Ingest } from './ingest.ts';
import type { Journal } from './journal.ts';
import type { Quarantine, QuarantinedReading, QuarantineFilter, Reason } from './quarantine.ts';
import { MAX_JSON } from './quarantine-entry.ts';
import type { Frame, Reading } from './reading.ts';

export interface QuarantineReplayDeps {
  quarantine: Pick<Quarantine, 'list' | 'remove' | 'amend'>;
  ingest: Pick<Ingest, 'check'>;
  journal: Pick<Journal, 'append' | 'onCommit'>;
  /** How long the journal may take to make a batch durable; 10 s. */
  patienceMs?: number;
  now?: () => number;
}

export interface ReplayedPage {
  /** Readings that are in the journal now and have left the quarantine. */
  replayed: number;
  /** Readings that stay, with the reason of today. */
  refused: number;
  /** The id to go on after; absent when everything that was meant has been tried. */
  next?: number;
}

export interface QuarantineReplay {
  /**
   * Tries at most `limit` readings, the oldest first, from the one after `after`. One at a time: throws `RefusedError`
   * (conflict) while another is under way. Throws `Unavailable` when the journal or the quarantine does not do its part;
   * then nothing that is not durable has left.
   */
  run(filter: QuarantineFilter, page: { after: number; limit: number }): Promise<ReplayedPage>;
  /** Readings that were sent up again since the hub started. */
  readonly replayed: number;
}

/** No device can choose such an epoch. Each replay has its own: what a store refuses again is another refusal. */
const EPOCH = 'replay/';
/** Readings of one frame: none is longer than 16 KiB, so that each frame fits into a group of the journal. */
const FRAME_READINGS = 200;
const PATIENCE_MS = 10_000;
const BUSY_MS = 100;

/** Whether a frame is a replay from the quarantine, and no sign of life of its device. */
export function isFromQuarantine({ epoch }: Pick<Frame, 'epoch'>): boolean {
  return epoch.startsWith(EPOCH);
}

export function createQuarantineReplay(deps: QuarantineReplayDeps): QuarantineReplay {
  const { quarantine, ingest, journal, patienceMs = PATIENCE_MS, now = Date.now } = deps;
  /** Frames that are not durable yet, of the replay under way. */
  const waiting = new Set<Frame>();
  let durable = Promise.withResolvers<void>();
  let isRunning = false;
  let replayed = 0;
  journal.onCommit((frames) => {
    if (waiting.size === 0) return;
    for (const frame of frames) waiting.delete(frame);
    if (waiting.size === 0) durable.resolve();
  });

  async function replay(filter: QuarantineFilter, after: number, limit: number): Promise<ReplayedPage> {
    const found = await quarantine.list({ ...filter, after, limit: limit + 1 });
    const page = found.slice(0, limit);
    const { passed, reasons } = judge(page, ingest, now());
    if (passed.length > 0) {
      await makeDurable(framesOf(passed, now()));
      await quarantine.remove({ ids: passed.map(({ id }) => id) });
      replayed += passed.length;
    }
    if (reasons.length > 0) await quarantine.amend(reasons, now());
    const next = found.length > limit ? { next: page.at(-1)!.id } : {};
    return { replayed: passed.length, refused: reasons.length, ...next };
  }

  async function makeDurable(frames: readonly Frame[]): Promise<void> {
    const until = performance.now() + patienceMs;
    durable = Promise.withResolvers();
    try {
      for (const frame of frames) {
        // First: it may be durable before the last of them is taken.
        waiting.add(frame);
        await append(frame, until);
      }
      if (waiting.size === 0) return;
      const patience = new AbortController();
      const given = sleep(Math.max(0, until - performance.now()), true, { signal: patience.signal }).catch(() => false);
      const isLate = await Promise.race([durable.promise, given]);
      patience.abort();
      if (isLate) throw new Unavailable('the journal did not make it durable in time; it stays in the quarantine');
    } finally {
      waiting.clear();
    }
  }

  async function append(frame: Frame, until: number): Promise<void> {
    for (;;) {
      const refusal = journal.append(frame);
      if (refusal === undefined) return;
      if (refusal !== 'busy' || performance.now() >= until)
        throw new Unavailable(`the journal takes nothing now (${refusal}); it stays in the quarantine`);
      await sleep(BUSY_MS);
    }
  }

  return {
    async run(filter, { after, limit }) {
      if (isRunning) throw new RefusedError('conflict', 'A replay of the quarantine is under way; wait for its end.');
      isRunning = true;
      try {
        return await replay(filter, after, limit);
      } finally {
        isRunning = false;
      }
    },
    get replayed() {
      return replayed;
    },
  };
}

interface Passed {
  id: number;
  device: string;
  stream: string;
  reading: Reading;
}

function judge(entries: readonly QuarantinedReading[], ingest: Pick<Ingest, 'check'>, now: number) {
  const passed: Passed[] = [];
  const reasons: Reason[] = [];
  const given: GivenTimes = new Map();
  for (const { id, device, stream, reading, ts } of entries) {
    if (typeof reading === 'string' && reading.length >= MAX_JSON) {
      reasons.push({ id, path: '', code: 'maxLength', message: 'is longer than 16 KiB and not kept in full' });
      continue;
    }
    const { readings, rejected } = ingest.check(stream, [timed(reading, ts)], now, given);
    if (readings[0]) passed.push({ id, device, stream, reading: readings[0] });
    for (const { path, code, message } of rejected ?? []) reasons.push({ id, path, code, message });
  }
  return { passed, reasons };
}

/** With the time that the hub gave it when it came. */
function timed(reading: unknown, ts: number | undefined): unknown {
  if (ts === undefined) return reading;
  const { age: _, ...fields } = reading as Record<string, unknown>;
  return { ...fields, ts };
}

/** By device and stream, in the order of their arrival. They arrive now: what arrived long ago is not looked at again. */
function framesOf(passed: readonly Passed[], now: number): Frame[] {
  const epoch = `${EPOCH}${randomUUID()}`;
  const frames: Frame[] = [];
  const open = new Map<string, Frame>();
  for (const { device, stream, reading } of passed) {
    const series = `${device} ${stream}`;
    let frame = open.get(series);
    if (!frame || frame.readings.length >= FRAME_READINGS) {
      frame = { device, epoch, seq: 0, stream, receivedAt: now, readings: [] };
      frames.push(frame);
      open.set(series, frame);
    }
    frame.readings.push(reading);
  }
  return frames;
}
