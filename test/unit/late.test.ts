import { expect, it } from 'vitest';
import { createLate } from '../../hub/telemetry/late.ts';

it('gathers late readings into stretches of sixty windows, and gives the oldest first', () => {
  const late = createLate(1_000);
  for (const ts of [200_000, 190_000, 61_000, 60_000]) expect(late.add(ts)).toBe(true);
  expect(late.first()).toBe(60_000);
  expect(late.take()).toEqual({ from: 60_000, to: 120_000 });
  expect(late.take()).toEqual({ from: 180_000, to: 240_000 });
  expect(late.take()).toBeUndefined();
  expect(late.first()).toBeUndefined();
});

it('takes a whole range, cut stretches too', () => {
  const late = createLate(1_000);
  late.addRange(59_999, 120_001);
  expect([late.take()?.from, late.take()?.from, late.take()?.from, late.take()]).toEqual([
    0,
    60_000,
    120_000,
    undefined,
  ]);
});

it('is bounded: beyond fifty thousand stretches it takes none but those it has, and says so', () => {
  const late = createLate(1);
  expect(late.addRange(0, 60 * 50_000)).toBe(true);
  expect(late.add(60 * 50_000)).toBe(false);
  expect(late.add(5)).toBe(true);
});
