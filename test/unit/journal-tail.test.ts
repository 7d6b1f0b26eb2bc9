import { describe, expect, it } from 'vitest';
import { JournalTail } from '../../hub/telemetry/journal-tail.ts';
import { T0 } from '../helpers/frames.ts';
import { frame } from '../helpers/journals.ts';

const group = (from: number, count: number) => Array.from({ length: count }, (_, i) => frame('a', from + i + 1));

describe('the tail of the journal', () => {
  it('gives the frames from an offset on, across groups, up to as many readings as wanted', () => {
    const tail = new JournalTail(100);
    tail.push(0, group(0, 3), T0, 0);
    tail.push(3, group(3, 3), T0 + 1, 0);
    const batch = tail.read(2, 3)!;
    expect(batch.frames.map(({ seq }) => seq)).toEqual([3, 4, 5]);
    expect(batch).toMatchObject({ from: 2, next: 5, committedAt: T0 + 1 });
  });

  it('forgets the oldest groups beyond its bound', () => {
    const tail = new JournalTail(10);
    for (let base = 0; base < 1000; base += 4) tail.push(base, group(base, 4), T0 + base, 0);
    expect(tail.read(991, 100)).toBeUndefined();
    expect(tail.committedAt(991)).toBeUndefined();
    expect(tail.read(992, 100)!.frames.map(({ seq }) => seq)).toEqual([993, 994, 995, 996, 997, 998, 999, 1000]);
    expect(tail.committedAt(995)).toBe(T0 + 992);
  });

  it('keeps nothing of a group larger than its bound', () => {
    const tail = new JournalTail(3);
    tail.push(0, group(0, 4), T0, 0);
    expect(tail.read(0, 10)).toBeUndefined();
    tail.push(4, group(4, 1), T0, 0);
    expect(tail.read(4, 10)!.frames).toHaveLength(1);
  });

  it('counts frames whose readings were all rejected too', () => {
    const tail = new JournalTail(3);
    for (let base = 0; base < 5; base++) tail.push(base, [frame('a', base + 1, { readings: [] })], T0, 0);
    expect(tail.read(1, 10)).toBeUndefined();
    expect(tail.read(2, 2)!.next).toBe(4);
  });

  it('counts long frames by their bytes, so that a few of them do not fill the memory', () => {
    const tail = new JournalTail(1_000);
    for (let base = 0; base < 100; base++) tail.push(base, [frame('a', base + 1)], T0, 128 * 1024);
    expect(tail.read(96, 10)).toBeUndefined();
    expect(tail.read(97, 10_000)!.frames).toHaveLength(3);
    expect(tail.read(97, 300)!.frames).toHaveLength(2);
  });

  it('has nothing before the first group and nothing after the last', () => {
    const tail = new JournalTail(10);
    expect(tail.read(0, 10)).toBeUndefined();
    tail.push(5, group(5, 1), T0, 0);
    expect(tail.read(4, 10)).toBeUndefined();
    expect(tail.read(6, 10)).toBeUndefined();
  });
});
