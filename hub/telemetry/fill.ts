/** Puts something into the windows in which nothing was measured, so that both stores answer alike. */

import type { Value } from './reading.ts';
import { floorTo } from './resolution.ts';
import type { Row } from './store.ts';

/** `null`: says that there was nothing. `previous`: what the last window before had. A number: that, where a number is due. */
export type Fill = 'null' | 'previous' | number;

/** A row of which some fields were measured and others say that they were not. */
export type FilledRow = { ts: number } & Record<string, Value | null>;

export interface FillOptions {
  from: number;
  to: number;
  everyMs: number;
  descending: boolean;
  fill: Fill;
  /** The keys that each row shall have; `isNumber`: where a number may stand in. */
  columns: readonly { name: string; isNumber: boolean }[];
}

/**
 * Every window of the range in order, the rows among them; `previous` needs them oldest first. Lazy: a range of a million
 * windows costs only what is read of it.
 */
export async function* filled(rows: AsyncIterable<Row>, options: FillOptions): AsyncGenerator<FilledRow> {
  const { from, to, everyMs, descending } = options;
  const step = descending ? -everyMs : everyMs;
  const first = floorTo(from, everyMs);
  const last = floorTo(to - 0.001, everyMs);
  const complete = completer(options);
  let next = descending ? last : first;
  for await (const row of rows) {
    for (; next !== row.ts && next >= first && next <= last; next += step) yield complete({ ts: next });
    yield complete(row);
    next = row.ts + step;
  }
  for (; next >= first && next <= last; next += step) yield complete({ ts: next });
}

/** Completes one row after the other. */
function completer({ fill, columns }: FillOptions): (row: Row) => FilledRow {
  const known = new Map<string, Value>();
  return (row) => {
    const whole: FilledRow = { ts: row.ts };
    for (const { name, isNumber } of columns) {
      const value = row[name];
      if (value !== undefined) known.set(name, value);
      whole[name] = value ?? standIn(name, isNumber);
    }
    return whole;
  };

  function standIn(name: string, isNumber: boolean): Value | null {
    if (fill === 'previous') return known.get(name) ?? null;
    return fill !== 'null' && isNumber ? fill : null;
  }
}
