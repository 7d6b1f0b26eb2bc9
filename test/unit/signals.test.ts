/** The simulated signals against the schemas they must fit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signalFor } from '../../device-sim/signals.ts';
import { loadCatalog } from '../../schemas/index.ts';
import { readingSchemaOf } from '../../schemas/stream.ts';

const catalog = loadCatalog();
const NOON = Date.UTC(2026, 2, 4, 12);
const HOUR = 3_600_000;
const times = fc.integer({ min: Date.UTC(2015, 0, 1), max: Date.UTC(2035, 0, 1) });

/** A day in steps of ten minutes. */
const day = (signal: ReturnType<typeof signalFor>) =>
  Array.from({ length: 144 }, (_, n) => signal(NOON + n * 600_000) as Record<string, number>);

describe.each([...catalog.streams.values()])('$name', ({ name, check, fields }) => {
  it('always fits its schema, at any time and with any seed', () => {
    const fits = fc.property(
      fc.integer(),
      times,
      (seed, ts) => check({ ts, ...signalFor(name, seed)(ts) }) === undefined,
    );
    fc.assert(fits, { numRuns: 1_000 });
  });

  it('has every field of the stream', () => {
    expect(Object.keys(signalFor(name, 1)(NOON)).sort()).toEqual([...fields.keys()].sort());
  });

  it('repeats with the same seed, and differs with another', () => {
    expect(day(signalFor(name, 7))).toEqual(day(signalFor(name, 7)));
    expect(day(signalFor(name, 7))).not.toEqual(day(signalFor(name, 8)));
  });
});

describe('plausibility', () => {
  it('people raise the carbon dioxide and switch on the light', () => {
    const readings = Array.from({ length: 20 }, (_, seed) => day(signalFor('environment', seed))).flat();
    const mean = (of: string, occupied: boolean) => {
      const values = readings
        .filter((reading) => Boolean(reading.occupied) === occupied)
        .map((reading) => reading[of]!);
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    expect(mean('co2', true)).toBeGreaterThan(mean('co2', false) + 200);
    expect(mean('light', true)).toBeGreaterThan(mean('light', false) + 200);
  });

  it('a battery discharges', () => {
    const signal = signalFor('environment', 3);
    const falls = [1, 2, 3, 4].filter((n) => signal(NOON + n * 24 * HOUR).battery! < signal(NOON).battery!);
    expect(falls.length).toBeGreaterThanOrEqual(3);
  });

  it.each([
    ['power', 'energy'],
    ['machine', 'cycles'],
  ])('a counter never goes back: %s.%s', (stream, field) => {
    const values = day(signalFor(stream, 5)).map((reading) => reading[field]!);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });

  it('voltage, current and power factor give the power', () => {
    const { voltage, current, powerFactor, power } = signalFor('power', 2)(NOON) as Record<string, number>;
    expect(Math.abs(voltage! * current! * powerFactor! - power!)).toBeLessThan(power! * 0.02 + 1);
  });

  it('a vehicle moves about as far as its speed says', () => {
    const signal = signalFor('position', 4);
    const [a, b] = [signal(NOON), signal(NOON + 60_000)] as Record<string, number>[];
    const north = (b!.latitude! - a!.latitude!) * 111_320;
    const east = (b!.longitude! - a!.longitude!) * 111_320 * Math.cos((a!.latitude! * Math.PI) / 180);
    expect(Math.hypot(north, east)).toBeGreaterThan(400);
    expect(Math.hypot(north, east)).toBeLessThan(800);
    const course = (Math.atan2(east, north) * 180) / Math.PI;
    const off = Math.abs(((course - a!.heading! + 540) % 360) - 180);
    expect(off).toBeLessThan(40);
  });

  it('a machine that does not turn has no speed', () => {
    for (const { state, rpm } of day(signalFor('machine', 9)) as unknown as { state: string; rpm: number }[]) {
      expect(rpm > 0).toBe(['running', 'idle', 'starting'].includes(state));
    }
  });
});

describe("a user's own stream", () => {
  const schema = {
    type: 'object',
    additionalProperties: false,
    properties: {
      bounded: { type: 'number', minimum: -3, maximum: 2 },
      open: { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
      high: { type: 'number', minimum: 5_000 },
      low: { type: 'number', maximum: -5_000 },
      free: { type: 'number' },
      stepped: { type: 'number', minimum: 0, maximum: 9, multipleOf: 0.25 },
      count: { type: 'integer', minimum: 3, maximum: 5 },
      mode: { type: 'string', enum: ['eco', 'boost'] },
      label: { type: 'string', minLength: 12, maxLength: 14 },
      fixed: { type: 'string', const: 'v2', maxLength: 2 },
      on: { type: 'boolean' },
      code: { type: 'string', pattern: '^[A-Z]{3}$', maxLength: 3 },
    },
  };

  it('is made from its schema', async () => {
    const { Ajv } = await import('ajv');
    const validate = new Ajv({ strict: false }).compile(readingSchemaOf(schema));
    const fits = fc.property(fc.integer(), times, (seed, ts) =>
      validate({ ts, ...signalFor('own', seed, schema)(ts) }),
    );
    fc.assert(fits, { numRuns: 1_000 });
    expect(Object.keys(signalFor('own', 1, schema)(NOON))).not.toContain('code');
  });

  it('needs one', () => {
    expect(() => signalFor('own', 1)).toThrow(RangeError);
    expect(() => signalFor('constructor', 1)).toThrow(RangeError);
  });
});
