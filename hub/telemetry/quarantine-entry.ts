/** Refused readings on their way into the quarantine: one entry each, with a key that is the same however often it comes. */
import { hash } from 'node:crypto';
import type { QuarantinedReading } from './quarantine.ts';
import type { Frame, Rejection } from './reading.ts';
import type { Refused } from './store.ts';

export interface QuarantineEntry extends Omit<QuarantinedReading, 'id' | 'reading' | 'triedAt'> {
  /**
   * The same for the same refusal however often it is sent: a digest of where it came from and what it says. The time of
   * arrival is a part of it because frames without `seq` have no other name.
   */
  key: string;
  /** JSON. */
  reading: string;
}

/** Of one reading; of what is longer only so much is kept, and it cannot be sent again. */
export const MAX_JSON = 16_384;

/** What ingest rejected. A frame that was refused as a whole is an entry for each of its readings. */
export function entriesOfFrames(frames: readonly Frame[]): QuarantineEntry[] {
  const entries: QuarantineEntry[] = [];
  for (const frame of frames) {
    for (const rejection of frame.rejected ?? []) {
      for (const one of singlesOf(rejection)) entries.push(entryOf(frame, one));
    }
  }
  return entries;
}

/** What a store refused, in its words. */
export function entriesOfRefused(refused: readonly Refused[]): QuarantineEntry[] {
  return refused.map(({ frame, reading, message }) => entryOf(frame, { path: '', code: 'store', message, reading }));
}

/** How many entries a frame makes. */
export function countOfRejected({ rejected = [] }: Pick<Frame, 'rejected'>): number {
  return rejected.reduce((sum, rejection) => sum + (isWhole(rejection) ? rejection.reading.length : 1), 0);
}

type Whole = Rejection & { reading: readonly unknown[] };

const isWhole = (rejection: Rejection): rejection is Whole =>
  rejection.index === undefined && Array.isArray(rejection.reading);

function singlesOf(rejection: Rejection): Rejection[] {
  if (!isWhole(rejection)) return [rejection];
  const { ts, reading: readings, ...reason } = rejection;
  return readings.map((reading, index) => ({
    ...{ ...reason, index, reading },
    ...(ts !== undefined && lacksTime(reading) && { ts: timeOf(reading, ts, index) }),
  }));
}

function lacksTime(reading: unknown): reading is Record<string, unknown> {
  return typeof reading === 'object' && reading !== null && !('ts' in reading);
}

/** Times of one frame are a microsecond apart. `first`: the time of its arrival. */
function timeOf({ age }: Record<string, unknown>, first: number, index: number): number {
  const isAged = typeof age === 'number' && Number.isFinite(age);
  const firstUs = isAged ? Math.floor(first - age) * 1000 : Math.round(first * 1000);
  return (firstUs + index) / 1000;
}

function entryOf(frame: Frame, { index, path, code, message, reading, ts }: Rejection): QuarantineEntry {
  const { device, epoch, seq, stream, receivedAt } = frame;
  const json = JSON.stringify(reading) ?? 'null';
  const name = [device, epoch, seq, receivedAt, stream, index, path, code, json];
  const key = hash('sha256', JSON.stringify(name), 'base64url');
  const kept = json.length > MAX_JSON ? JSON.stringify(json.slice(0, MAX_JSON)) : json;
  const more = { ...(index !== undefined && { index }), ...(ts !== undefined && { ts }) };
  return { key, device, stream, epoch, seq, receivedAt, ...more, path, code, message, reading: kept };
}
