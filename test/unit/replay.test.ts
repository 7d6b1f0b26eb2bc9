/** Recordings and paced signals with fake time. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ContinuedFeed, valuesBackAndForth } from '../../device-sim/continued.ts';
import type { Reading } from '../../device-sim/device.ts';
import { PacedFeed } from '../../device-sim/paced.ts';
import { parseMap, RecordedFeed, readingOf, shiftedToEndAt } from '../../device-sim/replay.ts';
import { LatencyHistogram } from '../../device-sim/statistics.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** An outlet that keeps what it is sent, frame by frame. */
function createOutlet(room = Number.POSITIVE_INFINITY) {
  const frames: Reading[][] = [];
  const outlet = { frames, room, send: (readings: Reading[]) => frames.push(readings) };
  return { ...outlet, outlet: outlet as typeof outlet & { send(readings: Reading[]): void } };
}

describe('the map', () => {
  it('names the field, its column and, if it is no number, its kind', () => {
    expect(parseMap('temperature=temp, occupied=occupancy:boolean,note=Remark 1:string')).toEqual([
      { field: 'temperature', column: 'temp', kind: 'number' },
      { field: 'occupied', column: 'occupancy', kind: 'boolean' },
      { field: 'note', column: 'Remark 1', kind: 'string' },
    ]);
  });

  it.each(['', 'temperature', 'a=', '=b', 'a=b:date', 'a=b,,c=d'])('refuses "%s"', (text) => {
    expect(() => parseMap(text)).toThrow(RangeError);
  });
});

describe('a row', () => {
  const map = parseMap('temperature=t,occupied=o:boolean,note=n:string');

  it('becomes a reading with its own time', () => {
    const row = { time: '2015-02-05T00:01:00Z', t: '21.245', o: '1', n: '7' };
    expect(readingOf(row, map)).toEqual({ ts: 1423094460000, temperature: 21.245, occupied: true, note: '7' });
  });

  it('may give its time in Unix milliseconds, with fractions', () => {
    expect(readingOf({ time: '1423094460000.125', t: '1', o: 'False', n: '' }, map)).toEqual({
      ts: 1423094460000.125,
      temperature: 1,
      occupied: false,
    });
  });

  it.each([
    [{ t: '1' }, 'no column "time"'],
    [{ time: 'yesterday', t: '1' }, '"yesterday"'],
    [{ time: '0', o: '1', n: '' }, 'no column "t"'],
    [{ time: '0', t: 'warm', o: '1', n: '' }, '"warm"'],
    [{ time: '0', t: '1', o: 'maybe', n: '' }, '"maybe"'],
  ])('says what is wrong with %o', (row, message) => {
    expect(() => readingOf(row as unknown as Record<string, string>, map)).toThrow(message);
  });
});

