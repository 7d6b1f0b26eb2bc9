import { describe, expect, it } from 'vitest';
import { createIngest, type GivenTimes } from '../../hub/telemetry/ingest.ts';
import { loadCatalog } from '../../schemas/index.ts';

const NOW = 1_760_000_000_000;
const { streams } = loadCatalog();
const make = (retentionMs = 0) => createIngest({ streams, readingsPerFrame: 10, clockAheadMs: 300_000, retentionMs });
const check = (readings: unknown[], stream = 'environment', given: GivenTimes = new Map()) =>
  make().check(stream, readings, NOW, given);

describe('ingest', () => {
  it('passes what fits its schema, with its time', () => {
    const reading = { ts: NOW - 5, temperature: 21.4, occupied: true };
    expect(check([reading])).toEqual({ readings: [reading] });
  });

  it('gives each bad reading its index, path, rule and words, and lets the good ones pass', () => {
    const verdict = check([
      { ts: NOW, temperature: 99 },
      { ts: NOW, temperature: 20 },
      { ts: NOW, colour: 1 },
    ]);
    expect(verdict.readings).toEqual([{ ts: NOW, temperature: 20 }]);
    expect(verdict.rejected).toMatchObject([
      { index: 0, path: '/temperature', code: 'maximum', message: 'must be <= 85' },
      { index: 2, path: '/colour', code: 'additionalProperties' },
    ]);
  });

  it.each([
    ['a string', '21', '', 'type'],
    ['null', null, '', 'type'],
    ['an array', [], '', 'type'],
    ['a number that is not finite', { temperature: Number.POSITIVE_INFINITY }, '/temperature', 'type'],
    ['text for a number', { temperature: 'NaN' }, '/temperature', 'type'],
    ['a nested value', { temperature: { value: 1 } }, '/temperature', 'type'],
    ['no field at all', { ts: NOW }, '', 'minProperties'],
    ['__proto__ as a field', JSON.parse('{"__proto__":{"temperature":1}}'), '/__proto__', 'additionalProperties'],
    ['a clock a year ahead', { ts: NOW + 365 * 86_400_000, temperature: 1 }, '/ts', 'clock'],
    ['a time before 1970', { ts: -1, temperature: 1 }, '/ts', 'clock'],
    ['both ts and age', { ts: NOW, age: 5, temperature: 1 }, '/age', 'clock'],
    ['a negative age', { age: -5, temperature: 1 }, '/age', 'minimum'],
    ['a time that is text', { ts: '2026', temperature: 1 }, '/ts', 'type'],
  ])('refuses %s', (_, reading, path, code) => {
    expect(check([reading])).toMatchObject({ readings: [], rejected: [{ index: 0, path, code, reading }] });
  });

  it('gives refused readings without a time the one they would have had, which no other gets', () => {
    const given: GivenTimes = new Map();
    const bad = { temperature: 99 };
    const { rejected, readings } = check([bad, { temperature: 1 }, bad, { ...bad, age: 1000 }], 'environment', given);
    expect(readings).toEqual([{ temperature: 1, ts: NOW + 0.001 }]);
    expect(rejected!.map(({ ts }) => ts)).toEqual([NOW, NOW + 0.002, NOW - 1000]);
    expect(check([{ ts: NOW, ...bad }, 7, null]).rejected!.map(({ ts }) => ts)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const whole = check(Array(11).fill({ light: 1 }), 'environment', given);
    expect(whole.rejected).toMatchObject([{ ts: NOW + 0.003 }]);
    expect(check([{ light: 1 }], 'environment', given).readings).toEqual([{ light: 1, ts: NOW + 0.014 }]);
  });

  it('refuses readings older than the store keeps', () => {
    const verdict = make(1000).check(
      'environment',
      [
        { ts: NOW - 1001, light: 1 },
        { ts: NOW - 999, light: 1 },
      ],
      NOW,
      new Map(),
    );
    expect(verdict.readings).toHaveLength(1);
    expect(verdict.rejected).toMatchObject([{ index: 0, path: '/ts', code: 'clock' }]);
  });

  it('refuses a whole frame of an unknown stream, or with too many readings', () => {
    expect(check([{ a: 1 }], 'weather').rejected).toMatchObject([{ path: '/stream', code: 'stream' }]);
    expect(check(Array(11).fill({ light: 1 })).rejected).toMatchObject([{ path: '/readings', code: 'maxItems' }]);
    expect(check([{ a: 1 }], '__proto__').rejected).toMatchObject([{ code: 'stream' }]);
  });

  it('gives readings without a time the arrival, unique within the stream', () => {
    const given: GivenTimes = new Map();
    const first = check([{ light: 1 }, { light: 2 }], 'environment', given).readings;
    const second = check([{ light: 3 }], 'environment', given).readings;
    const times = [...first, ...second].map(({ ts }) => Math.round(ts * 1000));
    expect(times).toEqual([NOW * 1000, NOW * 1000 + 1, NOW * 1000 + 2]);
  });

  it.each([
    ['without a time', () => ({ light: 1 })],
    ['of the same age', () => ({ age: 500, light: 1 })],
  ])('keeps a thousand readings %s apart, to the microsecond', (_, reading) => {
    const many = createIngest({ streams, readingsPerFrame: 1000, clockAheadMs: 300_000, retentionMs: 0 });
    const readings = Array.from({ length: 1000 }, reading);
    const { readings: passed } = many.check('environment', readings, NOW, new Map());
    expect(new Set(passed.map(({ ts }) => Math.round(ts * 1000))).size).toBe(1000);
  });

  it('believes a clock that was put back far, and gives no time twice while it is', () => {
    const given: GivenTimes = new Map();
    const timesAt = (now: number) =>
      make()
        .check('environment', [{ light: 1 }, { light: 2 }], now, given)
        .readings.map(({ ts }) => ts as number);
    const hour = 3_600_000;
    const first = timesAt(NOW + hour);
    const slightly = timesAt(NOW + hour - 1_000);
    expect(slightly[0]).toBeGreaterThan(first[1]!);
    const back = [...timesAt(NOW), ...timesAt(NOW + 1)];
    for (const ts of back) expect(Math.abs(ts - NOW)).toBeLessThan(3);
    const again = timesAt(NOW + hour);
    const all = [...first, ...slightly, ...back, ...again];
    expect(new Set(all).size).toBe(all.length);
  });

  it('takes age off the arrival and keeps equal ages apart', () => {
    const readings = check([
      { age: 2000, light: 1 },
      { age: 2000, light: 2 },
    ]).readings;
    expect(readings.map(({ ts }) => Math.floor(ts))).toEqual([NOW - 2000, NOW - 2000]);
    expect(new Set(readings.map(({ ts }) => ts)).size).toBe(2);
    expect(readings[0]).not.toHaveProperty('age');
  });
});
