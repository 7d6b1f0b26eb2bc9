/** Jumps of the wall clock, with both clocks handed in. */
import { expect, it } from 'vitest';
import { createClockWatch } from '../../hub/kit/clock-watch.ts';

const HOUR_MS = 3_600_000;

/** Looks each second for so long; the wall clock runs off by `driftMs` in each of them. */
function watched(seconds: number, driftMs = 0, jumps: Record<number, number> = {}) {
  const told: number[] = [];
  const watch = createClockWatch(HOUR_MS, 7, (byMs) => told.push(byMs));
  let offset = HOUR_MS - 7;
  for (let second = 1; second <= seconds; second++) {
    offset += driftMs + (jumps[second] ?? 0);
    const monotonic = 7 + second * 1_000;
    watch.look(monotonic + offset, monotonic);
  }
  return { told, jumps: watch.jumps };
}

it('counts each jump, ahead and back, and says by how much', () => {
  expect(watched(60, 0, { 10: HOUR_MS, 11: -HOUR_MS, 40: -1_500 })).toEqual({
    told: [HOUR_MS, -HOUR_MS, -1_500],
    jumps: 3,
  });
});

it('takes what NTP corrects bit by bit for no jump, however much it becomes', () => {
  expect(watched(86_400, 0.5)).toEqual({ told: [], jumps: 0 });
});

it('takes a look that comes late for no jump', () => {
  const told: number[] = [];
  const watch = createClockWatch(0, 0, (byMs) => told.push(byMs));
  watch.look(30_000, 30_000);
  expect(told).toEqual([]);
});
