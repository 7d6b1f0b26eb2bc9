/** What every telemetry store does, whatever is behind it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../../hub/telemetry/ask.ts';
import type { FilledRow } from '../../hub/telemetry/fill.ts';
import type { Reading } from '../../hub/telemetry/reading.ts';
import {
  AGGREGATES,
  type Aggregate,
  type Query,
  type Rollup,
  type Rollups,
  type Row,
  type TelemetryStore,
  type WindowFunction,
} from '../../hub/telemetry/store.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { streams } from '../helpers/streams.ts';

export interface Opened {
  store: TelemetryStore;
  close(): Promise<void>;
}

/** Each test uses devices of its own, so that one store serves all. */
export function describeStore(name: string, open: (rollups?: Rollup[]) => Promise<Opened>): void {
  describe(`the store ${name}`, () => {
    let opened: Opened;
    let store: TelemetryStore;
    let devices = 0;

    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(() => opened?.close());

    const newDevice = () => `device-${++devices}`;
    const write = async (device: string, readings: Reading[], stream = 'probe') =>
      expect(await store.write([frameOf(device, stream, readings)])).toEqual([]);
    const ask = (device: string, query: Partial<Query> = {}): Promise<Row[]> =>
      store.query({ device, stream: 'probe', from: T0, to: T0 + 1_000_000, limit: 1000, ...query });

    it('gives back what was written, with its types', async () => {
      const device = newDevice();
      const reading = { ts: T0, level: 1, Level: 2.5, turns: 3, open: false, note: 'x', mode: 'b c' };
      await write(device, [reading]);
      expect(await ask(device)).toEqual([reading]);
    });

    it('keeps extreme numbers exactly', async () => {
      const device = newDevice();
      const levels = [5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 1e21, 0.1, 1 / 3, -273.15, 0];
      const turns = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, -1, 1e15, 2 ** 31, 2 ** 52 + 1, 7];
      const readings = levels.map((level, index) => ({ ts: T0 + index, level, turns: turns[index]! }));
      await write(device, readings);
      expect(await ask(device)).toEqual(readings);
    });

    it('keeps unusual strings exactly', async () => {
      const device = newDevice();
      const notes = [
        '',
        ' ',
        '"',
        "'; DROP SERIES FROM probe; --",
        '\\',
        '\\"',
        '\\n',
        'two\nlines\r\n',
        '\t\u0000\u0007',
        'a,b=c d',
        'Größe 温度 😀',
        '\\\\',
        '"\\',
        'x'.repeat(4096),
        '$device',
        '#',
      ];
      const readings = notes.map((note, index) => ({ ts: T0 + index, note }));
      await write(device, readings);
      expect(await ask(device)).toEqual(readings);
    });

    it('keeps every value of a tag, alone or with other fields', async () => {
      const device = newDevice();
      const modes = ['a', 'b c', 'd,e=f', 'g\\h', 'Größe'];
      const readings = [
        ...modes.map((mode, index) => ({ ts: T0 + index, mode })),
        ...modes.map((mode, index) => ({ ts: T0 + 10 + index, level: index, mode })),
      ];
      await write(device, readings);
      expect(await ask(device)).toEqual(readings);
      expect(await ask(device, { fields: ['mode'] })).toEqual(readings.map(({ ts, mode }) => ({ ts, mode })));
    });

    it('tells microseconds apart', async () => {
      const device = newDevice();
      const readings = [0, 0.001, 0.002, 0.999, 1].map((part, index) => ({ ts: T0 + part, turns: index }));
      await write(device, readings);
      expect(await ask(device)).toEqual(readings);
      expect(await ask(device, { from: T0 + 0.001, to: T0 + 0.999 })).toEqual(readings.slice(1, 3));
    });

    it('tells devices apart whatever they are called', async () => {
      const names = ['a', 'A', 'a.b', 'a b', 'a,b', 'a=b', 'a"b', "a'b", 'a\\b', "x' OR device = 'a", 'ä'];
      const frames = names.map((device, turns) => frameOf(device, 'probe', [{ ts: T0, turns }]));
      expect(await store.write(frames)).toEqual([]);
      for (const [turns, device] of names.entries()) expect(await ask(device)).toEqual([{ ts: T0, turns }]);
    });

    it('takes the start of a range and leaves its end', async () => {
      const device = newDevice();
      await write(
        device,
        [1, 2, 3, 4].map((turns) => ({ ts: T0 + turns, turns })),
      );
      expect(await ask(device, { from: T0 + 2, to: T0 + 4 })).toEqual([
        { ts: T0 + 2, turns: 2 },
        { ts: T0 + 3, turns: 3 },
      ]);
    });

    it('answers with the oldest or the newest readings up to the limit', async () => {
      const device = newDevice();
      await write(
        device,
        [3, 1, 4, 2].map((turns) => ({ ts: T0 + turns, turns })),
      );
      const turns = async (query: Partial<Query>) => (await ask(device, query)).map((row) => row.turns);
      expect(await turns({ limit: 2 })).toEqual([1, 2]);
      expect(await turns({ limit: 2, descending: true })).toEqual([4, 3]);
      expect(await turns({ limit: 4 })).toEqual([1, 2, 3, 4]);
    });

    it('answers with the fields asked for, and leaves out readings that have none of them', async () => {
      const device = newDevice();
      await write(device, [
        { ts: T0, level: 1, turns: 1 },
        { ts: T0 + 1, turns: 2 },
        { ts: T0 + 2, Level: 3 },
      ]);
      expect(await ask(device, { fields: ['level', 'Level'] })).toEqual([
        { ts: T0, level: 1 },
        { ts: T0 + 2, Level: 3 },
      ]);
      expect(await ask(device, { fields: ['note'] })).toEqual([]);
    });

    it('knows nothing of a device or stream without readings', async () => {
      expect(await ask(newDevice())).toEqual([]);
      expect(await ask(newDevice(), { stream: 'power' })).toEqual([]);
      expect(await ask(newDevice(), { stream: 'nothing' })).toEqual([]);
    });

    it('changes nothing when the same readings are written again', async () => {
      const device = newDevice();
      const readings = [1, 2, 3].map((turns) => ({ ts: T0 + turns, turns, open: true, note: 'n', mode: 'a' }));
      await write(device, readings);
      await write(device, readings);
      await write(device, readings.slice(1));
      expect(await ask(device)).toEqual(readings);
    });

    it('merges readings of one time, the later field wins, in one batch and in two', async () => {
      const device = newDevice();
      await write(device, [
        { ts: T0, level: 1, note: 'old' },
        { ts: T0, level: 2, turns: 5 },
      ]);
      await write(device, [{ ts: T0, note: 'new', open: true }]);
      expect(await ask(device)).toEqual([{ ts: T0, level: 2, turns: 5, note: 'new', open: true }]);
    });

    it('merges readings of one time of which one has a tag, without breaking the limit', async () => {
      const device = newDevice();
      for (const ts of [T0, T0 + 1, T0 + 2])
        await write(device, [
          { ts, level: 1 },
          { ts, mode: 'a' },
        ]);
      const merged = [T0, T0 + 1, T0 + 2].map((ts) => ({ ts, level: 1, mode: 'a' }));
      expect(await ask(device)).toEqual(merged);
      expect(await ask(device, { limit: 2 })).toEqual(merged.slice(0, 2));
      expect(await ask(device, { limit: 1, descending: true })).toEqual(merged.slice(2));
    });

    it('takes many frames of many devices and streams in one batch', async () => {
      const [one, two] = [newDevice(), newDevice()];
      const frames = Array.from({ length: 200 }, (_, index) => [
        frameOf(index % 2 ? one : two, 'probe', [{ ts: T0 + index, turns: index }]),
        frameOf(index % 2 ? one : two, 'environment', [{ ts: T0 + index, temperature: index / 10 }]),
      ]).flat();
      expect(await store.write(frames)).toEqual([]);
      expect(await ask(one)).toHaveLength(100);
      expect(await ask(two, { stream: 'environment', limit: 1, descending: true })).toEqual([
        { ts: T0 + 198, temperature: 19.8 },
      ]);
      expect(await store.write([])).toEqual([]);
      expect(await store.write([frameOf(one, 'probe', [])])).toEqual([]);
    });

    describe('over windows of time', () => {
      const device = 'windows';
      beforeAll(() =>
        write(device, [
          { ts: T0 + 100, level: 1, turns: 1, open: true, note: 'a', mode: 'a' },
          { ts: T0 + 900, level: 4, turns: 2, note: 'b' },
          { ts: T0 + 1000, level: 8, open: false },
          { ts: T0 + 3500, turns: 7, mode: 'b c' },
        ]),
      );
      const EXPECTED: Record<Aggregate, Row[]> = {
        mean: [
          { ts: T0, level: 2.5, turns: 1.5 },
          { ts: T0 + 1000, level: 8 },
          { ts: T0 + 3000, turns: 7 },
        ],
        min: [
          { ts: T0, level: 1, turns: 1 },
          { ts: T0 + 1000, level: 8 },
          { ts: T0 + 3000, turns: 7 },
        ],
        max: [
          { ts: T0, level: 4, turns: 2 },
          { ts: T0 + 1000, level: 8 },
          { ts: T0 + 3000, turns: 7 },
        ],
        first: [
          { ts: T0, level: 1, turns: 1, open: true, note: 'a', mode: 'a' },
          { ts: T0 + 1000, level: 8, open: false },
          { ts: T0 + 3000, turns: 7, mode: 'b c' },
        ],
        last: [
          { ts: T0, level: 4, turns: 2, open: true, note: 'b', mode: 'a' },
          { ts: T0 + 1000, level: 8, open: false },
          { ts: T0 + 3000, turns: 7, mode: 'b c' },
        ],
        count: [
          { ts: T0, level: 2, turns: 2, open: 1, note: 2, mode: 1 },
          { ts: T0 + 1000, level: 1, open: 1 },
          { ts: T0 + 3000, turns: 1, mode: 1 },
        ],
      };
      const buckets = (fn: Aggregate, query: Partial<Query> = {}) =>
        ask(device, { buckets: { everyMs: 1000, fn }, ...query });

      it.each(AGGREGATES)('gives the %s of each window that holds something', async (fn) => {
        expect(await buckets(fn)).toEqual(EXPECTED[fn]);
      });

      it.each(AGGREGATES)('gives the newest windows of %s first, up to the limit', async (fn) => {
        const expected = EXPECTED[fn].toReversed().slice(0, 2);
        expect(await buckets(fn, { descending: true, limit: 2 })).toEqual(expected);
        expect(await buckets(fn, { limit: 2 })).toEqual(EXPECTED[fn].slice(0, 2));
      });

      it('counts only what lies in the range, in windows aligned to the epoch', async () => {
        expect(await buckets('count', { from: T0 + 500, fields: ['level'] })).toEqual([
          { ts: T0, level: 1 },
          { ts: T0 + 1000, level: 1 },
        ]);
      });

      it('gives a chart the mean with its lowest and highest, and the last of what is no number', async () => {
        const query: Partial<Query> = { buckets: { everyMs: 1000, fn: 'envelope' } };
        expect(await ask(device, { ...query, fields: ['level', 'open', 'mode'] })).toEqual([
          { ts: T0, level: 2.5, level_min: 1, level_max: 4, open: true, mode: 'a' },
          { ts: T0 + 1000, level: 8, level_min: 8, level_max: 8, open: false },
          { ts: T0 + 3000, mode: 'b c' },
        ]);
        expect(await ask(device, { ...query, fields: ['turns'], descending: true, limit: 1 })).toEqual([
          { ts: T0 + 3000, turns: 7, turns_min: 7, turns_max: 7 },
        ]);
      });

      it('has no mean of what is no number', async () => {
        expect(await buckets('mean', { fields: ['note', 'open', 'mode'] })).toEqual([]);
      });
    });

    it('refuses what does not fit the schema any more, and takes everything else', async () => {
      const device = newDevice();
      const frame = frameOf(device, 'probe', [
        { ts: T0, turns: 1 },
        { ts: T0 + 1, turns: 1.5 },
        { ts: T0 + 2, gone: 1 },
        { ts: T0 + 3 },
        { ts: T0 + 4, mode: 1 },
        { ts: T0 + 5, turns: 2 },
      ]);
      const stray = frameOf(device, 'gone', [{ ts: T0, level: 1 }]);
      const refused = await store.write([frame, stray]);
      expect(refused.map(({ reading }) => reading)).toEqual([stray.readings[0], ...frame.readings.slice(1, 5)]);
      expect(refused.map((one) => one.message)).toEqual([
        'the hub has no stream "gone" any more',
        'the field "turns" must be of type integer',
        'the stream "probe" has no field "gone" any more',
        'the reading has no field',
        'the field "mode" must be of type string',
      ]);
      expect(refused[0]!.frame).toBe(stray);
      expect(await ask(device)).toEqual([frame.readings[0], frame.readings[5]]);
    });

    it('has no problem', async () => {
      expect(await store.problem()).toBeUndefined();
    });

    describeRollups(open);
  });
}

