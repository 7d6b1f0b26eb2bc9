/** Slows down those who fail again and again, by network address: each time they go too far, the wait doubles. Pure. */
import { customerOf } from './network.ts';

export interface Throttle {
  /**
   * Counts a failure. In how many milliseconds this address may try again; 0 when it need not wait. Only failures are
   * asked about, so a good token behind the same address is never locked out by a bad one. `now`: Unix milliseconds.
   */
  failed(address: string, now: number): number;
}

const MINUTE_MS = 60_000;
const MAX_WAIT_MS = 60 * MINUTE_MS;
/** Addresses remembered; when there are more, the one that failed longest ago is forgotten. */
const MAX_ADDRESSES = 10_000;

interface Offender {
  /** Failures since `since`. */
  count: number;
  since: number;
  /** How often it went too far. */
  times: number;
  /** It waits until then; it is as good as new at `forgetAt`. */
  until: number;
  forgetAt: number;
}

export function createThrottle(perMinute: number): Throttle {
  const records = new Map<string, Offender>();

  function recordOf(address: string, now: number): Offender {
    const key = customerOf(address);
    const known = records.get(key);
    // A clock that was set back would make them wait for longer than anybody shall.
    const isOver = known === undefined || now >= known.forgetAt || known.until - now > MAX_WAIT_MS;
    const record = isOver ? { count: 0, since: now, times: 0, until: 0, forgetAt: now + MINUTE_MS } : known;
    records.delete(key);
    records.set(key, record);
    if (records.size > MAX_ADDRESSES) records.delete(records.keys().next().value!);
    return record;
  }

  return {
    failed(address, now) {
      const record = recordOf(address, now);
      if (now < record.until) return record.until - now;
      if (now - record.since >= MINUTE_MS) Object.assign(record, { count: 0, since: now });
      record.forgetAt = Math.max(record.forgetAt, record.since + MINUTE_MS);
      if (++record.count <= perMinute) return 0;
      const waitMs = Math.min(MINUTE_MS * 2 ** record.times, MAX_WAIT_MS);
      const until = now + waitMs;
      // Who stays quiet for as long again begins anew.
      Object.assign(record, { count: 0, since: until, times: record.times + 1, until, forgetAt: until + waitMs });
      return waitMs;
    },
  };
}
