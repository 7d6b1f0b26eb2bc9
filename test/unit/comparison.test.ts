/** How journal and store are compared, with both in memory. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import { type Comparison, createComparison } from '../../hub/telemetry/comparison.ts';
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';
import type { Refused } from '../../hub/telemetry/store.ts';
import { Tally } from '../../hub/telemetry/tally.ts';
import { T0 } from '../helpers/frames.ts';
import { createTestLog, type Entry } from '../helpers/log.ts';
import { MemoryJournal, MemoryStore } from '../helpers/memory-store.ts';

const MINUTE_MS = 60_000;
let seq = 0;
const frame = (device: string, readings: Reading[]): Frame => ({
  ...{ device, epoch: 'e', seq: ++seq, stream: 'probe', receivedAt: T0, readings },
});

describe('the comparison', () => {
  let journal: MemoryJournal;
  let store: MemoryStore;
  let comparison: Comparison;
  let entries: Entry[];
  let refused: Refused[];
  let now: number;
  let isReplaying: boolean;

  beforeEach(() => {
    journal = new MemoryJournal();
    store = new MemoryStore();
    refused = [];
    now = T0;
    isReplaying = false;
    const test = createTestLog();
    entries = test.entries;
    comparison = createComparison(
      {
        ...{ journal, store, log: test.log },
        onRefused: async (some) => void refused.push(...some),
        isReplaying: () => isReplaying,
      },
      { clockAheadMs: 0, settleMs: 2 * MINUTE_MS, now: () => now },
    );
  });

  /** Two devices send a reading with two fields each second, for so many minutes from the second one on. */
  async function live(minutes: number): Promise<void> {
    for (let second = 60; second < 60 * (minutes + 1); second++) {
      now = T0 + second * 1000;
      await arrive(frame('a', [{ ts: now, level: 1, turns: 2 }]), frame('b', [{ ts: now, level: 1, turns: 2 }]));
    }
    now += 3 * MINUTE_MS;
  }

  async function arrive(...frames: Frame[]): Promise<void> {
    journal.commit(...frames);
    await store.write(frames);
    journal.cursor = journal.frames.length;
  }

  const lose = (from: number, to: number) => {
    for (const [identity, { ts }] of store.readings) if (ts >= from && ts < to) store.readings.delete(identity);
  };

  it('finds nothing when both hold the same, however often it was sent', async () => {
    await live(3);
    await arrive(...journal.frames.slice(0, 50));
    expect(await comparison.run()).toBe(0);
    expect(comparison.status()).toEqual({
      upTo: T0 + 4 * MINUTE_MS,
      compared: 2 * 2 * 180,
      missing: 0,
      restored: 0,
      surplus: 0,
    });
    expect(entries).toEqual([]);
  });

  it('leaves the last word to a correction that comes while older readings are written again', async () => {
    await live(2);
    const ts = T0 + 90_000;
    lose(ts, ts + 1000);
    const write = store.write.bind(store);
    let isCorrected = false;
    store.write = async (frames) => {
      if (!isCorrected) {
        isCorrected = true;
        const correction = frame('a', [{ ts, level: 5, turns: 2 }]);
        journal.commit(correction);
        await write([correction]);
        journal.cursor = journal.frames.length;
      }
      return write(frames);
    };
    expect(await comparison.run()).toBe(4);
    const stored = [...store.readings.values()].filter((reading) => reading.ts === ts).map(({ level }) => level);
    expect(stored.toSorted()).toEqual([1, 5]);
    expect(comparison.status()).toMatchObject({ missing: 4, restored: 4 });
  });

  it('says what the store lacks, and writes it again', async () => {
    await live(3);
    lose(T0 + 100_000, T0 + 130_000);
    const writes = store.writes.length;
    expect(await comparison.run()).toBe(2 * 2 * 30);
    expect(comparison.status()).toMatchObject({ missing: 120, restored: 120 });
    expect(store.readings.size).toBe(360);
    expect(entries).toMatchObject([
      { level: 'error', message: 'the store lacked values that it had acknowledged; they were written again' },
    ]);
    const rewritten = store.writes.slice(writes).flat().length;
    expect(rewritten, 'only the two minutes that lack something are written again').toBe(240);
    expect(await comparison.run(), 'a minute is compared once').toBeUndefined();
  });

  it('says when a store does not keep what is written again', async () => {
    await live(1);
    store.readings.clear();
    const count = store.countByMinute.bind(store);
    store.countByMinute = async () => new Map();
    expect(await comparison.run()).toBe(240);
    store.countByMinute = count;
    expect(comparison.status()).toMatchObject({ missing: 240, restored: 0 });
    expect(entries).toMatchObject([{ level: 'error', message: expect.stringContaining('lacks them still') }]);
  });

  it('takes what the store refused for no loss', async () => {
    await live(1);
    await arrive(frame('a', [{ ts: T0 + 70_500, level: 3, poison: 1 }]));
    expect(await comparison.run()).toBe(0);
    expect(refused).toHaveLength(1);
    expect(comparison.status()).toMatchObject({ missing: 0, restored: 0 });
    expect(entries).toEqual([]);
  });

  it('says when the store has more', async () => {
    await live(1);
    await store.write([frame('stranger', [{ ts: T0 + 70_000, level: 1 }])]);
    expect(await comparison.run()).toBe(0);
    expect(comparison.status()).toMatchObject({ surplus: 1 });
    expect(entries).toMatchObject([{ level: 'warn' }]);
  });

  it('counts no minute that is not over for long enough, and none before its start', async () => {
    await live(2);
    now = T0 + 5 * MINUTE_MS - 1;
    lose(T0 + 2 * MINUTE_MS, now);
    expect(await comparison.run()).toBe(0);
    expect(comparison.status()).toMatchObject({ upTo: T0 + 2 * MINUTE_MS, compared: 240 });
    now = T0 + 5 * MINUTE_MS;
    expect(await comparison.run()).toBe(240);
  });

  it('waits while the store is behind, being filled again, or away, and compares that time later', async () => {
    await live(1);
    lose(T0, now);
    journal.lagMs = 2 * MINUTE_MS;
    expect(await comparison.run()).toBeUndefined();
    journal.lagMs = 0;
    isReplaying = true;
    expect(await comparison.run()).toBeUndefined();
    isReplaying = false;
    const count = store.countByMinute.bind(store);
    store.countByMinute = async () => {
      throw new Unavailable('down');
    };
    expect(await comparison.run()).toBeUndefined();
    expect(comparison.status()).toMatchObject({ lastError: 'down', compared: 0 });
    store.countByMinute = count;
    expect(await comparison.run()).toBe(240);
    expect(comparison.status()).not.toHaveProperty('lastError');
  });

  it('goes through a long time in steps of an hour', async () => {
    await live(70);
    expect(await comparison.run()).toBe(0);
    expect(comparison.status()).toMatchObject({ upTo: T0 + 61 * MINUTE_MS });
    expect(await comparison.run()).toBe(0);
    expect(comparison.status()).toMatchObject({ upTo: T0 + 71 * MINUTE_MS, compared: 70 * 240 });
  });
});

