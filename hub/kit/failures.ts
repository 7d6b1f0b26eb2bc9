/** Counts failed attempts by address, so that whoever guesses waits longer than it guesses. */

export interface Failures {
  /**
   * How long an address that just failed has to wait, in milliseconds; 0 when it need not. Only failures are counted: a
   * good token behind the same address (a factory behind one router) is never locked out by a bad one.
   */
  count(address: string, now: number): number;
}

const MINUTE_MS = 60_000;
/** Addresses remembered for their failures; when there are more, the longest remembered is forgotten. */
const MAX_ADDRESSES = 10_000;

export function createFailures(perMinute: number): Failures {
  const failures = new Map<string, { count: number; until: number }>();
  return {
    count(address, now) {
      let failed = failures.get(address);
      if (!failed || failed.until <= now) {
        failures.delete(address);
        failed = { count: 0, until: now + MINUTE_MS };
        failures.set(address, failed);
        if (failures.size > MAX_ADDRESSES) failures.delete(failures.keys().next().value!);
      }
      return ++failed.count > perMinute ? failed.until - now : 0;
    },
  };
}
