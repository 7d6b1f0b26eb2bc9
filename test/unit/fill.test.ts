/** Windows without readings: a property over random windows, and the ways to fill them. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Fill, type FilledRow, filled } from '../../hub/telemetry/fill.ts';
import type { Row } from '../../hub/telemetry/store.ts';

const COLUMNS = [
  { name: 'level', isNumber: true },
  { name: 'note', isNumber: false },
];

async function fill(rows: Row[], how: Fill, { from = 0, to = 50, descending = false } = {}): Promise<FilledRow[]> {
  async function* source() {
    yield* rows;
  }
  const all: FilledRow[] = [];
  const options = { from, to, everyMs: 10, descending, fill: how, columns: COLUMNS };
  for await (const row of filled(source(), options)) all.push(row);
  return all;
}

it.each([
  ['null', [null, 2, null, 4, null], [null, 'x', null, null, null]],
  ['previous', [null, 2, 2, 4, 4], [null, 'x', 'x', 'x', 'x']],
  [7, [7, 2, 7, 4, 7], [null, 'x', null, null, null]],
] as [Fill, unknown[], unknown[]][])('with %s', async (how, levels, notes) => {
  const rows = await fill(
    [
      { ts: 10, level: 2, note: 'x' },
      { ts: 30, level: 4 },
    ],
    how,
  );
  expect(rows.map(({ level }) => level)).toEqual(levels);
  expect(rows.map(({ note }) => note)).toEqual(notes);
});

it('every window of a range comes once, in order, whatever was measured', async () => {
  const windows = fc.uniqueArray(fc.integer({ min: 0, max: 99 }));
  await fc.assert(
    fc.asyncProperty(windows, fc.boolean(), fc.integer({ min: 1, max: 10 }), async (measured, descending, cut) => {
      const sorted = measured.toSorted((a, b) => (descending ? b - a : a - b));
      const rows = sorted.map((n) => ({ ts: n * 10, level: n }));
      const all = await fill(rows, 'null', { to: 990 + cut, descending });
      const order = Array.from({ length: 100 }, (_, n) => (descending ? 990 - n * 10 : n * 10));
      expect(all.map(({ ts }) => ts)).toEqual(order);
      expect(all.filter(({ level }) => level !== null)).toEqual(rows.map((row) => ({ ...row, note: null })));
    }),
  );
});
