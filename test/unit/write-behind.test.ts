/** Tables that are written behind: read at once, written in batches, tried again when the database fails. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Row, Table } from '../../hub/backplane/backplane.ts';
import { createWriteBehind, type WriteBehind } from '../../hub/devices/write-behind.ts';

const PERIOD_MS = 1_000;

/** A table that writes down what it was told, and fails while the test says so. */
function fakeTable() {
  const rows = new Map<string, Row<number>>();
  const fake = { failing: false, written: [] as [string, number][] };
  const table: Table<number> = {
    get: (key) => rows.get(key),
    values: () => rows.values(),
    get size() {
      return rows.size;
    },
    async set(key, value) {
      await Promise.resolve();
      if (fake.failing) throw new Error('the disk is full');
      fake.written.push([key, value]);
      const row = { key, value, revision: fake.written.length };
      rows.set(key, row);
      return row;
    },
    delete: async (key) => rows.delete(key),
    onChange: () => {},
  };
  return { fake, table };
}

let database: ReturnType<typeof fakeTable>;
let values: WriteBehind<number>;

beforeEach(() => {
  vi.useFakeTimers();
  database = fakeTable();
  values = createWriteBehind(database.table, PERIOD_MS);
});
afterEach(async () => {
  await values.close();
  vi.useRealTimers();
});

it('is read at once and written once in a period, only the newest', async () => {
  values.set('a', 1);
  values.set('a', 2);
  expect([values.get('a'), database.fake.written]).toEqual([2, []]);
  await vi.advanceTimersByTimeAsync(PERIOD_MS);
  expect([values.get('a'), database.fake.written]).toEqual([2, [['a', 2]]]);
  await vi.advanceTimersByTimeAsync(PERIOD_MS);
  expect(database.fake.written).toHaveLength(1);
});

it('shows the newest while an older value is being written', async () => {
  values.set('a', 1);
  vi.advanceTimersByTime(PERIOD_MS);
  expect(values.get('a')).toBe(1);
  values.set('a', 2);
  await vi.advanceTimersByTimeAsync(0);
  expect(values.get('a')).toBe(2);
  await values.close();
  expect(database.fake.written).toEqual([
    ['a', 1],
    ['a', 2],
  ]);
});

it('tries again what could not be written', async () => {
  database.fake.failing = true;
  values.set('a', 1);
  await vi.advanceTimersByTimeAsync(PERIOD_MS);
  expect(values.get('a')).toBe(1);
  database.fake.failing = false;
  await vi.advanceTimersByTimeAsync(PERIOD_MS);
  expect(database.fake.written).toEqual([['a', 1]]);
});

it('never writes what was forgotten', async () => {
  for (let n = 0; n < 2_000; n++) values.set(`k${n}`, n);
  vi.advanceTimersByTime(PERIOD_MS);
  values.forget('k1999');
  await values.close();
  expect(database.table.get('k1998')?.value).toBe(1998);
  expect(database.table.get('k1999')).toBeUndefined();
  expect(values.get('k1999')).toBeUndefined();
});
