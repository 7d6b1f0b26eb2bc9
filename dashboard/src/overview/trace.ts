/** The line of one device on the overview: its newest value and the last minutes before it, by the device's own time. */
import { type Row, Series } from '../charts/series.ts';

export const SPAN_MS = 120_000;
export const POINTS = 120;

const numberOnly = (value: unknown) => (typeof value === 'number' ? value : undefined);

export class Trace {
  readonly stream: string;
  readonly field: string;
  /** The newest value as it came; the line has means. */
  newest = Number.NaN;
  /** How old readings are when they come: who tells of yesterday has a line of yesterday. */
  #behindMs = 0;
  readonly #series = new Series(SPAN_MS / POINTS, numberOnly);

  constructor(stream: string, field: string) {
    this.stream = stream;
    this.field = field;
  }

  /** What the device said before; oldest first. */
  load(rows: readonly Row[]): void {
    this.#series.load(rows, this.field);
  }

  /** A reading that came now; both times in Unix milliseconds. */
  hear(ts: number, value: number, nowMs: number): void {
    this.newest = value;
    this.#behindMs = nowMs - ts;
    this.#series.add(ts, value);
    this.#series.trim(ts - SPAN_MS);
  }

  get line(): { ts: number; value: number }[] {
    return this.#series.line;
  }

  /** Where the line ends, Unix milliseconds: the present for most, and it moves on when nothing comes. */
  edgeAt(nowMs: number): number {
    return Math.max(nowMs - this.#behindMs, this.#series.last?.ts ?? 0);
  }
}
