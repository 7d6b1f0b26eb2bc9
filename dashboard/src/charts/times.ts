/** The times along the bottom of a chart, as short as they can be told apart. */
import { digitsOf } from '../kit/format.ts';

const CLOCK_PARTS = { hour: '2-digit', minute: '2-digit' } as const;
const CLOCK = new Intl.DateTimeFormat(undefined, CLOCK_PARTS);
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const MONTH = new Intl.DateTimeFormat(undefined, { month: 'short', year: 'numeric' });
/** With 0, 1, 2 and 3 digits of a second. */
const SECONDS = ([undefined, 1, 2, 3] as const).map(
  (digits) =>
    new Intl.DateTimeFormat(undefined, {
      ...CLOCK_PARTS,
      second: '2-digit',
      ...(digits && { fractionalSecondDigits: digits }),
    }),
);
const [MINUTE_S, HOUR_S, DAY_S, MONTH_S] = [60, 3_600, 86_400, 2_592_000];

/** Steps between two labels, in seconds. uPlot knows months by 30 days and years by 365. */
export const TIME_STEPS_S: number[] = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_S),
  ...[1, 2, 3, 4, 6, 8, 12].map((hours) => hours * HOUR_S),
  ...[1, 2, 3, 4, 5, 7, 10, 15, 30, 60, 90, 180, 365, 730, 1_825, 3_650].map((days) => days * DAY_S),
];

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
  if (stepS >= MONTH_S) return MONTH;
  if (stepS >= DAY_S) return DAY;
  if (stepS >= MINUTE_S) return CLOCK;
  return SECONDS[digitsOf(stepS)] ?? SECONDS.at(-1)!;
}

/** The first step that leaves each label its room in so many pixels; `widthOf`: of a label in pixels, with its pause. */
export function timeStep(spanS: number, pixels: number, widthOf: (label: string) => number): number {
  const fits = (stepS: number) => (pixels * stepS) / spanS >= widthOf(formatFor(stepS).format(WIDE));
  return TIME_STEPS_S.find(fits) ?? TIME_STEPS_S.at(-1)!;
}

/** No label is wider. */
const WIDE = new Date(2000, 10, 28, 22, 58, 58);