describe('a replay', () => {
  const recording = [0, 60_000, 120_000, 180_000].map((ts) => ({ ts, temperature: ts / 60_000 }));

  it.each([
    [1, 60_000],
    [60, 1_000],
  ])('at speed %d takes a minute in %d ms', async (speed, minuteMs) => {
    const { outlet, frames } = createOutlet();
    new RecordedFeed(recording, speed, 1).start(outlet);
    expect(frames).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(minuteMs - 1);
    expect(frames).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(minuteMs + 2);
    expect(frames.flat().map(({ ts }) => ts)).toEqual([0, 60_000, 120_000]);
  });

  it('at full speed sends all at once, in frames of the batch', () => {
    const { outlet, frames } = createOutlet();
    const feed = new RecordedFeed(recording, Number.POSITIVE_INFINITY, 3);
    feed.start(outlet);
    expect(frames.map(({ length }) => length)).toEqual([3, 1]);
    expect(feed.finished).toBe(true);
  });

  it('waits for room, so that nothing is dropped', () => {
    const { outlet, frames } = createOutlet(0);
    const feed = new RecordedFeed(recording, Number.POSITIVE_INFINITY, 1);
    feed.start(outlet);
    expect(frames).toHaveLength(0);
    outlet.room = 1;
    feed.wake();
    expect(frames.flat()).toEqual(recording);
  });

  it('can be re-dated to end now, with its distances kept', () => {
    expect(shiftedToEndAt(1_000_000, recording).map(({ ts }) => ts)).toEqual([820_000, 880_000, 940_000, 1_000_000]);
  });

  it('sends nothing after stop', async () => {
    const { outlet, frames } = createOutlet();
    const feed = new RecordedFeed(recording, 1, 1);
    feed.start(outlet);
    feed.stop();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(frames).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a replay that goes on', () => {
  const recording = [0, 60_000].map((ts) => ({ ts, temperature: 20 + ts / 60_000 }));
  const paced = () => new PacedFeed(valuesBackAndForth(recording), { intervalMs: 1_000, batch: 1, phase: 0 });

  it('has the recording first, then its values back and forth, dated as they are sent', async () => {
    const { outlet, frames } = createOutlet();
    const feed = new ContinuedFeed(new RecordedFeed(recording, Number.POSITIVE_INFINITY, 2), paced());
    const now = Date.now();
    feed.start(outlet);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(frames.flat()).toEqual([
      ...recording,
      { ts: now, temperature: 21 },
      { ts: now + 1_000, temperature: 20 },
      { ts: now + 2_000, temperature: 21 },
    ]);
    expect(feed.finished).toBe(false);
    feed.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('may have a recording of one reading', () => {
    const values = valuesBackAndForth([{ ts: 0, temperature: 20 }]);
    expect([values(0), values(1)]).toEqual([{ temperature: 20 }, { temperature: 20 }]);
  });

  it('goes on when room for the rest of the recording came late, and once', async () => {
    const { outlet, frames } = createOutlet(0);
    const feed = new ContinuedFeed(new RecordedFeed(recording, Number.POSITIVE_INFINITY, 1), paced());
    feed.start(outlet);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(frames).toHaveLength(0);
    expect(feed.readNow()).toBeUndefined();
    outlet.room = 1;
    for (let wakes = 0; wakes < 3; wakes++) feed.wake();
    await vi.advanceTimersByTimeAsync(500);
    expect(frames).toHaveLength(3);
    feed.stop();
  });
});

describe('a paced signal', () => {
  const signal = (ts: number) => ({ at: ts });

  it('measures at its pace, each reading at its own time', async () => {
    const { outlet, frames } = createOutlet();
    new PacedFeed(signal, { intervalMs: 200, batch: 1, phase: 0.5 }).start(outlet);
    await vi.advanceTimersByTimeAsync(1_000);
    const ts = frames.flat().map((reading) => Number(reading.ts));
    expect(ts).toHaveLength(5);
    expect(ts.map((at) => at - ts[0]!)).toEqual([0, 200, 400, 600, 800]);
  });

  it('collects a batch in each frame', async () => {
    const { outlet, frames } = createOutlet();
    new PacedFeed(signal, { intervalMs: 100, batch: 10, phase: 0 }).start(outlet);
    await vi.advanceTimersByTimeAsync(2_050);
    expect(frames.map(({ length }) => length)).toEqual([10, 10, 10]);
    expect(new Set(frames.flat().map(({ ts }) => ts)).size).toBe(30);
  });

  it('reaches rates beyond what timers can do, with no time used twice', async () => {
    const { outlet, frames } = createOutlet();
    new PacedFeed(signal, { intervalMs: 0.5, batch: 1, phase: 0 }).start(outlet);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(frames.length).toBeGreaterThan(1_990);
    expect(new Set(frames.flat().map(({ ts }) => ts)).size).toBe(frames.length);
  });

  it('changes its pace on command', async () => {
    const { outlet, frames } = createOutlet();
    const feed = new PacedFeed(signal, { intervalMs: 1_000, batch: 1, phase: 0 });
    feed.start(outlet);
    await vi.advanceTimersByTimeAsync(2_500);
    const before = frames.length;
    feed.setIntervalMs(100);
    await vi.advanceTimersByTimeAsync(950);
    expect(frames.length - before).toBe(10);
  });

  it('does not make up for the time that the computer slept', async () => {
    const { outlet, frames } = createOutlet();
    new PacedFeed(signal, { intervalMs: 1_000, batch: 1, phase: 0 }).start(outlet);
    await vi.advanceTimersByTimeAsync(0);
    vi.setSystemTime(Date.now() + 3_600_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(frames.length).toBeLessThanOrEqual(11);
  });
});

describe('the latency histogram', () => {
  it('knows quantiles within a tenth, and the maximum exactly', () => {
    const histogram = new LatencyHistogram();
    for (let ms = 1; ms <= 1_000; ms++) histogram.add(ms);
    expect(histogram.quantileMs(0.5)).toBeGreaterThanOrEqual(500);
    expect(histogram.quantileMs(0.5)).toBeLessThan(550);
    expect(histogram.quantileMs(0.99)).toBeGreaterThanOrEqual(990);
    expect(histogram.maxMs).toBe(1_000);
    expect(histogram.quantileMs(1)).toBe(1_000);
  });

  it('is zero when empty', () => {
    expect(new LatencyHistogram().quantileMs(0.99)).toBe(0);
  });
});
