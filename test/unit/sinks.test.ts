/** How sinks follow the journal, with a journal and sinks in memory and timers that the test moves. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import type { Journal } from '../../hub/telemetry/journal.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { createSinks, type Sinks, type SinksOptions } from '../../hub/telemetry/sinks.ts';
import type { Refused, Sink } from '../../hub/telemetry/store.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { createTestLog, type Entry } from '../helpers/log.ts';

/** As much of a journal as sinks use. */
class MemoryJournal {
  readonly frames: Frame[] = [];
  readonly cursors: Record<string, number> = {};
  #listeners: ((frames: readonly Frame[], next: number) => void)[] = [];

  commit(...frames: Frame[]): void {
    this.frames.push(...frames);
    for (const listener of this.#listeners) listener(frames, this.frames.length);
  }
  onCommit(listener: (frames: readonly Frame[], next: number) => void): void {
    this.#listeners.push(listener);
  }
  cursor(sink: string): number {
    return this.cursors[sink] ?? 0;
  }
  advance(sink: string, to: number): void {
    this.cursors[sink] = to;
  }
  async read(from: number, max: number) {
    const frames = this.frames.slice(from, from + max);
    return frames.length === 0 ? undefined : { from, next: from + frames.length, frames, committedAt: T0 };
  }
}

/** Takes frames, unless it was told to answer otherwise: each answer is used once. */
class MemorySink implements Sink {
  readonly name: string;
  readonly taken: Frame[] = [];
  readonly answers: (Error | Refused[] | Promise<Refused[]>)[] = [];
  calls = 0;
  constructor(name: string) {
    this.name = name;
  }
  async write(frames: readonly Frame[]): Promise<Refused[]> {
    this.calls++;
    const answer = await (this.answers.shift() ?? []);
    if (answer instanceof Error) throw answer;
    this.taken.push(...frames);
    return answer;
  }
  async close(): Promise<void> {}
}

const frame = (turns: number) => frameOf('d', 'probe', [{ ts: T0, turns }]);
const settle = () => vi.advanceTimersByTimeAsync(0);
const never = () => new Promise<Refused[]>(() => {});

describe('sinks', () => {
  let journal: MemoryJournal;
  let entries: Entry[];
  let sinks: Sinks;

  beforeEach(() => {
    vi.useFakeTimers({ now: T0 });
    journal = new MemoryJournal();
  });
  afterEach(async () => {
    await Promise.all([sinks.close({ drainMs: 0 }), settle()]);
    vi.useRealTimers();
  });

  function start(list: Sink[], options: Partial<SinksOptions> = {}): void {
    const test = createTestLog();
    entries = test.entries;
    const defaults = { batchReadings: 2, log: test.log, onRefused: async () => {}, random: () => 1 };
    sinks = createSinks(journal as unknown as Journal, list, { ...defaults, ...options });
  }

  it('take what is there, in batches, and then what comes', async () => {
    const sink = new MemorySink('a');
    journal.commit(frame(1), frame(2), frame(3));
    start([sink]);
    await settle();
    expect(sink).toMatchObject({ taken: journal.frames, calls: 2 });
    journal.commit(frame(4));
    await settle();
    expect(sink.taken).toEqual(journal.frames);
    expect(journal.cursors).toEqual({ a: 4 });
  });

  it('begin at their cursor', async () => {
    const sink = new MemorySink('a');
    journal.commit(frame(1), frame(2), frame(3));
    journal.cursors.a = 2;
    start([sink]);
    await settle();
    expect(sink.taken).toEqual([journal.frames[2]]);
  });

  it('miss no commit that happens while they read', async () => {
    const sink = new MemorySink('a');
    const read = journal.read.bind(journal);
    journal.read = async (from, max) => {
      const batch = await read(from, max);
      if (!batch && journal.frames.length === 0) journal.commit(frame(1));
      return batch;
    };
    start([sink]);
    await settle();
    expect(sink.taken).toHaveLength(1);
  });

  it('do not hold each other up', async () => {
    const [slow, fast] = [new MemorySink('slow'), new MemorySink('fast')];
    slow.answers.push(never());
    start([slow, fast]);
    journal.commit(frame(1), frame(2));
    journal.commit(frame(3));
    await settle();
    expect(fast.taken).toHaveLength(3);
    expect(journal.cursors).toEqual({ fast: 3 });
  });

  it('tell how far they are, after the cursor', async () => {
    const told: [string, number, number][] = [];
    start([new MemorySink('a')], { onAdvance: (name, offset) => told.push([name, offset, journal.cursors[name]!]) });
    journal.commit(frame(1), frame(2), frame(3));
    await settle();
    expect(told).toEqual([
      ['a', 2, 2],
      ['a', 3, 3],
    ]);
  });

  it('try again at once when they are nudged', async () => {
    const sink = new MemorySink('a');
    sink.answers.push(new Unavailable('no', { stalled: true }), new Unavailable('no', { stalled: true }));
    start([sink]);
    journal.commit(frame(1));
    await settle();
    sinks.nudge();
    await settle();
    expect(sink).toMatchObject({ calls: 2, taken: [] });
    sinks.nudge();
    await settle();
    expect(sink).toMatchObject({ calls: 3, taken: journal.frames });
  });

  it('try the same frames again, later and later, and say so once', async () => {
    const sink = new MemorySink('a');
    sink.answers.push(...Array.from({ length: 3 }, () => new Unavailable('down')));
    start([sink]);
    journal.commit(frame(1));
    await settle();
    expect(sinks.status()).toMatchObject([{ state: 'retrying', lastError: 'down', written: 0, since: T0 }]);
    for (const [delay, calls] of [
      [100, 2],
      [200, 3],
      [400, 4],
    ] as const) {
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(sink.calls).toBe(calls - 1);
      await vi.advanceTimersByTimeAsync(1);
      expect(sink.calls).toBe(calls);
    }
    expect(sink.taken).toEqual(journal.frames);
    expect(sinks.status()).toEqual([{ name: 'a', state: 'waiting', since: T0 + 700, written: 1, refused: 0 }]);
    expect(entries.map(({ level }) => level)).toEqual(['warn', 'info']);
  });

  it('try again when the journal cannot be read for now', async () => {
    const sink = new MemorySink('a');
    journal.commit(frame(1));
    const read = journal.read.bind(journal);
    let failures = 1;
    journal.read = async (from, max) => {
      if (failures-- > 0) throw new Unavailable('too many open files');
      return read(from, max);
    };
    start([sink]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sink.taken).toEqual(journal.frames);
  });

  it('make one attempt, not more, while draining when the sink is away', async () => {
    const sink = new MemorySink('a');
    journal.commit(frame(1));
    sink.answers.push(...Array.from({ length: 5 }, () => new Unavailable('away')));
    start([sink]);
    await settle();
    const calls = sink.calls;
    await sinks.close({ drainMs: 60_000 });
    expect(sink.calls - calls).toBeLessThanOrEqual(1);
    expect(journal.cursors.a).toBeUndefined();
  });

  it('wait as long as the sink asks', async () => {
    const sink = new MemorySink('a');
    sink.answers.push(new Unavailable('busy', { retryAfterMs: 7000 }));
    start([sink]);
    journal.commit(frame(1));
    await vi.advanceTimersByTimeAsync(6999);
    expect(sink.calls).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sink.calls).toBe(2);
  });

  it('try slowly when an operator must act, with one alarm and one word of relief', async () => {
    const sink = new MemorySink('a');
    sink.answers.push(
      new Unavailable('wrong password', { stalled: true }),
      new Unavailable('wrong password', { stalled: true }),
    );
    start([sink]);
    journal.commit(frame(1));
    await settle();
    expect(sinks.status()).toMatchObject([{ state: 'stalled', lastError: 'wrong password' }]);
    await vi.advanceTimersByTimeAsync(29_999);
    expect(sink.calls).toBe(1);
    await vi.advanceTimersByTimeAsync(30_001);
    expect(sink.taken).toEqual(journal.frames);
    expect(entries.map(({ level }) => level)).toEqual(['error', 'info']);
  });

  it('try as soon as they say themselves, also when an operator must act', async () => {
    const sink = new MemorySink('a');
    sink.answers.push(new Unavailable('wrong password', { stalled: true, retryAfterMs: 250 }));
    start([sink]);
    journal.commit(frame(1));
    await settle();
    expect(sinks.status()).toMatchObject([{ state: 'stalled' }]);
    await vi.advanceTimersByTimeAsync(251);
    expect(sink.taken).toEqual(journal.frames);
  });

  it('keep what is refused before the cursor moves, and count it', async () => {
    const sink = new MemorySink('a');
    const frames = [frame(1), frame(2)];
    const refused = [{ frame: frames[0]!, reading: frames[0]!.readings[0]!, message: 'no' }];
    sink.answers.push(refused);
    const kept = Promise.withResolvers<void>();
    const seen: unknown[] = [];
    start([sink], {
      onRefused: (list, name) => {
        seen.push([name, list]);
        return kept.promise;
      },
    });
    journal.commit(...frames);
    await settle();
    expect(seen).toEqual([['a', refused]]);
    expect(journal.cursors).toEqual({});
    kept.resolve();
    await settle();
    expect(journal.cursors).toEqual({ a: 2 });
    expect(sinks.status()).toMatchObject([{ written: 1, refused: 1 }]);
    expect(entries).toMatchObject([{ level: 'error', fields: { sink: 'a', readings: 1, reason: 'no' } }]);
  });

  it('write again when what was refused could not be kept', async () => {
    const sink = new MemorySink('a');
    const bad = frame(1);
    const refused = [{ frame: bad, reading: bad.readings[0]!, message: 'no' }];
    sink.answers.push(refused, refused);
    const outcomes = [Promise.reject(new Unavailable('disk full')), Promise.resolve()];
    start([sink], { onRefused: () => outcomes.shift()! });
    journal.commit(bad);
    await vi.advanceTimersByTimeAsync(100);
    expect(sink.calls).toBe(2);
    expect(journal.cursors).toEqual({ a: 1 });
    expect(sinks.status()).toMatchObject([{ refused: 1 }]);
  });

  it('finish what is in the journal before they stop', async () => {
    const sink = new MemorySink('a');
    sink.answers.push(new Unavailable('down', { retryAfterMs: 60_000 }));
    start([sink]);
    journal.commit(frame(1), frame(2), frame(3));
    await settle();
    await Promise.all([sinks.close({ drainMs: 5000 }), settle()]);
    expect(journal.cursors).toEqual({ a: 3 });
    journal.commit(frame(4));
    await settle();
    expect(sink.taken).toHaveLength(3);
  });

  it('stop after the drain time, and leave the journal alone from then on', async () => {
    const [down, stuck] = [new MemorySink('down'), new MemorySink('stuck')];
    down.answers.push(...Array.from({ length: 50 }, () => new Unavailable('down')));
    const late = Promise.withResolvers<Refused[]>();
    stuck.answers.push(late.promise);
    start([down, stuck]);
    journal.commit(frame(1));
    await settle();
    const closed = sinks.close({ drainMs: 5000 });
    await vi.advanceTimersByTimeAsync(5000);
    await closed;
    const calls = down.calls;
    late.resolve([]);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(down.calls).toBe(calls);
    expect(journal.cursors).toEqual({});
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stop once', async () => {
    start([new MemorySink('a')]);
    await Promise.all([sinks.close({ drainMs: 100 }), sinks.close({ drainMs: 100 }), settle()]);
  });
});
