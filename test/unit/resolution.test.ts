/** What a question is answered from, and how long the windows of a chart are. */
import { describe, expect, it } from 'vitest';
import { partsOf, rollupFor, stepFor } from '../../hub/telemetry/resolution.ts';

const MINUTES = { name: '1m', everyMs: 60_000, keepMs: 0 };
const HOURS = { name: '1h', everyMs: 3_600_000, keepMs: 0 };
const sources = { list: [MINUTES, HOURS], rawFrom: 1_000_000_000 };
const partsFor = (from: number, to: number, everyMs: number, upTo = Number.POSITIVE_INFINITY, rawFrom = 0) =>
  partsOf({ from, to, buckets: { everyMs, fn: 'mean' } }, MINUTES, rawFrom, upTo).map((part) => [
    part.rollup?.name ?? 'raw',
    part.from,
    part.to,
  ]);

describe('the parts of an answer', () => {
  it.each([
    ['whole windows come from the roll-up', [0, 240_000, 120_000], [['1m', 0, 240_000]]],
    [
      'windows that the range cuts come from readings',
      [1, 250_000, 120_000],
      [
        ['raw', 1, 120_000],
        ['1m', 120_000, 240_000],
        ['raw', 240_000, 250_000],
      ],
    ],
    [
      'what is not summed up yet comes from readings',
      [0, 600_000, 120_000, 300_000],
      [
        ['1m', 0, 240_000],
        ['raw', 240_000, 600_000],
      ],
    ],
    ['a range within a window comes from readings', [61_000, 62_000, 60_000], [['raw', 61_000, 62_000]]],
    ['nothing summed up: readings', [0, 600_000, 60_000, Number.NEGATIVE_INFINITY], [['raw', 0, 600_000]]],
    [
      'where readings are gone, whole windows answer',
      [61_000, 200_000, 120_000, 900_000, 500_000],
      [['1m', 60_000, 240_000]],
    ],
    [
      'where only its beginning is gone, readings still answer for the end',
      [61_000, 650_000, 120_000, 900_000, 500_000],
      [
        ['1m', 60_000, 600_000],
        ['raw', 600_000, 650_000],
      ],
    ],
  ] as [string, [number, number, number, number?, number?], unknown][])('%s', (_name, asked, expected) => {
    expect(partsFor(...asked)).toEqual(expected);
  });
});

describe('the resolution', () => {
  it.each([
    [3_600_000, '1h'],
    [7_200_000, '1h'],
    [5_400_000, '1m'],
    [90_000, undefined],
    [1_000, undefined],
  ])('for windows of %d ms is the longest roll-up that divides them', (everyMs, name) => {
    expect(rollupFor(sources, everyMs)?.name).toBe(name);
  });

  it.each([
    [10_000, 800, 20],
    [900_000, 800, 2_000],
    [3_600_000, 800, 5_000],
    [86_400_000, 800, 120_000],
    [7 * 86_400_000, 800, 900_000],
    [365 * 86_400_000, 800, 12 * 3_600_000],
  ])('for a chart of %d ms and %d points is round: %d ms', (span, points, everyMs) => {
    const from = sources.rawFrom;
    expect(stepFor(from, from + span, points, sources)).toBe(everyMs);
  });

  it('where readings are gone is one that a roll-up can answer', () => {
    expect(stepFor(0, 900_000, 800, sources)).toBe(60_000);
    expect(stepFor(0, 900_000, 800, { ...sources, list: [{ ...MINUTES, everyMs: 77_000 }] })).toBe(77_000);
    expect(stepFor(0, 900_000, 800, { ...sources, list: [] })).toBe(2_000);
  });
});
