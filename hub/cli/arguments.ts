/** How values are written on the command line: pairs, lists, durations, numbers. */
import { InvalidArgumentError } from 'commander';
import { DURATION_FORMS, parseDuration } from '../api/time.ts';

/** Collects `name=value` of an option that may be repeated. */
export function pairOf(text: string, pairs: Record<string, string> = {}): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Write it as name=value.');
  return { ...pairs, [name]: value };
}

/** Collects the values of an option that may be repeated. */
export function listOf(text: string, values: string[] = []): string[] {
  return [...values, text];
}

/** Milliseconds of `90s`, `1h` …. */
export function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError(`Write it as ${DURATION_FORMS}.`);
  return ms;
}

export function numberOf(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Write a number.');
  return value;
}

/** A share from 0 to 100, with or without its sign. */
export function percentOf(text: string): number {
  const value = numberOf(text.replace(/ ?%$/, ''));
  if (value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError('Write a share from 0 to 100, such as 20 or 20%.');
}
