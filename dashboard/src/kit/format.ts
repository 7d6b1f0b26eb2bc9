/** Numbers, sizes, spans of time and units in the words people use. */

const PLAIN = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'];
const SPANS: [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** UCUM codes whose usual sign is another. */
const SIGNS: Record<string, string> = {
  Cel: '°C',
  '[degF]': '°F',
  '[ppm]': 'ppm',
  'kW.h': 'kWh',
  'W.h': 'Wh',
  '/min': 'rpm',
  deg: '°',
  '1': '',
  Ohm: 'Ω',
  um: 'µm',
  'm/s2': 'm/s²',
  m2: 'm²',
  m3: 'm³',
};

/** A unit as people write it; empty for a bare number. */
export function unitSign(ucum: string | undefined): string {
  return ucum === undefined ? '' : (SIGNS[ucum] ?? ucum.replaceAll(/[[\]]/g, '').replaceAll('.', '·'));
}

/** A whole number with separators. */
export const count = (value: number): string => PLAIN.format(value);

/** A count that fits a small place: 12.3K. */
export const shortCount = (value: number): string => (value < 10_000 ? PLAIN.format(value) : COMPACT.format(value));

/** One thing or many: `things(2, 'device')` is "2 devices". */
export function things(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** What a value is a multiple of, such as 0.25, when its schema says so; and its unit in UCUM. */
export interface Measure {
  unit?: string;
  step?: number;
}

/** One metre on the ground is the fifth digit of a degree. */
const DEGREE_DIGITS = 5;
const MOST_DIGITS = 9;

/** A measured value with as many digits as say something: about five, and never fewer after the point than its step. */
export function measured(value: number, { unit, step }: Measure = {}): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e9)) return value.toExponential(2);
  const usual = size >= 10_000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  const digits = Math.max(usual, unit === 'deg' ? DEGREE_DIGITS : 0, step === undefined ? 0 : digitsOf(step));
  return new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value);
}

/** Digits after the point that multiples of a step have, so that 22.5 does not read 23. */
export function digitsOf(step: number): number {
  let digits = 0;
  while (digits < MOST_DIGITS && !isWhole(step * 10 ** digits)) digits++;
  return digits;
}

function isWhole(value: number): boolean {
  return Math.abs(value - Math.round(value)) < 1e-6;
}

/** Any value of a field, with its unit when it is a number. */
export function fieldValue(value: unknown, measure: Measure = {}): string {
  if (typeof value === 'number') return [measured(value, measure), unitSign(measure.unit)].filter(Boolean).join(' ');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return value === undefined || value === null ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
}

/** 1,536 → "1.5 kB", by thousands. */
export function bytes(value: number): string {
  const power = value < 1_000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), SIZES.length - 1);
  const number = value / 1_000 ** power;
  return `${number >= 100 || power === 0 ? Math.round(number) : number.toFixed(1)} ${SIZES[power]}`;
}

/** A span in its two largest units: "2 h 5 min"; below a second in milliseconds. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  const first = SPANS.findIndex(([, unitMs]) => ms >= unitMs);
  const [unit, unitMs] = SPANS[first]!;
  const next = SPANS[first + 1];
  const whole = Math.floor(ms / unitMs);
  const rest = next ? Math.floor((ms % unitMs) / next[1]) : 0;
  return rest > 0 && next ? `${whole} ${unit} ${rest} ${next[0]}` : `${whole} ${unit}`;
}

/** How long ago, or how soon: "3 min ago", "in 2 h". */
export function distance(atMs: number, nowMs: number): string {
  const ms = Math.abs(nowMs - atMs);
  if (ms < 5_000) return 'now';
  const [unit, unitMs] = SPANS.find(([, size]) => ms >= size)!;
  const text = `${Math.floor(ms / unitMs)} ${unit}`;
  return atMs > nowMs ? `in ${text}` : `${text} ago`;
}

const MOMENT = { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit', second: '2-digit' } as const;
const THIS_YEAR = new Intl.DateTimeFormat(undefined, MOMENT);
const ANY_YEAR = new Intl.DateTimeFormat(undefined, { year: 'numeric', ...MOMENT });

/** A moment in the viewer's zone; with its year when that is another one. */
export function localTime(atMs: number): string {
  const isThisYear = new Date(atMs).getFullYear() === new Date().getFullYear();
  return (isThisYear ? THIS_YEAR : ANY_YEAR).format(atMs);
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

/** The time of the day in the viewer's zone. */
export const clockTime = (atMs: number): string => CLOCK.format(atMs);

/** A moment in UTC, to the second. */
export const utcSecond = (atMs: number): string => `${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** A moment in UTC, to the millisecond. */
export const utcTime = (atMs: number): string =>
  `${new Date(atMs).toISOString().replace('T', ' ').replace('Z', '')} UTC`;
