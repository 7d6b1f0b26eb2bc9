/** The points of charts, the windows they show, and the axes they stand on. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askedFor, bucketFor, DETAILS, detailOf, fits, MOST_POINTS } from '../../../dashboard/src/charts/details.ts';
import {
  around,
  liveView,
  moved,
  queryOf,
  RANGES,
  spanOf,
  type View,
  viewOf,
  windowAt,
  zoomed,
  zoomedIn,
  zoomedOut,
} from '../../../dashboard/src/charts/ranges.ts';
import { scaleOf } from '../../../dashboard/src/charts/scale.ts';
import { loneIn, Series } from '../../../dashboard/src/charts/series.ts';
import { TIME_STEPS_S, timeLabels, timeStep } from '../../../dashboard/src/charts/times.ts';
import { isOver } from '../../../dashboard/src/overview/handover.ts';
import { Trace } from '../../../dashboard/src/overview/trace.ts';
import { linkTo, placeOf } from '../../../dashboard/src/router.ts';

const number = (value: unknown) => (typeof value === 'number' ? value : undefined);

describe('a series', () => {
  it('takes rows with their band, and leaves out rows without the field', () => {
    const series = new Series(1_000, number);
    series.load([{ ts: 0, t: 5, t_min: 4, t_max: 6 }, { ts: 1_000 }, { ts: 2_000, t: 7 }], 't');
    expect(series.columns()).toEqual([
      [0, 2],
      [5, 7],
      [4, 7],
      [6, 7],
    ]);
  });

  it('does not show beside the last window of the hub what is in it already', () => {
    const series = new Series(1_000, number);
    series.add(2_500, 9);
    series.load([{ ts: 2_000, t: 7, t_min: 5, t_max: 9 }], 't');
    expect(series.columns()).toEqual([[2], [7], [5], [9]]);
  });

  it('joins live readings of one bucket to their mean, least and most', () => {
    const series = new Series(1_000, number);
    for (const [ts, value] of [
      [0, 1],
      [400, 3],
      [900, 2],
      [1_000, 9],
    ] as const)
      series.add(ts, value);
    expect(series.columns()).toEqual([
      [0, 1],
      [2, 9],
      [1, 9],
      [3, 9],
    ]);
    expect(series.last).toEqual({ ts: 1_000, value: 9 });
  });

  it('keeps the live edge when an older history arrives after it', () => {
    const series = new Series(100, number);
    series.add(5_000, 50);
    series.load(
      [
        { ts: 1_000, t: 10 },
        { ts: 2_000, t: 20 },
      ],
      't',
    );
    expect(series.line).toEqual([
      { ts: 1_000, value: 10 },
      { ts: 2_000, value: 20 },
      { ts: 5_000, value: 50 },
    ]);
  });

  it('shows missing readings as a hole, and regular ones as a line', () => {
    const series = new Series(1_000, number);
    for (const ts of [0, 1_000, 2_000, 60_000, 61_000]) series.add(ts, 1);
    const [times, means] = series.columns();
    expect(means).toEqual([1, 1, 1, null, 1, 1]);
    expect(times[3]).toBe(31);
  });

  it('has points that no line goes through: the only one, and those between two holes', () => {
    const series = new Series(1_000, number);
    for (const ts of [0, 1_000, 2_000, 3_000, 60_000, 120_000, 121_000, 122_000, 180_000]) series.add(ts, 1);
    const [times, means] = series.columns();
    expect(loneIn(means).map((index) => times[index])).toEqual([60, 180]);
    expect(loneIn([5])).toEqual([0]);
    expect(loneIn([5, 0, null])).toEqual([]);
    expect(loneIn([])).toEqual([]);
  });

  it('never grows beyond what the window holds, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 400 }), (steps) => {
        const series = new Series(10, number);
        let ts = 0;
        for (const step of steps) {
          ts += step;
          series.add(ts, step);
          series.trim(ts - 1_000);
        }
        const times = series.line.map((point) => point.ts);
        expect(series.length).toBeLessThanOrEqual(1_000 / 10 + 2);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe('a window of time', () => {
  const now = 1_000_000;

  it('moves with the present while it is live', () => {
    const view = liveView(60_000, now);
    expect(windowAt(view, now + 5_000)).toEqual([now - 55_000, now + 5_000]);
  });

  it('that is zoomed never ends in the future and never becomes too small to see', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: now + 500 }), fc.integer({ min: 0, max: now }), (from, length) => {
        const view = zoomed(from, from + length, now);
        expect(view.to).toBeLessThanOrEqual(now);
        expect(spanOf(view)).toBeGreaterThanOrEqual(2_000);
      }),
    );
  });

  it('becomes live again when it is moved or grown to the present', () => {
    const view = zoomed(now - 20_000, now - 15_000, now);
    expect(moved(view, -1, now)).toMatchObject({ live: false, from: now - 22_500 });
    expect(moved(zoomed(now - 6_000, now - 1_000, now), 1, now).live).toBe(true);
    expect(zoomedOut(view, now)).toMatchObject({ live: false, from: now - 22_500, to: now - 12_500 });
    expect(zoomedOut(liveView(5_000, now), now)).toEqual(liveView(10_000, now));
  });
});

it('zooms into the newer half of what is live, and into the middle of what is not', () => {
  expect(zoomedIn(liveView(60_000, 0), 0)).toEqual(liveView(30_000, 0));
  expect(zoomedIn({ live: false, from: 0, to: 40_000 }, 90_000)).toEqual({ live: false, from: 10_000, to: 30_000 });
});

describe('the address of a window', () => {
  const now = 1_800_000_000_000;
  const again = (view: View) => viewOf(placeOf(linkTo(['devices', 'a'], queryOf(view))).query, now);

  it('brings it back: each range, a live piece of one, and a piece of the past', () => {
    for (const [, , spanMs] of RANGES) expect(again(liveView(spanMs, now))).toEqual(liveView(spanMs, now));
    expect(again(liveView(75_000, now))).toEqual(liveView(75_000, now));
    const piece = zoomed(now - 90_000, now - 30_000, now);
    expect(again(piece)).toEqual(piece);
    expect(queryOf(liveView(21_600_000, now))).toEqual({ range: '6h' });
    expect(queryOf(liveView(RANGES[0][2], now))).toEqual({});
  });

  it.each([
    'range=9y',
    'range=5',
    'range=h',
    'range=99999999d',
    'range=-1',
    'from=2&to=1',
    'from=1',
    'range=99999999999999999999',
    `from=${now + 9}&to=${now + 99}`,
  ])('that has no sense (%s) is the first range', (query) =>
    expect(viewOf(new URLSearchParams(query), now)).toEqual(liveView(RANGES[0][2], now)),
  );

  it('is understood as people write durations, also where no button has that name', () => {
    const written = ['90s', '15m', '24h', '1d', '7d', '150000'].map((range) =>
      spanOf(viewOf(new URLSearchParams({ range }), now)),
    );
    expect(written).toEqual([90_000, 900_000, 86_400_000, 86_400_000, 604_800_000, 150_000]);
    expect(queryOf(liveView(86_400_000, now))).toEqual({ range: '24h' });
  });

  it('has a detail, too', () => expect(['1m', '7x', null].map(detailOf)).toEqual(['1m', 'auto', 'auto']));
});

it('a window around a moment holds it and more before it than behind it, and nothing of the future', () => {
  expect(around(500_000, 100_000, 1_000_000)).toEqual({ live: false, from: 410_000, to: 510_000 });
  expect(around(995_000, 100_000, 1_000_000)).toEqual({ live: false, from: 905_000, to: 1_000_000 });
});

describe('a line of the overview', () => {
  const at = (minute: number) => minute * 60_000;

  it('of a device that tells of yesterday is drawn, and moves on by its own time', () => {
    const trace = new Trace('environment', 'temperature');
    const now = at(2_000);
    for (const minute of [0, 1, 2]) trace.hear(at(minute), minute, now + minute * 1_000);
    expect(trace.newest).toBe(2);
    expect(trace.line).toHaveLength(3);
    expect(trace.edgeAt(now + 2_000)).toBe(at(2));
    expect(trace.edgeAt(now + 12_000)).toBe(at(2) + 10_000);
  });

  it('of one that speaks now ends at the present', () => {
    const trace = new Trace('environment', 'temperature');
    trace.hear(at(2) - 20, 5, at(2));
    expect(trace.edgeAt(at(3))).toBe(at(3) - 20);
  });
});

describe('a device with two streams', () => {
  const line = [{ ts: 0 }, { ts: 60_000 }];

  it('is shown by the one that it speaks, not by one that it spoke', () => {
    expect(isOver(line, 3_600_000)).toBe(true);
    expect(isOver([], 0)).toBe(true);
  });

  it('is not shown by each in turn, nor by what comes late', () => {
    for (const ts of [60_000, 70_000, 90_000, 5]) expect(isOver(line, ts)).toBe(false);
  });
});

describe('times below a chart', () => {
  const labels = (stepS: number, count = 3) =>
    timeLabels(
      Array.from({ length: count }, (_, index) => 1_800_000_000 + index * stepS),
      stepS,
    );

  it.each(TIME_STEPS_S)('tell neighbours apart that are %d s away from each other', (stepS) => {
    const [first, second, third] = labels(stepS);
    expect([first, third]).not.toContain(second);
  });

  it('stand as close as their width allows, also on a phone', () => {
    const widthOf = (label: string) => 6.5 * label.length + 16;
    const labelsIn = (spanS: number, pixels: number) => Math.floor(spanS / timeStep(spanS, pixels, widthOf));
    for (const [, , spanMs] of RANGES)
      for (const pixels of [285, 416, 930]) expect(labelsIn(spanMs / 1_000, pixels)).toBeGreaterThanOrEqual(2);
    expect(timeStep(2, 416, widthOf)).toBe(0.5);
    expect(timeStep(300, 285, widthOf)).toBe(120);
  });

  it('have no more digits than they need', () => {
    expect(labels(0.5)[1]).toMatch(/:00\.5\b/);
    expect(labels(0.05)[1]).toMatch(/:00\.05\b/);
    expect(labels(1)[1]).toMatch(/:01\b(?!\.)/);
    expect(labels(60)[1]).not.toMatch(/:\d+:/);
  });

  it('name the day where a new one begins', () => {
    const noon = new Date(2026, 4, 3, 12).getTime() / 1_000;
    const [, , midnight] = timeLabels([noon, noon + 21_600, noon + 43_200], 21_600);
    expect(midnight).toMatch(/4/);
    expect(midnight).not.toMatch(/:/);
  });
});

describe('an axis', () => {
  const field = (type: 'number' | 'string' | 'boolean') => ({ name: 'f', title: 'F', type });

  it('leaves room around values, but not beyond what the schema allows', () => {
    const { range } = scaleOf(field('number'), { minimum: 0, maximum: 100 })!;
    expect(range(1, 51)).toEqual([0, 57]);
    expect(range(40, 60)).toEqual([37.6, 62.4]);
  });

  it('has labels that tell neighbours apart', () => {
    const { tick } = scaleOf(field('number'), undefined)!;
    expect([1_004.5, 1_005, 1_005.5].map((value) => tick(value, 0.5))).toEqual(['1,004.5', '1,005.0', '1,005.5']);
    expect(tick(200, 100)).toBe('200');
    expect([20, 22.5, 25].map((value) => tick(value, 2.5))).toEqual(['20.0', '22.5', '25.0']);
    expect(tick(0.0003, 1e-4)).toBe('0.0003');
  });

  it('gives a flat line a height', () => {
    const [least, most] = scaleOf(field('number'), undefined)!.range(20, 20);
    expect(most).toBeGreaterThan(least);
  });

  it('shows words of an enumeration as steps, and unknown words not at all', () => {
    const scale = scaleOf(field('string'), { enum: ['stopped', 'running'] })!;
    expect(['stopped', 'running', 'melting'].map(scale.toNumber)).toEqual([0, 1, undefined]);
    expect(scale).toMatchObject({ stepped: true, places: [0, 1] });
    expect(scale.label(1)).toBe('running');
  });

  it('there is none for a free text', () => {
    expect(scaleOf(field('string'), { maxLength: 10 })).toBeUndefined();
  });
});

describe('the detail of a chart', () => {
  it.each(DETAILS)('%s never asks for more points than a browser draws, nor keeps more of the live edge', (detail) => {
    for (const [, , spanMs] of RANGES) {
      if (!fits(detail, spanMs)) continue;
      const { points, limit } = askedFor(detail);
      expect(Number(points ?? limit)).toBeLessThanOrEqual(MOST_POINTS);
      expect(spanMs / bucketFor(detail, spanMs)).toBeLessThanOrEqual(MOST_POINTS);
    }
  });

  it('leaves out what would be no line, or too much of one', () => {
    const forRange = (spanMs: number) => DETAILS.filter((detail) => fits(detail, spanMs));
    expect(forRange(300_000)).toEqual(['auto', 'readings', '1s', '10s', '1m']);
    expect(forRange(2_592_000_000)).toEqual(['auto', 'readings', '10m', '1h', '1d']);
  });
});
