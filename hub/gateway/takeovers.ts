/** Damps two clients that have one token and take the device from each other again and again. Pure. */

export interface Takeovers {
  /**
   * A client is at the door while another of the same device is inside. Milliseconds it has to wait outside, 0 when it
   * may take over; `isNews`: it is the first of this quarrel that has to wait. `now`: monotonic milliseconds.
   */
  knock(device: string, now: number): { waitMs: number; isNews: boolean };
}

export interface TakeoverOptions {
  /** So many in `withinMs` are let happen: a device on a bad network comes back before its old socket is known to be dead. */
  limit: number;
  withinMs: number;
}

/** Devices remembered; when there are more, the longest remembered is forgotten. */
const MAX_DEVICES = 10_000;

interface Quarrel {
  count: number;
  since: number;
  told: boolean;
}

export function createTakeovers({ limit, withinMs }: TakeoverOptions): Takeovers {
  const quarrels = new Map<string, Quarrel>();

  /** A quarrel that goes on past its window is not news again. */
  function quarrelOf(device: string, now: number): Quarrel {
    const known = quarrels.get(device);
    if (known && now - known.since < withinMs) return known;
    quarrels.delete(device);
    const isSame = known !== undefined && now - known.since < 2 * withinMs;
    const quarrel = { count: 0, since: now, told: isSame && known.told };
    quarrels.set(device, quarrel);
    if (quarrels.size > MAX_DEVICES) quarrels.delete(quarrels.keys().next().value!);
    return quarrel;
  }

  return {
    knock(device, now) {
      const quarrel = quarrelOf(device, now);
      if (++quarrel.count <= limit) return { waitMs: 0, isNews: false };
      const isNews = !quarrel.told;
      quarrel.told = true;
      return { waitMs: quarrel.since + withinMs - now, isNews };
    },
  };
}
