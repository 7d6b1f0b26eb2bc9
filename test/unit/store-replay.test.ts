/** What is written again after a restart of the store, with a journal and a store in memory. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { createReplay, type Replay, type ReplayOptions } from '../../hub/telemetry/replay.ts';
import { createReplayMemory, type ReplayState } from '../../hub/telemetry/replay-memory.ts';
import type { Refused } from '../../hub/telemetry/store.ts';
import { CrashDisk } from '../helpers/crash-fs.ts';
import { T0 } from '../helpers/frames.ts';
import { createTestLog, type Entry } from '../helpers/log.ts';
import { MemoryJournal, MemoryStore } from '../helpers/memory-store.ts';

const frame = (seq: number, turns = seq, ts = T0 + seq): Frame => ({
  ...{ device: 'd', epoch: 'e', seq, stream: 'probe', receivedAt: T0 },
  readings: [{ ts, turns }],
});
const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

describe('a replay', () => {
  let journal: MemoryJournal;
  let store: MemoryStore;
  let state: ReplayState;
  let entries: Entry[];
  let refused: Refused[];
  let replay: Replay;

  beforeEach(() => {
    vi.useFakeTimers({ now: T0 });
    journal = new MemoryJournal();
    store = new MemoryStore();
    state = {};
    refused = [];
  });
  afterEach(async () => {
    await Promise.all([replay.close(), settle(2_000)]);
    vi.useRealTimers();
  });

  function start(options: Partial<ReplayOptions> = {}): void {
    const test = createTestLog();
    entries = test.entries;
    const memory = {
      load: async () => structuredClone(state),
      save: async (next: ReplayState) => {
        state = structuredClone(next);
      },
    };
    const onRefused = async (some: Refused[]) => void refused.push(...some);
    replay = createReplay(
      { journal, store, memory, onRefused, log: test.log },
      { batchReadings: 2, windowMs: 60_000, now: () => T0, ...options },
    );
  }

  /** The sink has written `count` frames before the restart. */
  function delivered(count: number): void {
    for (let seq = 1; seq <= count; seq++) journal.commit(frame(seq));
    journal.cursor = count;
  }

  async function restart(name = 'second run'): Promise<void> {
    store.run = name;
    await replay.look();
    await settle();
  }

  it('does not begin with a store that was never seen before, nor with the same one', async () => {
    delivered(3);
    start();
    await replay.look();
    await replay.look();
    await settle();
    expect(store.writes).toEqual([]);
    expect(state).toEqual({ incarnation: 'first run' });
    expect(replay.status()).toEqual({ tells: true, restarts: 0, replayed: 0, leftFrames: 0 });
  });

  it('writes everything again after a restart, says so and counts it', async () => {
    delivered(5);
    start();
    await replay.look();
    await restart();
    expect(store.writes).toEqual([[1, 2], [3, 4], [5]]);
    expect(replay.status()).toEqual({ tells: true, restarts: 1, replayed: 5, leftFrames: 0 });
    expect(entries.map(({ level, message }) => [level, message])).toEqual([
      ['warn', 'the store was restarted: what it may have lost is written again'],
      ['info', 'the replay is done'],
    ]);
    expect(state).toEqual({ incarnation: 'second run' });
  });

  it('notices a restart that happened while the hub was away', async () => {
    delivered(2);
    state = { incarnation: 'zeroth run' };
    start();
    await replay.look();
    await settle();
    expect(store.writes).toEqual([[1, 2]]);
  });

  it('also writes the batch that was in flight, and nothing of a longer backlog', async () => {
    delivered(2);
    journal.commit(...[3, 4, 5, 6].map((seq) => frame(seq)));
    start();
    await replay.look();
    await restart();
    expect(store.writes).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('leaves out what is older than the window, and what the journal does not hold any more', async () => {
    journal.commit(
      { ...frame(1), receivedAt: T0 - 70_000 },
      { ...frame(2), receivedAt: T0 - 70_000 },
      frame(3),
      frame(4),
    );
    journal.cursor = 4;
    journal.first = 1;
    start();
    await replay.look();
    await restart();
    expect(store.writes).toEqual([[3], [4]]);
  });

  it('lets the later of two readings with one identity win, whoever wrote it when', async () => {
    journal.commit(frame(1, 10, T0), frame(2), frame(3));
    journal.cursor = 3;
    start();
    await replay.look();
    const write = store.write.bind(store);
    // While the replay writes its first batch, the sink brings a correction and something new.
    store.write = async (frames) => {
      store.write = write;
      journal.commit(frame(4, 99, T0), frame(5, 5, T0 + 1_000));
      journal.cursor = 5;
      await write(journal.frames.slice(3));
      return write(frames);
    };
    await restart();
    expect(store.readings.get(`d probe ${T0}`)).toEqual({ ts: T0, turns: 99 });
    expect(store.writes).toEqual([[4, 5], [1, 2], [3, 4, 5].slice(0, 2)]);
  });

  it('gives way to a sink that is behind, and still gets a batch each second', async () => {
    delivered(4);
    journal.lagMs = 10_000;
    start();
    await replay.look();
    await restart();
    expect(store.writes).toHaveLength(0);
    await settle(1_000);
    expect(store.writes).toHaveLength(1);
    journal.lagMs = 0;
    await settle(50);
    expect(store.writes).toHaveLength(2);
  });

  it('begins anew when the store restarts once more', async () => {
    delivered(6);
    start();
    await replay.look();
    journal.lagMs = 10_000;
    await restart();
    await settle(2_000);
    expect(store.writes).toEqual([
      [1, 2],
      [3, 4],
    ]);
    journal.lagMs = 0;
    await restart('third run');
    await settle(1_000);
    expect(store.writes.slice(-3)).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(replay.status()).toMatchObject({ restarts: 2, leftFrames: 0 });
  });

  it('tries again while the store is not available, and waits as long as it asks', async () => {
    delivered(2);
    store.troubles.push(new Unavailable('down', { retryAfterMs: 5_000 }));
    start();
    await replay.look();
    await restart();
    await settle(4_999);
    expect(store.writes).toEqual([]);
    await settle(1);
    expect(store.writes).toEqual([[1, 2]]);
  });

  it('goes on after a restart of the hub where it was', async () => {
    delivered(6);
    start();
    await replay.look();
    journal.lagMs = 10_000;
    await restart();
    await settle(1_500);
    await Promise.all([replay.close(), settle(1_000)]);
    expect(store.writes).toEqual([[1, 2]]);
    expect(state.run).toMatchObject({ at: 2, to: 6 });
    journal.lagMs = 0;
    start();
    await replay.look();
    await settle();
    expect(store.writes.slice(1)).toEqual([
      [3, 4],
      [5, 6],
    ]);
  });

  it('hands over what the store refuses now', async () => {
    journal.commit({ ...frame(1), readings: [{ ts: T0, poison: 1 }] });
    journal.cursor = 1;
    start();
    await replay.look();
    await restart();
    expect(refused).toMatchObject([{ message: 'poison' }]);
  });

  it('says once that a store does not tell of its restarts, and can be begun by hand', async () => {
    delivered(2);
    store.run = undefined;
    start();
    await replay.look();
    await replay.look();
    expect(entries).toMatchObject([{ level: 'warn' }]);
    expect(replay.status()).toMatchObject({ tells: false });
    await replay.begin();
    await settle();
    expect(store.writes).toEqual([[1, 2]]);
  });

  it('takes a store that is away for no other one', async () => {
    delivered(2);
    start();
    await replay.look();
    store.run = new Unavailable('down');
    await replay.look();
    store.run = 'first run';
    await replay.look();
    await settle();
    expect(replay.status()).toMatchObject({ restarts: 0, tells: true });
  });
});

describe('the memory of a replay', () => {
  const run = { at: 1, to: 2, until: 3, since: 4, newestTs: 5 };

  it('gives back what was saved, and nothing before', async () => {
    const memory = createReplayMemory(await folder(), '/hub');
    expect(await memory.load()).toEqual({});
    await memory.save({ incarnation: 'a', run });
    expect(await memory.load()).toEqual({ incarnation: 'a', run });
  });

  it.each(['', 'x', '{"incarnation":"a","run":{"at":"1"}', '[]', 'null'])(
    'takes a damaged file (%s) for a store that was restarted',
    async (text) => {
      const files = await folder();
      const file = await files.open('/hub/store.json', 'create');
      await file.write(Buffer.from(text), 0);
      await file.close();
      expect(await createReplayMemory(files, '/hub').load()).toEqual({ incarnation: '' });
    },
  );

  async function folder() {
    const files = new CrashDisk().mount();
    await files.makeDirectory('/hub');
    return files;
  }
});
