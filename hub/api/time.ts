/** Times and durations as people write them in a query: `2026-07-01T00:00:00Z`, `1760000000000`, `-1h`, `now`, `5m`. */

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const DURATION = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|w)$/;
const UNIX_MS = /^\d{1,16}(?:\.\d{1,3})?$/;
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d))?$/;

/** What `parseTime` takes, for messages. */
export const TIME_FORMS = 'an RFC 3339 time, a date, Unix milliseconds, now, or a duration ago such as -1h';
/** What `parseDuration` takes, for messages. */
export const DURATION_FORMS = 'a number with ms, s, m, h, d or w, such as 5m';

/** Unix milliseconds; undefined when it is no time. */
export function parseTime(text: string, now: number): number | undefined {
  if (text === 'now') return now;
  if (UNIX_MS.test(text)) return Number(text);
  if (text.startsWith('-')) {
    const ago = parseDuration(text.slice(1));
    return ago === undefined ? undefined : now - ago;
  }
  const [, ...day] = RFC_3339.exec(text) ?? [];
  const time = isDay(day) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** Whether the calendar has it: `Date.parse` makes 3 March of 31 February. */
function isDay(yearMonthDay: string[]): boolean {
  const [year = 0, month = 0, day = 0] = yearMonthDay.map(Number);
  return month >= 1 && new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day;
}

/** Milliseconds; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  return unit === undefined ? undefined : Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
}
