/** What a person wrote in a form, read as the API takes it, and what is wrong with it, each at its field. */
import { HubRefusal, type Mistake } from '../hub/client.http.ts';

type Said = Pick<Mistake, 'path' | 'message'>;

/** What was written cannot be read; each mistake is told by the JSON pointer of the member that its field is for. */
export class Mistaken extends Error {
  readonly mistakes: Said[];
  constructor(mistakes: Said[]) {
    super(mistakes.map(({ path, message }) => `${path} ${message}`).join('; '));
    this.name = 'Mistaken';
    this.mistakes = mistakes;
  }
}

type Readers = Record<string, () => unknown>;
type Read<R extends Readers> = { [Name in keyof R]: ReturnType<R[Name]> };

/** The members of a body by their names. All are read before `Mistaken` is thrown, so that all mistakes are told at once. */
export function readAll<R extends Readers>(readers: R): Read<R> {
  const mistakes: Said[] = [];
  const entries = Object.entries(readers).map(([name, read]) => {
    try {
      return [name, read()];
    } catch (error) {
      mistakes.push(...within(`/${name}`, error as Error));
      return [name, undefined];
    }
  });
  if (mistakes.length > 0) throw new Mistaken(mistakes);
  return Object.fromEntries(entries) as Read<R>;
}

function within(pointer: string, error: Error): Said[] {
  if (!(error instanceof Mistaken)) return [{ path: pointer, message: error.message }];
  return error.mistakes.map(({ path, message }) => ({ path: pointer + path, message }));
}

export interface Bounds {
  /** In the unit of the field. */
  least?: number | undefined;
  most?: number | undefined;
  whole?: boolean;
  /** How the field writes its unit. */
  unit?: string;
}

/** A number as people write it, with a comma or a point. Throws an `Error` for people, in the unit of the field. */
export function numberFrom(text: string, { least = -Infinity, most = Infinity, whole, unit }: Bounds = {}): number {
  if (text.trim() === '') throw new Error('is needed');
  const value = Number(text.trim().replace(',', '.'));
  const of = unit ? ` ${unit}` : '';
  if (!Number.isFinite(value)) throw new Error('must be a number');
  if (whole && !Number.isInteger(value)) throw new Error('must be a whole number');
  if (value < least) throw new Error(`must be at least ${least}${of}`);
  if (value > most) throw new Error(`must be at most ${most}${of}`);
  return value;
}

const MS = 1_000;
const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;
const LONG: [string, number][] = [
  ['days', DAY_S],
  ['hours', HOUR_S],
  ['minutes', MINUTE_S],
];

/** Whole milliseconds of seconds as people write them; bounds are milliseconds. Throws an `Error` for people, in seconds. */
export function millisecondsFrom(text: string, { least = 0, most = Infinity }: Bounds = {}): number {
  const seconds = numberFrom(text, { least: least / MS, unit: 's' });
  if (seconds * MS > most) throw new Error(`must be at most ${most / MS} s${inWords(most / MS)}`);
  return Math.round(seconds * MS);
}

/** 2,592,000 s say little. */
function inWords(seconds: number): string {
  const [unit, size] = LONG.find(([, each]) => seconds >= each && seconds % each === 0) ?? ['', 0];
  return size === 0 ? '' : ` (${seconds / size} ${seconds === size ? unit.slice(0, -1) : unit})`;
}

/** What may be left empty. */
export const ifWritten = <T>(text: string, read: (text: string) => T): T | undefined =>
  text.trim() === '' ? undefined : read(text);

/** How the hub lets its things be called. `more`: what may stand in a name beside letters and digits. */
function nameFrom(text: string, more: string): string {
  const name = text.trim();
  if (name === '') throw new Error('is needed');
  const fits = [...name].every((char, index) => /[A-Za-z0-9]/.test(char) || (index > 0 && more.includes(char)));
  if (!fits) throw new Error(`takes a letter or digit, then letters, digits or ${[...more].join(' ')}`);
  if (name.length > NAME_CHARS) throw new Error(`has at most ${NAME_CHARS} characters`);
  return name;
}

const NAME_CHARS = 64;

/** Throws an `Error` for people. */
export const deviceIdFrom = (text: string): string => nameFrom(text, '._:-');
export const operatorNameFrom = (text: string): string => nameFrom(text, '._@-');
/** Of a schedule or a rule of alerts. */
export const taskNameFrom = (text: string): string => nameFrom(text, '._-');

/** What is wrong, by the pointer of the field that tells it. */
export type Placed = ReadonlyMap<string, string>;

/**
 * What of an error stands at which of the fields (JSON pointers), and what is left for the form as a whole: a mistake inside
 * of a member is its field's.
 */
export function placed(error: Error | undefined, fields: readonly string[]): { at: Placed; rest: Error | undefined } {
  const at = new Map<string, string>();
  if (!(error instanceof Mistaken || error instanceof HubRefusal)) return { at, rest: error };
  const homeless = error.mistakes.filter(({ path, message }) => {
    const field = fields.find((pointer) => path === pointer || path.startsWith(`${pointer}/`));
    if (field !== undefined) at.set(field, at.get(field) ?? message);
    return field === undefined;
  });
  if (at.size === 0) return { at, rest: error };
  return { at, rest: homeless.length > 0 ? new Mistaken(homeless) : undefined };
}