describe('a tally', () => {
  it('counts an identity once, tells devices, microseconds and fields apart, and leaves out other times', () => {
    const tally = new Tally(T0, T0 + MINUTE_MS, 1000);
    const device = (name: string) => ({ device: name, stream: 's' });
    tally.add(device('a'), [
      { ts: T0, x: 1 },
      { ts: T0, x: 2, y: 1 },
      { ts: T0 + 0.001, x: 1 },
    ]);
    tally.add(device('b'), [
      { ts: T0, x: 1 },
      { ts: T0 - 1, x: 1 },
      { ts: T0 + MINUTE_MS, x: 1 },
    ]);
    expect(tally.countsOf('s')).toEqual(
      new Map([
        ['x', new Map([[T0, 3]])],
        ['y', new Map([[T0, 1]])],
      ]),
    );
  });

  it('gives up the newest minutes when there are too many values', () => {
    const tally = new Tally(T0, T0 + 10 * MINUTE_MS, 20);
    for (let minute = 0; minute < 10; minute++) {
      for (let at = 0; at < 5; at++)
        tally.add({ device: 'a', stream: 's' }, [{ ts: T0 + minute * MINUTE_MS + at, x: 1 }]);
    }
    expect(tally.to).toBe(T0 + 4 * MINUTE_MS);
    expect([...tally.countsOf('s').get('x')!.values()]).toEqual([5, 5, 5, 5]);
  });
});
