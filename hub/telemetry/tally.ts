/** Counts the values of readings by stream, field and minute, each identity once however often it was sent. */
import type { Frame, Reading } from './reading.ts';
import type { MinuteCounts } from './store.ts';

export const MINUTE_MS = 60_000;
const MINUTE_MICROS = 60_000_000;

/** Counts readings with `from` ≤ ts < `to`, both full minutes in Unix milliseconds. */
export class Tally {
  readonly from: number;
  #to: number;
  readonly #maxValues: number;
  #values = 0;
  readonly #devices = new Map<string, number>();
  /** stream → field → minute → a number for each value: the place of its device, and its microsecond in the minute. */
  readonly #marks = new Map<string, Map<string, Map<number, number[]>>>();

  /** Bound: about `maxValues`; when there are more, the newest minute is given up, and `to` with it. */
  constructor(from: number, to: number, maxValues: number) {
    this.from = from;
    this.#to = to;
    this.#maxValues = maxValues;
  }

  get to(): number {
    return this.#to;
  }

  add({ device, stream }: Pick<Frame, 'device' | 'stream'>, readings: readonly Reading[]): void {
    for (const reading of readings) {
      const { ts } = reading;
      if (ts < this.from || ts >= this.#to) continue;
      const minute = minuteOf(ts);
      const mark = this.#placeOf(device) * MINUTE_MICROS + Math.round((ts - minute) * 1000);
      for (const name in reading) if (name !== 'ts') this.#add(stream, name, minute, mark);
    }
    while (this.#values > this.#maxValues) this.#dropNewest();
  }

  streams(): string[] {
    return [...this.#marks.keys()];
  }

  countsOf(stream: string): MinuteCounts {
    const counts: MinuteCounts = new Map();
    for (const [field, minutes] of this.#marks.get(stream) ?? []) {
      counts.set(field, new Map(Array.from(minutes, ([minute, marks]) => [minute, distinct(marks)])));
    }
    return counts;
  }

  #placeOf(device: string): number {
    const known = this.#devices.get(device);
    if (known !== undefined) return known;
    this.#devices.set(device, this.#devices.size);
    return this.#devices.size - 1;
  }

  #add(stream: string, field: string, minute: number, mark: number): void {
    const fields = entry(this.#marks, stream, () => new Map<string, Map<number, number[]>>());
    const minutes = entry(fields, field, () => new Map<number, number[]>());
    entry(minutes, minute, () => [] as number[]).push(mark);
    this.#values++;
  }

  #dropNewest(): void {
    this.#to -= MINUTE_MS;
    for (const fields of this.#marks.values()) {
      for (const minutes of fields.values()) {
        this.#values -= minutes.get(this.#to)?.length ?? 0;
        minutes.delete(this.#to);
      }
    }
  }
}

export function minuteOf(ts: number): number {
  return Math.floor(ts / MINUTE_MS) * MINUTE_MS;
}

/** A field of a stream of which the store has fewer values in a minute than the journal. */
export interface Gap {
  stream: string;
  field: string;
  /** Its beginning, Unix milliseconds. */
  minute: number;
  expected: number;
  stored: number;
}

export interface Differences {
  gaps: Gap[];
  /** Values that the store has beyond what was expected. */
  surplus: number;
  /** Values that were expected. */
  compared: number;
}

/** Holds what was expected of a stream against what is stored, in the minutes in which something was expected. */
export function differencesOf(stream: string, expectedCounts: MinuteCounts, storedCounts: MinuteCounts): Differences {
  const found: Differences = { gaps: [], surplus: 0, compared: 0 };
  for (const [field, minutes] of expectedCounts) {
    for (const [minute, expected] of minutes) {
      const stored = storedCounts.get(field)?.get(minute) ?? 0;
      found.compared += expected;
      found.surplus += Math.max(0, stored - expected);
      if (stored < expected) found.gaps.push({ stream, field, minute, expected, stored });
    }
  }
  return found;
}

function distinct(marks: number[]): number {
  const sorted = Float64Array.from(marks).sort();
  let count = 0;
  for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) count++;
  return count;
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
