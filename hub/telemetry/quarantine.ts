/** Port: the readings that were refused for good, kept so that somebody can look at them and send them again. */
import { hash } from 'node:crypto';
import type { Frame, Rejection } from './reading.ts';
import type { Refused, Sink } from './store.ts';

export interface QuarantinedReading {
  /** Grows with each reading; for `before`. */
  id: number;
  device: string;
  stream: string;
  epoch: string;
  seq: number;
  /** Unix milliseconds. */
  receivedAt: number;
  /** Place in the frame as the device sent it; unknown for what a store refused. */
  index?: number;
  /** JSON pointer. */
  path: string;
  /** A keyword of JSON Schema or a word of the table of refusals; `store` when the telemetry store refused it. */
  code: string;
  message: string;
  /** As it was sent. Beyond 16 KiB of JSON only the beginning, as a text. */
  reading: unknown;
}

export interface QuarantineFilter {
  device?: string;
  limit: number;
  /** Only readings with a smaller id: the next page. */
  before?: number;
}

/** A sink of the journal that takes what ingest rejected (`frame.rejected`); frames without cost nothing. */
export interface Quarantine extends Sink {
  /** Durable when it resolves; adding the same again changes nothing. Throws `Unavailable`. */
  add(refused: readonly Refused[]): Promise<void>;
  /** The newest first. Throws `Unavailable`. */
  list(filter: QuarantineFilter): Promise<QuarantinedReading[]>;
  /** Readings kept, and those that had to make room since the hub started. Throws `Unavailable`. */
  count(): Promise<{ readings: number; dropped: number }>;
}

/** A refused reading on its way into the quarantine. */
export interface QuarantineEntry extends Omit<QuarantinedReading, 'id' | 'reading'> {
  /**
   * The same for the same refusal however often it is sent: a digest of where it came from and what it says. The time of
   * arrival is a part of it because frames without `seq` have no other name.
   */
  key: string;
  /** JSON. */
  reading: string;
}

const MAX_JSON = 16_384;

/** What ingest rejected. A refusal of a whole frame is one entry, with all its readings. */
export function entriesOfFrames(frames: readonly Frame[]): QuarantineEntry[] {
  const entries: QuarantineEntry[] = [];
  for (const frame of frames) {
    for (const rejection of frame.rejected ?? []) entries.push(entryOf(frame, rejection));
  }
  return entries;
}

/** What a store refused, in its words. */
export function entriesOfRefused(refused: readonly Refused[]): QuarantineEntry[] {
  return refused.map(({ frame, reading, message }) => entryOf(frame, { path: '', code: 'store', message, reading }));
}

/** How many entries a frame makes. */
export function countOfRejected({ rejected = [] }: Frame): number {
  return rejected.length;
}

function entryOf(frame: Frame, { index, path, code, message, reading }: Rejection): QuarantineEntry {
  const { device, epoch, seq, stream, receivedAt } = frame;
  const json = JSON.stringify(reading) ?? 'null';
  const key = hash(
    'sha256',
    JSON.stringify([device, epoch, seq, receivedAt, stream, index, path, code, json]),
    'base64url',
  );
  const kept = json.length > MAX_JSON ? JSON.stringify(json.slice(0, MAX_JSON)) : json;
  const place = index === undefined ? {} : { index };
  return { key, device, stream, epoch, seq, receivedAt, ...place, path, code, message, reading: kept };
}
