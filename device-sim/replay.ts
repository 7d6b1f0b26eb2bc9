/** Recordings: which column becomes which field, and a feed that plays one with its own timestamps at any speed. */
import type { Reading } from './device.ts';
import type { Feed, Outlet } from './feed.ts';

type Kind = 'number' | 'boolean' | 'string';

/** One field of a reading and the column it comes from. */
export interface MappedField {
  field: string;
  column: string;
  kind: Kind;
}

export const MAP_SYNTAX = 'field=column[:number|boolean|string], separated by commas; number is the default';

/** Text that says true or false in recordings. */
const BOOLEANS = new Map([
  ['1', true],
  ['true', true],
  ['0', false],
  ['false', false],
]);

/** Reads `temperature=temp,occupied=occupancy:boolean`. Throws `RangeError` that says what is wrong. */
export function parseMap(text: string): MappedField[] {
  return text.split(',').map((part) => {
    const match = /^\s*([A-Za-z]\w*)=([^:]+?)(?::(number|boolean|string))?\s*$/.exec(part);
    if (!match) throw new RangeError(`"${part}" is not ${MAP_SYNTAX}`);
    const [, field, column, kind = 'number'] = match;
    return { field: field!, column: column!, kind: kind as Kind };
  });
}

/**
 * The reading of one row. The column `time` is RFC 3339 or Unix milliseconds; an empty cell is an absent field.
 * Throws `RangeError` that names the column and what it holds.
 */
export function readingOf(row: Record<string, string>, map: readonly MappedField[]): Reading {
  const reading: Reading = { ts: timeOf(row.time) };
  for (const { field, column, kind } of map) {
    const cell = row[column];
    if (cell === undefined) throw new RangeError(`there is no column "${column}"; there are ${Object.keys(row)}`);
    if (cell !== '') reading[field] = cellValue(cell, kind, column);
  }
  return reading;
}

function timeOf(cell: string | undefined): number {
  if (cell === undefined) throw new RangeError('there is no column "time"');
  const ts = /^-?\d+(\.\d+)?$/.test(cell) ? Number(cell) : Date.parse(cell);
  if (Number.isFinite(ts)) return ts;
  throw new RangeError(`column "time" holds "${cell}", which is neither RFC 3339 nor Unix milliseconds`);
}

function cellValue(cell: string, kind: Kind, column: string): number | string | boolean {
  if (kind === 'string') return cell;
  const value = kind === 'number' ? Number(cell) : BOOLEANS.get(cell.toLowerCase());
  if (value !== undefined && !Number.isNaN(value)) return value;
  throw new RangeError(`column "${column}" holds "${cell}", which is no ${kind}`);
}

/** The same recording, re-dated so that its last reading is taken at `now`. */
export function shiftedToEndAt(now: number, recording: readonly Reading[]): Reading[] {
  const by = now - Number(recording.at(-1)?.ts ?? now);
  return recording.map((reading) => ({ ...reading, ts: Number(reading.ts) + by }));
}

/** Plays a recording once. Unlike a sensor it can wait, so it never overfills the outbox. */
export class RecordedFeed implements Feed {
  readonly #recording: readonly Reading[];
  readonly #batch: number;
  readonly #speed: number;
  #outlet: Outlet | undefined;
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #next = 0;

  /** `speed`: 1 is true speed, 60 a minute in each second, Infinity as fast as the hub takes it. */
  constructor(recording: readonly Reading[], speed: number, batch: number) {
    this.#recording = recording;
    this.#speed = speed;
    this.#batch = batch;
  }

  get finished(): boolean {
    return this.#next >= this.#recording.length;
  }

  start(outlet: Outlet): void {
    this.#outlet = outlet;
    this.#startedAt = performance.now();
    this.wake();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outlet = undefined;
  }

  /** Sends all that is due and fits, then sleeps until the next is due; without room, until woken. */
  wake(): void {
    clearTimeout(this.#timer);
    while (this.#outlet && !this.finished && this.#outlet.room >= this.#batch) {
      const end = Math.min(this.#next + this.#batch, this.#recording.length);
      const waitMs = this.#dueAt(end - 1) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.wake(), Math.min(waitMs, 2 ** 31 - 1));
        return;
      }
      const readings = this.#recording.slice(this.#next, end);
      this.#next = end;
      this.#outlet.send(readings);
    }
  }

  #dueAt(index: number): number {
    const sinceFirst = Number(this.#recording[index]!.ts) - Number(this.#recording[0]!.ts);
    return this.#startedAt + sinceFirst / this.#speed;
  }
}
