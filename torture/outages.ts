/** When the hub, or room on its disk, was not there: a time is judged only where the hub could have kept it. Pure. */

export interface Outages {
  /** It is gone, or stands still, from now on. Unix ms. */
  begin(now: number): void;
  end(now: number): void;
  /** Whether it was there all the time between two moments. */
  wasUp(from: number, to: number): boolean;
}

export function createOutages(): Outages {
  const past: { from: number; to: number }[] = [];
  return {
    begin: (now) => void past.push({ from: now, to: Number.POSITIVE_INFINITY }),
    end(now) {
      past.at(-1)!.to = now;
    },
    wasUp: (from, to) => past.every((outage) => outage.to < from || outage.from > to),
  };
}