/** InfluxDB's mean of readings is a running one, whose last digit may differ from sum by count. */
const rounded = (rows: readonly FilledRow[]) =>
  rows.map((row) =>
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'number' ? Number(value.toPrecision(14)) : value,
    ]),
  );

/** A store that sums up gives the same answers from its roll-ups as from readings. */
function describeRollups(open: (rollups?: Rollup[]) => Promise<Opened>): void {
  const SECONDS: Rollup = { name: '1s', everyMs: 1_000, keepMs: 0 };
  const MINUTES: Rollup = { name: '1m', everyMs: 60_000, keepMs: 0 };
  const FUNCTIONS: WindowFunction[] = [...AGGREGATES, 'envelope'];
  const RANGE = { from: T0, to: T0 + 600_000, limit: 10_000, stream: 'probe' };

  describe('that sums up', () => {
    let opened: Opened;
    let store: TelemetryStore;
    let rollups: Rollups;
    beforeAll(async () => {
      opened = await open([SECONDS, MINUTES]);
      store = opened.store;
      rollups = store.rollups!;
      await store.write([frameOf('a', 'probe', measured(0, 400)), frameOf('b', 'probe', measured(7, 20))]);
      await rollups.roll(T0 + 3_600_000);
    });
    afterAll(() => opened?.close());

    /** Readings of two seconds and a half each, with gaps, of every type; sums of the levels are exact. */
    function measured(start: number, count: number): Reading[] {
      return Array.from({ length: count }, (_, n) => ({
        ts: T0 + start + n * 1_250 + (n % 3) * 100,
        level: ((n * 37) % 64) / 4,
        ...(n % 2 && { turns: n * 3 }),
        ...(n % 5 === 0 && { open: n % 10 === 0 }),
        ...(n % 7 === 0 && { note: `n${n}` }),
        ...(n % 11 === 0 && { mode: n % 2 ? 'a' : 'b c' }),
      }));
    }

    const both = async (device: string, rollup: Rollup, query: Partial<Query>) => {
      const asked = { device, ...RANGE, ...query };
      return [await store.query({ ...asked, rollup }), await store.query(asked)];
    };

    it('says which roll-ups it has', () => {
      expect(rollups.list).toEqual([SECONDS, MINUTES]);
    });

    it.each(FUNCTIONS)('gives the %s of windows of every length as readings would', async (fn) => {
      for (const [rollup, everyMs] of [
        [SECONDS, 1_000],
        [SECONDS, 7_000],
        [MINUTES, 60_000],
        [MINUTES, 180_000],
      ] as const) {
        const [summed, raw] = await both('a', rollup, { buckets: { everyMs, fn } });
        expect(rounded(summed!)).toEqual(rounded(raw!));
        expect(summed!.length).toBeGreaterThan(2);
      }
    });

    it.each(FUNCTIONS)('gives the newest windows of %s first, up to the limit, of the fields asked for', async (fn) => {
      const fields = ['turns', 'mode', 'level'];
      const query = { buckets: { everyMs: 5_000, fn }, descending: true, limit: 7, fields };
      const [summed, raw] = await both('a', SECONDS, query);
      expect(rounded(summed!)).toEqual(rounded(raw!));
      expect(summed).toHaveLength(7);
    });

    it('keeps devices apart', async () => {
      const [summed, raw] = await both('b', SECONDS, { buckets: { everyMs: 1_000, fn: 'count' } });
      expect(summed).toEqual(raw);
      expect(await rollups.upTo(SECONDS, 'probe', 'b', T0 + 3_600_000)).toBeGreaterThanOrEqual(RANGE.to);
    });

    it('sums up again where a reading comes late, and says until then how far it knows', async () => {
      const late = { ts: T0 + 65_500, level: 99, note: 'late' };
      await store.write([
        frameOf('late', 'probe', [
          { ts: T0 + 1_500, level: 1 },
          { ts: T0 + 65_000, level: 1 },
        ]),
      ]);
      await rollups.roll(T0 + 3_600_000);
      await store.write([frameOf('late', 'probe', [late])]);
      expect(await rollups.upTo(MINUTES, 'probe', 'late', T0 + 3_600_000)).toBeLessThanOrEqual(T0 + 60_000);
      expect(await rollups.roll(T0 + 3_600_000)).toBeGreaterThan(0);
      const [summed, raw] = await both('late', MINUTES, { buckets: { everyMs: 60_000, fn: 'last' } });
      expect(summed).toEqual(raw);
      expect(summed!.at(-1)).toEqual({ ts: T0 + 60_000, level: 99, note: 'late' });
      expect(await rollups.upTo(MINUTES, 'probe', 'late', T0 + 3_600_000)).toBeGreaterThanOrEqual(RANGE.to);
      expect(await rollups.roll(T0 + 3_600_000)).toBe(0);
    });

    it.each([
      [T0, T0 + 600_000],
      [T0 + 1_234.5, T0 + 345_678],
      [T0 + 59_999, T0 + 60_001],
      [T0 + 100_000, T0 + 100_500],
    ])('answers a question from %d to %d as readings alone would, whatever it is made from', async (from, to) => {
      const stream = streams.get('probe')!;
      for (const [everyMs, descending] of [
        [1_000, false],
        [2_500, true],
        [60_000, false],
        [120_000, true],
      ] as const) {
        const buckets = { everyMs, fn: 'envelope' } as const;
        const question = { device: 'a', stream: 'probe', from, to, limit: 500, descending, buckets };
        const { pages } = await ask(store, stream, question, T0 + 3_600_000);
        const rows: FilledRow[] = [];
        for await (const page of pages) rows.push(...page);
        expect(rounded(rows)).toEqual(rounded(await store.query(question)));
      }
    });

    it('chooses the longest windows that fit', async () => {
      const stream = streams.get('probe')!;
      const sourceOf = async (everyMs: number) => {
        const question = { device: 'a', ...RANGE, descending: false, buckets: { everyMs, fn: 'max' } as const };
        return (await ask(store, stream, question, T0 + 3_600_000)).resolution.source;
      };
      expect([await sourceOf(120_000), await sourceOf(90_000), await sourceOf(500)]).toEqual(['1m', '1s', 'raw']);
    });
  });
}
