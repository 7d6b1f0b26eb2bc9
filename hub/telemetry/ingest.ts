/** Checks the readings of a frame against their stream and the clock: the good ones go on, the bad ones get a reason. */
import type { Stream } from '../../schemas/index.ts';
import type { Reading, Rejection } from './reading.ts';

export interface IngestOptions {
  streams: ReadonlyMap<string, Stream>;
  readingsPerFrame: number;
  /** A reading further ahead of the hub's clock is rejected. */
  clockAheadMs: number;
  /** A reading older than this is rejected; 0: the store keeps everything. */
  retentionMs: number;
}

/**
 * What the readings of one device that came without `ts` were given, by stream, so that no two get the same: the last
 * arrival in whole microseconds (a double holds those exactly, fractions of a millisecond not), how many had an age, and
 * by how many microseconds arrivals are moved since the clock was put back.
 */
export type GivenTimes = Map<string, { arrivalUs: number; aged: number; shiftUs: number }>;

export interface Verdict {
  readings: Reading[];
  rejected?: Rejection[];
  /** At least one was given its time, so they are not exactly what the device sent. */
  isTimed?: true;
}

export interface Ingest {
  /** Never throws, whatever the device sent. Takes over the reading objects. `now`: Unix milliseconds. */
  check(stream: string, readings: readonly unknown[], now: number, given: GivenTimes): Verdict;
}

export function createIngest(options: IngestOptions): Ingest {
  const { streams, readingsPerFrame, clockAheadMs } = options;
  const { giveTime, giveTimes } = createGiver(clockAheadMs);
  const retentionMs = options.retentionMs > 0 ? options.retentionMs : Number.POSITIVE_INFINITY;

  function check(name: string, candidates: readonly unknown[], now: number, given: GivenTimes): Verdict {
    const stream = streams.get(name);
    if (!stream) {
      // The times of all streams that do not exist are given together: their names may be any number.
      const ts = giveTimes(candidates.length, now, '', given);
      return refuseAll(candidates, ts, '/stream', 'stream', `no stream is called "${name}"`);
    }
    if (candidates.length > readingsPerFrame) {
      const ts = giveTimes(candidates.length, now, name, given);
      return refuseAll(candidates, ts, '/readings', 'maxItems', `must hold at most ${readingsPerFrame} readings`);
    }
    const readings: Reading[] = [];
    let rejected: Rejection[] | undefined;
    let isTimed = false;
    for (let index = 0; index < candidates.length; index++) {
      const reading = candidates[index] as Reading;
      let reason = stream.check(reading) ?? checkFields(reading);
      if (reason === undefined) {
        isTimed ||= reading.ts === undefined;
        reason = fixTime(reading, now, name, given);
      }
      if (reason === undefined) readings.push(reading);
      else {
        rejected ??= [];
        rejected.push({ index, ...reason, reading, ...timeOfRefused(reading, now, name, given) });
      }
    }
    const verdict: Verdict = { readings };
    if (rejected) verdict.rejected = rejected;
    if (isTimed) verdict.isTimed = true;
    return verdict;
  }

  /** Sets `ts` from `ts`, `age` or the hub's clock, and says when it lies outside what the store takes. */
  function fixTime(reading: Reading, now: number, stream: string, given: GivenTimes) {
    if (reading.ts === undefined) {
      reading.ts = giveTime(reading.age, now, stream, given);
      delete reading.age;
    } else if (reading.age !== undefined) return { path: '/age', code: 'clock', message: 'excludes ts' };
    if (reading.ts > now + clockAheadMs) {
      return {
        path: '/ts',
        code: 'clock',
        message: `must not be more than ${clockAheadMs} ms ahead of the hub's clock, ${now}`,
      };
    }
    if (reading.ts < Math.max(0, now - retentionMs)) {
      return { path: '/ts', code: 'clock', message: 'is older than the store keeps' };
    }
    return undefined;
  }

  /** A refused reading without a time gets the one that it would have had, or its replay might meet another's. */
  function timeOfRefused(reading: unknown, now: number, stream: string, given: GivenTimes): { ts?: number } {
    if (typeof reading !== 'object' || reading === null || (reading as Reading).ts !== undefined) return {};
    return { ts: giveTime((reading as Reading).age, now, stream, given) };
  }

  return { check };
}

function refuseAll(candidates: readonly unknown[], ts: number, path: string, code: string, message: string): Verdict {
  return { readings: [], rejected: [{ path, code, message, reading: candidates, ts }] };
}

/** Moves times in a way that those of some clocks in a row, each put back, fall between one another. */
const SHIFT_US = 618;

/** Gives times to readings that came without. `aheadMs`: no time given is further ahead of the clock. */
function createGiver(aheadMs: number) {
  /** The first of `count` times in a row, each a microsecond after the one before. */
  function giveTimes(count: number, now: number, stream: string, given: GivenTimes): number {
    const ts = giveTime(undefined, now, stream, given);
    given.get(stream)!.arrivalUs += count - 1;
    return ts;
  }

  /**
   * The time of a reading that came without one. Without `age` it is the arrival, moved on until it is later than the
   * last one given. With `age` it is that long ago to the millisecond; its microseconds count on from reading to
   * reading, so that a thousand in a row of the same millisecond stay apart, in whatever order the ages come.
   */
  function giveTime(age: unknown, now: number, stream: string, given: GivenTimes): number {
    const times = given.get(stream) ?? { arrivalUs: 0, aged: 0, shiftUs: 0 };
    given.set(stream, times);
    if (typeof age !== 'number' || !Number.isFinite(age)) {
      times.arrivalUs = nextArrival(times, Math.round(now * 1000));
      return times.arrivalUs / 1000;
    }
    const thenMs = Math.floor(now - age);
    return (thenMs * 1000 + (times.aged++ % 1000)) / 1000;
  }

  /** A clock that was put back far is believed: else all would be refused, or have a wrong time, until it is there again. */
  function nextArrival(times: { arrivalUs: number; shiftUs: number }, nowUs: number): number {
    if (times.arrivalUs > nowUs + aheadMs * 1000) {
      times.shiftUs = (times.shiftUs + SHIFT_US) % 1000;
      return nowUs + times.shiftUs;
    }
    return Math.max(nowUs + times.shiftUs, times.arrivalUs + 1);
  }

  return { giveTime, giveTimes };
}

function checkFields(reading: Reading) {
  for (const key in reading) if (key !== 'ts' && key !== 'age') return undefined;
  return { path: '', code: 'minProperties', message: 'must have at least one field' };
}
