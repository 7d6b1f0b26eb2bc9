/** When a schedule is due: the moments of a cron expression in a time zone, on days when the clocks change too. */

/** A cron expression, read and checked. Each list is sorted. */
export interface CronFields {
  seconds: readonly number[];
  minutes: readonly number[];
  hours: readonly number[];
  timeZone: string;
  /** Whether day of the month, month and day of the week fit this moment, by the clock of the zone. */
  matchesDay(at: number): boolean;
}

/**
 * Moments are Unix milliseconds. A local time that the clocks skip is due the moment they jump, once; one that they
 * repeat is due the first time only. An expression for every hour of the day simply goes on: it is about intervals.
 */
export interface Timetable {
  /** The first moment after `after`; undefined when there is none within 40 years. */
  next(after: number): number | undefined;
  /** The moments after `after` and not after `upTo`, in order. */
  between(after: number, upTo: number): Generator<number>;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const FORESIGHT_MS = 40 * 365.25 * DAY_MS;
/** Clocks change at whole quarters, and zones differ by quarters: within one, local time runs evenly. */
const QUARTER_MS = 15 * MINUTE_MS;
const QUARTER_MINUTES = 15;
/** Longer ago than any change of the clocks is large. */
const BEFORE_MS = 3 * HOUR_MS;
const HOURS = 24;

export function createTimetable(fields: CronFields): Timetable {
  const { seconds, minutes, hours, timeZone, matchesDay } = fields;
  const offsetAt = clockOf(timeZone);
  const fixedHours = hours.length < HOURS;

  /** The clocks went back less than a change ago, and have shown this quarter once already. */
  function isRepeated(quarter: number): boolean {
    const before = offsetAt(quarter - BEFORE_MS);
    const gained = before - offsetAt(quarter);
    return gained > 0 && offsetAt(quarter - gained) === before;
  }

  /** The clocks jumped to this quarter, over a time that was due. */
  function jumpedOverOne(quarter: number): boolean {
    const to = quarter + offsetAt(quarter);
    for (let local = quarter + offsetAt(quarter - 1_000); local < to; local += QUARTER_MS) {
      if (hours.includes(hourOf(local)) && minutesIn(local).length > 0) return true;
    }
    return false;
  }

  function minutesIn(local: number): number[] {
    const first = minuteOf(local);
    return minutes.filter((minute) => minute >= first && minute < first + QUARTER_MINUTES);
  }

  function* momentsIn(quarter: number): Generator<number> {
    const local = quarter + offsetAt(quarter);
    const due = hours.includes(hourOf(local)) ? minutesIn(local) : [];
    const startsDue = due[0] === minuteOf(local) && seconds[0] === 0;
    if (fixedHours && due.length > 0 && isRepeated(quarter)) return;
    if (fixedHours && !startsDue && jumpedOverOne(quarter)) yield quarter;
    for (const minute of due) {
      for (const second of seconds) yield quarter + (minute - minuteOf(local)) * MINUTE_MS + second * 1_000;
    }
  }

  /** Asked for each quarter, and the same all day. */
  let today = { day: Number.NaN, fits: false };
  function dayFits(quarter: number): boolean {
    const day = Math.floor((quarter + offsetAt(quarter)) / DAY_MS);
    if (day !== today.day) today = { day, fits: matchesDay(quarter) };
    return today.fits;
  }

  /** Midnight, or only the next quarter on a day when the clocks change. */
  function dayAfter(quarter: number): number {
    const offset = offsetAt(quarter);
    const midnight = (Math.floor((quarter + offset) / DAY_MS) + 1) * DAY_MS - offset;
    return offsetAt(midnight) === offset ? midnight : quarter + QUARTER_MS;
  }

  function* between(after: number, upTo: number): Generator<number> {
    let quarter = Math.floor(after / QUARTER_MS) * QUARTER_MS;
    while (quarter <= upTo) {
      if (!dayFits(quarter)) {
        quarter = dayAfter(quarter);
        continue;
      }
      for (const moment of momentsIn(quarter)) if (moment > after && moment <= upTo) yield moment;
      quarter += QUARTER_MS;
    }
  }

  return {
    between,
    next: (after) => between(after, after + FORESIGHT_MS).next().value,
  };
}

const hourOf = (local: number) => Math.floor(local / HOUR_MS) % HOURS;
const minuteOf = (local: number) => Math.floor(local / MINUTE_MS) % 60;

/** How far the clocks of a zone are ahead of UTC at a moment, in milliseconds. */
function clockOf(timeZone: string): (at: number) => number {
  if (timeZone === 'UTC') return () => 0;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  let latest = { at: Number.NaN, offset: 0 };
  return (at) => {
    if (at === latest.at) return latest.offset;
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = format
      .format(at)
      .match(/\d+/g)!
      .map(Number);
    latest = { at, offset: Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1_000) * 1_000 };
    return latest.offset;
  };
}
