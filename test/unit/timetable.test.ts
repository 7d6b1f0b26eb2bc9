/** When schedules are due: ordinary days, days when the clocks change, and expressions that are none. */
import { describe, expect, it } from 'vitest';
import { createTimetable } from '../../hub/commands/timetable.ts';
import { readCron } from '../../hub/jobs.cron.ts';

const BERLIN = 'Europe/Berlin';
const HOUR_MS = 3_600_000;

/** The next `count` moments after a time, as UTC to the minute (or to the second, when it is not whole). */
function momentsAfter(from: string, cron: string, timeZone: string, count: number): string[] {
  const timetable = createTimetable(readCron(cron, timeZone));
  const found: string[] = [];
  let at = Date.parse(from);
  while (found.length < count) {
    at = timetable.next(at)!;
    found.push(new Date(at).toISOString().replace(/(:00)?\.000Z$/, ''));
  }
  return found;
}

describe('a timetable', () => {
  it.each([
    ['*/20 * * * *', 'UTC', ['2026-01-01T00:20', '2026-01-01T00:40', '2026-01-01T01:00']],
    ['*/20 * * * * *', 'UTC', ['2026-01-01T00:00:20', '2026-01-01T00:00:40', '2026-01-01T00:01']],
    ['30 3 * * *', 'Asia/Kathmandu', ['2026-01-01T21:45', '2026-01-02T21:45', '2026-01-03T21:45']],
    ['0 0 L * *', 'UTC', ['2026-01-31T00:00', '2026-02-28T00:00', '2026-03-31T00:00']],
    ['0 12 * * MON#1', 'UTC', ['2026-01-05T12:00', '2026-02-02T12:00', '2026-03-02T12:00']],
    ['@weekly', 'UTC', ['2026-01-04T00:00', '2026-01-11T00:00', '2026-01-18T00:00']],
    ['0 0 29 2 *', BERLIN, ['2028-02-28T23:00', '2032-02-28T23:00', '2036-02-28T23:00']],
  ])('of %s in %s', (cron, zone, expected) => {
    expect(momentsAfter('2026-01-01T00:00:00Z', cron, zone, 3)).toEqual(expected);
  });

  it('gives the moments of a span, its end included and its beginning not', () => {
    const timetable = createTimetable(readCron('0 * * * *', 'UTC'));
    expect([...timetable.between(0, 3 * HOUR_MS)]).toEqual([HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS]);
    expect([...timetable.between(HOUR_MS, HOUR_MS)]).toEqual([]);
  });

  it.each([
    ['70 * * * *', 'UTC', /minute/],
    ['* * *', 'UTC', /5 or 6 fields/],
    ['0 0 30 2 *', 'UTC', /impossible/],
    ['* * * * *', 'Mars/Olympus', /time zone/],
    ['* * * * *', '+02:00', /time zone/],
  ])('refuses %s in %s', (cron, zone, reason) => {
    expect(() => readCron(cron, zone)).toThrow(reason);
  });
});

describe('when the clocks of Berlin jump from 2 to 3 (2026-03-29, at 01:00 UTC)', () => {
  it('runs what was due in the hour that is skipped at the jump, once', () => {
    expect(momentsAfter('2026-03-28T12:00:00Z', '30 2 * * *', BERLIN, 3)).toEqual([
      '2026-03-29T01:00',
      '2026-03-30T00:30',
      '2026-03-31T00:30',
    ]);
    expect(momentsAfter('2026-03-28T12:00:00Z', '*/15 2 * * *', BERLIN, 2)).toEqual([
      '2026-03-29T01:00',
      '2026-03-30T00:00',
    ]);
  });

  it('does not run it beside what is due at the jump anyway', () => {
    expect(momentsAfter('2026-03-28T12:00:00Z', '0 2,3 * * *', BERLIN, 2)).toEqual([
      '2026-03-29T01:00',
      '2026-03-30T00:00',
    ]);
  });

  it('goes on evenly with what is due every hour', () => {
    expect(momentsAfter('2026-03-29T00:00:00Z', '*/30 * * * *', BERLIN, 4)).toEqual([
      '2026-03-29T00:30',
      '2026-03-29T01:00',
      '2026-03-29T01:30',
      '2026-03-29T02:00',
    ]);
  });

  it('leaves other times of the day where they are', () => {
    expect(momentsAfter('2026-03-28T12:00:00Z', '0 1,4 * * *', BERLIN, 2)).toEqual([
      '2026-03-29T00:00',
      '2026-03-29T02:00',
    ]);
  });
});

describe('when the clocks of Berlin go back from 3 to 2 (2026-10-25, at 01:00 UTC)', () => {
  it('runs what is due in the hour that is repeated the first time only', () => {
    expect(momentsAfter('2026-10-24T12:00:00Z', '30 2 * * *', BERLIN, 2)).toEqual([
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
    expect(momentsAfter('2026-10-24T12:00:00Z', '0 2,3 * * *', BERLIN, 3)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T02:00',
      '2026-10-26T01:00',
    ]);
  });

  it('goes on evenly, through both hours, with what is due every hour', () => {
    expect(momentsAfter('2026-10-24T23:30:00Z', '*/30 * * * *', BERLIN, 5)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T00:30',
      '2026-10-25T01:00',
      '2026-10-25T01:30',
      '2026-10-25T02:00',
    ]);
  });
});

it('knows clocks that change by half an hour', () => {
  // Lord Howe goes from 2:00 to 2:30 at 15:30 UTC.
  expect(momentsAfter('2026-10-03T12:00:00Z', '15,45 2 * * *', 'Australia/Lord_Howe', 3)).toEqual([
    '2026-10-03T15:30',
    '2026-10-03T15:45',
    '2026-10-04T15:15',
  ]);
});

it('never gives a moment twice or out of order, in any zone, over the changes of a year', () => {
  for (const zone of ['UTC', BERLIN, 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Asia/Beirut']) {
    for (const cron of ['*/15 * * * *', '0 0 * * *', '30 2 * * *', '*/20 1-3 * * *', '15 23 * * 6']) {
      const timetable = createTimetable(readCron(cron, zone));
      const found = [...timetable.between(Date.UTC(2026, 0, 1), Date.UTC(2027, 0, 1))];
      expect(found.every((at, index) => index === 0 || at > found[index - 1]!)).toBe(true);
      if (cron === '0 0 * * *' || cron === '30 2 * * *') expect(found.length, `${cron} ${zone}`).toBe(365);
    }
  }
});
