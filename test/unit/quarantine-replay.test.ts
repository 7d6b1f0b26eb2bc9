/** Sending quarantined readings up the road again, with a quarantine and a journal in memory. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createIngest } from '../../hub/telemetry/ingest.ts';
import type { NotTaken } from '../../hub/telemetry/journal.ts';
import type { QuarantinedReading, QuarantineFilter, Reason } from '../../hub/telemetry/quarantine.ts';
import { createQuarantineReplay, isFromQuarantine } from '../../hub/telemetry/quarantine-replay.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { loadCatalog } from '../../schemas/index.ts';
import { T0 } from '../helpers/frames.ts';

const { streams } = loadCatalog();
const NOW = T0 + 86_400_000;

/** A quarantine and a journal that write down, in one list, what happens. */
function world() {
  const told: string[] = [];
  const kept = new Map<number, QuarantinedReading>();
  const listeners: ((frames: readonly Frame[], next: number) => void)[] = [];
  const journal = {
    frames: [] as Frame[],
    refusals: [] as NotTaken[],
    isSlow: false,
    append(frame: Frame) {
      const refusal = journal.refusals.shift();
      if (refusal) return refusal;
      journal.frames.push(frame);
      if (!journal.isSlow) setImmediate(() => journal.commit());
      return undefined;
    },
    onCommit: (listener: (typeof listeners)[number]) => void listeners.push(listener),
    commit() {
      told.push('durable');
      for (const listener of listeners) listener(journal.frames, journal.frames.length);
    },
  };
  const quarantine = {
    async list({ after = 0, limit, device }: QuarantineFilter & { after?: number; limit: number }) {
      const wanted = [...kept.values()].filter(({ id, ...one }) => id > after && (!device || one.device === device));
      return structuredClone(wanted.slice(0, limit));
    },
    async remove({ ids = [] }: QuarantineFilter) {
      told.push(`removed ${ids.join(' ')}`);
      for (const id of ids) kept.delete(id);
      return ids.length;
    },
    async amend(reasons: readonly Reason[]) {
      told.push(`amended ${reasons.map(({ id, path, code }) => `${id} ${path} ${code}`).join(', ')}`);
    },
  };
  const add = (reading: unknown, more: Partial<QuarantinedReading> = {}) => {
    const id = kept.size + 1;
    const where = { device: 'd', stream: 'environment', epoch: 'e', seq: 1, receivedAt: T0 };
    kept.set(id, { id, ...where, path: '', code: 'type', message: '', reading, ...more });
  };
  return { told, kept, journal, quarantine, add };
}

let all: ReturnType<typeof world>;
let replay: ReturnType<typeof createQuarantineReplay>;

beforeEach(() => {
  all = world();
  const ingest = createIngest({ streams, readingsPerFrame: 10, clockAheadMs: 300_000, retentionMs: 0 });
  replay = createQuarantineReplay({ ...all, ingest, patienceMs: 300, now: () => NOW });
});

const run = (filter: QuarantineFilter = {}, page = { after: 0, limit: 100 }) => replay.run(filter, page);

describe('the replay of the quarantine', () => {
  it('lets a reading leave when it is durable, with the time it had, and not before', async () => {
    all.add({ ts: T0, temperature: 20 });
    all.add({ temperature: 21, age: 500 }, { ts: T0 - 499.5 });
    all.add({ ts: T0, power: 3 }, { stream: 'power', device: 'e' });
    expect(await run()).toEqual({ replayed: 3, refused: 0 });
    expect(all.told).toEqual(['durable', 'durable', 'removed 1 2 3'].slice(-all.told.length));
    expect(all.told.at(-1)).toBe('removed 1 2 3');
    expect(all.journal.frames).toMatchObject([
      {
        device: 'd',
        stream: 'environment',
        seq: 0,
        receivedAt: NOW,
        readings: [
          { ts: T0, temperature: 20 },
          { ts: T0 - 499.5, temperature: 21 },
        ],
      },
      { device: 'e', stream: 'power', readings: [{ ts: T0, power: 3 }] },
    ]);
    expect(all.journal.frames.every(isFromQuarantine)).toBe(true);
    expect(replay.replayed).toBe(3);
  });

  it('leaves what does not pass where it is, with the reason of today', async () => {
    all.add({ ts: T0, temperature: 99 });
    all.add({ ts: T0, temperature: 20 });
    all.add(7);
    all.add({ rain: 1 }, { stream: 'weather' });
    all.add('x'.repeat(16_384));
    all.add({ ts: NOW + 400_000, temperature: 20 });
    expect(await run()).toEqual({ replayed: 1, refused: 5 });
    expect(all.told).toEqual([
      'durable',
      'removed 2',
      'amended 1 /temperature maximum, 3  type, 4 /stream stream, 5  maxLength, 6 /ts clock',
    ]);
  });

  it('goes page by page, and takes only what is meant', async () => {
    for (let count = 0; count < 5; count++) all.add({ ts: T0 + count, temperature: 20 });
    all.add({ ts: T0, temperature: 20 }, { device: 'other' });
    expect(await run({ device: 'd' }, { after: 0, limit: 3 })).toEqual({ replayed: 3, refused: 0, next: 3 });
    expect(await run({ device: 'd' }, { after: 3, limit: 3 })).toEqual({ replayed: 2, refused: 0 });
    expect([...all.kept.keys()]).toEqual([6]);
  });

  it('gives each replay an epoch of its own, so that a refusal by the store is another one', async () => {
    all.add({ ts: T0, temperature: 20 });
    await run();
    all.add({ ts: T0, temperature: 20 });
    await run();
    const [first, second] = all.journal.frames;
    expect(first!.epoch).not.toBe(second!.epoch);
  });

  it('waits while the journal is busy', async () => {
    all.journal.refusals = ['busy'];
    all.add({ ts: T0, temperature: 20 });
    expect(await run()).toEqual({ replayed: 1, refused: 0 });
  });

  it.each(['full', 'failing', 'closed'] as const)(
    'leaves everything where it is when the journal is %s',
    async (why) => {
      all.journal.refusals = [why];
      all.add({ ts: T0, temperature: 20 });
      await expect(run()).rejects.toThrow(why);
      expect(all.told).toEqual([]);
      expect(await run()).toEqual({ replayed: 1, refused: 0 });
    },
  );

  it('leaves everything where it is when the journal does not become durable', async () => {
    all.journal.isSlow = true;
    all.add({ ts: T0, temperature: 20 });
    await expect(run()).rejects.toThrow('in time');
    expect(all.kept.size).toBe(1);
    all.journal.isSlow = false;
    expect(await run()).toEqual({ replayed: 1, refused: 0 });
  });

  it('is one at a time', async () => {
    all.add({ ts: T0, temperature: 20 });
    const first = run();
    await expect(run()).rejects.toMatchObject({ code: 'conflict' });
    expect(await first).toEqual({ replayed: 1, refused: 0 });
  });
});
