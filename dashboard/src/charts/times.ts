/** The times along the bottom of a chart, as short as they can be told apart. */

const CLOCK_PARTS = { hour: '2-digit', minute: '2-digit' } as const;
const CLOCK = new Intl.DateTimeFormat(undefined, CLOCK_PARTS);
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
/** With 0, 1, 2 and 3 digits of a second. */
const SECONDS = ([undefined, 1, 2, 3] as const).map(
  (digits) =>
    new Intl.DateTimeFormat(undefined, {
      ...CLOCK_PARTS,
      second: '2-digit',
      ...(digits && { fractionalSecondDigits: digits }),
    }),
);
/** Steps of times are sums of fractions. */
const ROUNDING = 1e-6;

/** Labels of times that are `stepS` seconds apart; Unix seconds. */
export function timeLabels(times: readonly number[], stepS: number): string[] {
  const format = formatFor(stepS);
  return times.map((time, index) => {
    // A time such as 55.1 s is 55.0999… in binary, and formats cut digits off.
    const date = new Date(Math.round(time * 1_000));
    const isNewDay = format === CLOCK && index > 0 && date.getHours() === 0 && date.getMinutes() === 0;
    return (isNewDay ? DAY : format).format(date);
  });
}

function formatFor(stepS: number): Intl.DateTimeFormat {
  if (stepS >= 86_400) return DAY;
  if (stepS >= 60) return CLOCK;
  const digits = [1, 0.1, 0.01].findIndex((least) => stepS >= least - ROUNDING);
  return SECONDS[digits < 0 ? 3 : digits]!;
}

/** A label as wide as those of a window of so many seconds may be. */
export function widestLabel(spanS: number): string {
  const format = spanS > 3_600 ? CLOCK : spanS > 20 ? SECONDS[0]! : SECONDS[1]!;
  return format.format(new Date(2000, 0, 1, 22, 58, 58));
}
