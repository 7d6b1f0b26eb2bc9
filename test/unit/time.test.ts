/** Times and durations as people write them. */
import { describe, expect, it } from 'vitest';
import { parseDuration, parseTime } from '../../hub/api/time.ts';
import { spanText } from '../../hub/kit/span.ts';

const NOW = Date.UTC(2026, 6, 1, 12);

describe('a time', () => {
  it.each([
    ['now', NOW],
    ['-1h', NOW - 3_600_000],
    ['-1.5d', NOW - 129_600_000],
    ['0', 0],
    ['1760000000000', 1_760_000_000_000],
    ['1760000000000.25', 1_760_000_000_000.25],
    ['2026-07-01', Date.UTC(2026, 6, 1)],
    ['2026-07-01T10:00:00Z', Date.UTC(2026, 6, 1, 10)],
    ['2026-07-01t10:00:00.5+02:00', Date.UTC(2026, 6, 1, 8, 0, 0, 500)],
    ['2026-07-01 10:00:00Z', Date.UTC(2026, 6, 1, 10)],
    ['2028-02-29', Date.UTC(2028, 1, 29)],
  ])('may be written %s', (text, expected) => {
    expect(parseTime(text, NOW)).toBe(expected);
  });

  it.each([
    '',
    'yesterday',
    '1h',
    '-',
    '-1',
    '-1y',
    '--1h',
    '2026-13-01',
    '2026-00-10',
    '2026-07-00',
    '2026-02-31',
    '2026-02-29T00:00:00Z',
    '2026-04-31T12:00:00+02:00',
    '2026-07-01T25:00:00Z',
    '2026-07-01T10:00:00',
    '1e9',
    'NaN',
    'July 1',
  ])('is not %j', (text) => {
    expect(parseTime(text, NOW)).toBeUndefined();
  });
});

describe('a duration', () => {
  it.each([
    ['250ms', 250],
    ['1s', 1_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1w', 604_800_000],
    ['0.5s', 500],
  ])('may be written %s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(['', '5', 'm', '5 m', '-5m', '5M', '5min', '1e3s'])('is not %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('a span in words', () => {
  it.each([
    [250.4, '250 ms'],
    [2_000, '2 s'],
    [2_540, '2.5 s'],
    [59_900, '59 s'],
    [90_000, '1 min 30 s'],
    [300_000, '5 min'],
    [3_600_000, '1 h'],
    [93_600_000, '1 d 2 h'],
  ])('%d ms is %s', (ms, text) => {
    expect(spanText(ms)).toBe(text);
  });
});
