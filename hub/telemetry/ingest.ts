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

/** What the hub gave to the readings of one device that came without `ts`, by stream, so that no two get the same. */
export type GivenTimes = Map<string, { last: number; microseconds: number }>;

export interface Verdict {
  readings: Reading[];
  rejected?: Rejection[];
}

export interface Ingest {
  /** Never throws, whatever the device sent. Takes over the reading objects. `now`: Unix milliseconds. */
  check(stream: string, readings: readonly unknown[], now: number, given: GivenTimes): Verdict;
}

/** A microsecond in milliseconds: the finest step of `ts`. */
const STEP_MS = 0.001;

export function createIngest(options: IngestOptions): Ingest {
  const { streams, readingsPerFrame, clockAheadMs } = options;
  const retentionMs = options.retentionMs > 0 ? options.retentionMs : Number.POSITIVE_INFINITY;

  function check(name: string, candidates: readonly unknown[], now: number, given: GivenTimes): Verdict {
    const stream = streams.get(name);
    if (!stream) return refuseAll(candidates, '/stream', 'stream', `no stream is called "${name}"`);
    if (candidates.length > readingsPerFrame) {
      return refuseAll(candidates, '/readings', 'maxItems', `must hold at most ${readingsPerFrame} readings`);
    }
    const readings: Reading[] = [];
    let rejected: Rejection[] | undefined;
    for (let index = 0; index < candidates.length; index++) {
      const reading = candidates[index];
      const reason =
        stream.check(reading) ?? checkFields(reading as Reading) ?? fixTime(reading as Reading, now, name, given);
      if (reason === undefined) readings.push(reading as Reading);
      else {
        rejected ??= [];
        rejected.push({ index, ...reason, reading });
      }
    }
    return rejected ? { readings, rejected } : { readings };
  }

  /** Sets `ts` from `ts`, `age` or the hub's clock, and says when it lies outside what the store takes. */
  function fixTime(reading: Reading, now: number, stream: string, given: GivenTimes) {
    if (reading.ts === undefined) reading.ts = giveTime(reading, now, stream, given);
    else if (reading.age !== undefined) return { path: '/age', code: 'clock', message: 'excludes ts' };
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

  return { check };
}

function refuseAll(candidates: readonly unknown[], path: string, code: string, message: string): Verdict {
  return { readings: [], rejected: [{ path, code, message, reading: candidates }] };
}

/**
 * The time of a reading that came without one. Without `age` it is the arrival, moved on until it is later than the
 * last one given. With `age` it is that long ago, told apart from its neighbours by its microseconds, which count
 * 1 to 999 and begin again.
 */
function giveTime(reading: Reading, now: number, stream: string, given: GivenTimes): number {
  const times = given.get(stream) ?? { last: 0, microseconds: 0 };
  given.set(stream, times);
  if (reading.age === undefined) {
    times.last = now > times.last ? now : times.last + STEP_MS;
    return times.last;
  }
  const then = Math.floor(now - (reading.age as number));
  delete reading.age;
  times.microseconds = (times.microseconds % 999) + 1;
  return then + times.microseconds * STEP_MS;
}

function checkFields(reading: Reading) {
  for (const key in reading) if (key !== 'ts' && key !== 'age') return undefined;
  return { path: '', code: 'minProperties', message: 'must have at least one field' };
}
