/** Plausible signals: what a sensor of a stream would measure at a given time. Pure: the same seed repeats a run. */

export type Fields = Record<string, number | string | boolean>;

/** The fields of a reading at `ts` (Unix ms). */
export type Signal = (ts: number) => Fields;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Counters (energy, cycles) began here. */
const INSTALLED = Date.UTC(2020, 0, 1);

/**
 * A signal of the shipped streams, or of any other by its JSON Schema (bounds, enum, type). Throws `RangeError` for a
 * stream that is neither.
 */
export function signalFor(stream: string, seed: number, schema?: StreamSchema): Signal {
  const shipped = SIGNALS[stream];
  if (shipped && Object.hasOwn(SIGNALS, stream)) return shipped(createNoise(seed));
  if (schema) return ofSchema(createNoise(seed), schema);
  throw new RangeError(`stream "${stream}" is not shipped, and without its schema nothing is known of it`);
}

const SIGNALS: Record<string, (noise: Noise) => Signal> = { environment, power, position, machine };

/** Weather, people and a room: they warm it, breathe into it, switch on its lights. */
function environment(noise: Noise): Signal {
  const occupied = (ts: number) => isWorkingHour(ts) && noise.step(ts, 25 * MINUTE, 1) < 0.6;
  const crowd = (ts: number) => [0, 4, 8, 12, 16].filter((minutes) => occupied(ts - minutes * MINUTE)).length / 5;
  return (ts) => {
    const warmth = daily(ts, 15);
    const people = crowd(ts);
    const daylight = Math.max(0, daily(ts, 13) + 0.2) * (250 + 150 * noise.drift(ts, 20 * MINUTE, 2));
    return {
      temperature: round(
        20.8 + 1.6 * warmth + 0.9 * people + 1.2 * noise.drift(ts, 4 * HOUR, 3) + noise.hiss(ts, 4) / 20,
      ),
      humidity: round(
        clamp(44 - 4 * warmth + 3 * people + 8 * noise.drift(ts, 7 * HOUR, 5) + noise.hiss(ts, 6), 5, 95),
      ),
      pressure: round(1013 + 14 * noise.drift(ts, 2 * DAY, 7) + noise.hiss(ts, 8) / 10),
      co2: round(430 + 620 * people + 25 * noise.drift(ts, HOUR, 9) + 4 * noise.hiss(ts, 10), 1),
      light: round(Math.max(0, daylight + (occupied(ts) ? 320 : 0) + 2 * noise.hiss(ts, 11)), 1),
      battery: round(discharge(ts, 60 * DAY, noise.base(12)) + noise.hiss(ts, 13) / 200, 3),
      occupied: occupied(ts),
    };
  };
}

/** A household: something always on, a refrigerator, a kettle now and then, evenings. */
function power(noise: Noise): Signal {
  const meanKilowatts = 0.25 + 0.3 * noise.base(1);
  return (ts) => {
    const fridge = noise.phase(ts, 40 * MINUTE, 2) < 0.4 ? 95 : 4;
    const kettle = noise.step(ts, 4 * MINUTE, 3) > 0.97 ? 1_900 : 0;
    const evening = 350 * Math.max(0, daily(ts, 20)) * (1 + noise.drift(ts, HOUR, 4) / 2);
    const watts = 60 + fridge + kettle + evening + 6 * noise.hiss(ts, 5);
    const voltage = 230 + 4 * noise.drift(ts, HOUR, 6) + noise.hiss(ts, 7) / 2;
    const powerFactor = kettle ? 0.99 : 0.93 + 0.04 * noise.drift(ts, 10 * MINUTE, 8);
    return {
      voltage: round(voltage, 1),
      current: round(watts / (voltage * powerFactor), 3),
      power: round(watts, 1),
      energy: round(meanKilowatts * sinceInstalled(ts, HOUR), 4),
      frequency: round(50 + 0.04 * noise.drift(ts, 5 * MINUTE, 9), 3),
      powerFactor: round(powerFactor, 3),
    };
  };
}

/** A vehicle on its round: an ellipse of some kilometres, driven at a nearly steady pace. */
function position(noise: Noise): Signal {
  const centre = { latitude: 47.3 + 2 * noise.base(1), longitude: 7.5 + 4 * noise.base(2) };
  const radiusM = 800 + 2_500 * noise.base(3);
  const metresPerDegree = 111_320;
  const metresPerDegreeEast = metresPerDegree * Math.cos((centre.latitude * Math.PI) / 180);
  const lapMs = (2 * Math.PI * radiusM * SECOND) / 11;
  return (ts) => {
    const angle = 2 * Math.PI * noise.phase(ts, lapMs, 4);
    const jitterM = noise.hiss(ts, 5);
    const heading = (450 - ((angle * 180) / Math.PI + 90)) % 360;
    return {
      latitude: round(centre.latitude + (radiusM * Math.sin(angle) + jitterM) / metresPerDegree, 6),
      longitude: round(centre.longitude + (radiusM * Math.cos(angle) + jitterM) / metresPerDegreeEast, 6),
      altitude: round(430 + 60 * Math.sin(angle) + 2 * noise.hiss(ts, 6), 1),
      speed: round(Math.max(0, 11 + 2 * noise.drift(ts, 30 * SECOND, 7)), 2),
      heading: round((heading + 360) % 360, 1),
      accuracy: round(4 + 3 * Math.abs(noise.drift(ts, MINUTE, 8)), 1),
    };
  };
}

/** A machine of a workshop: it runs in shifts, idles, stops, and fails now and then; its health follows its load. */
function machine(noise: Noise): Signal {
  const slot = 5 * MINUTE;
  const stateAt = (ts: number) => {
    if (!isWorkingHour(ts)) return 'stopped';
    const chance = noise.step(ts, slot, 1);
    if (chance < 0.02) return 'fault';
    if (chance < 0.08) return 'stopped';
    if (chance < 0.2) return 'idle';
    return 'running';
  };
  return (ts) => {
    const planned = stateAt(ts);
    const starting = planned === 'running' && stateAt(ts - 20 * SECOND) === 'stopped';
    const turning = planned === 'running' || planned === 'idle';
    const load = planned === 'running' ? 65 + 25 * noise.drift(ts, 3 * MINUTE, 2) : turning ? 4 : 0;
    const rpm = starting ? 600 : turning ? 1_480 - load / 2 + 3 * noise.hiss(ts, 3) : 0;
    return {
      state: starting ? 'starting' : planned,
      temperature: round(24 + load / 2 + (planned === 'fault' ? 45 : 0) + 3 * noise.drift(ts, HOUR, 4), 1),
      vibration: round(Math.max(0, 0.1 + rpm / 900 + load / 60 + noise.hiss(ts, 5) / 5), 2),
      rpm: round(rpm, 0),
      load: round(load, 1),
      cycles: Math.floor(sinceInstalled(ts, 9 * SECOND)),
    };
  };
}

/** What matters of a stream's JSON Schema; see schemas/stream.ts for what else it may say. */
export interface StreamSchema {
  properties?: Record<string, FieldSchema>;
  [keyword: string]: unknown;
}

interface FieldSchema {
  type?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
}

/** Each field wanders within its bounds. A text with a pattern cannot be guessed and is left out. */
function ofSchema(noise: Noise, schema: StreamSchema): Signal {
  const fields = Object.entries(schema.properties ?? {}).filter(([, field]) => field.pattern === undefined);
  if (fields.length === 0) throw new RangeError('the schema has no field that can be simulated');
  return (ts) =>
    Object.fromEntries(fields.map(([name, field], index) => [name, fieldValue(field, noise, ts, index + 1)]));
}

function fieldValue(field: FieldSchema, noise: Noise, ts: number, channel: number): number | string | boolean {
  const chance = noise.step(ts, 10 * SECOND, channel);
  if (field.const !== undefined) return field.const as Fields[string];
  if (field.enum) return field.enum[Math.floor(chance * field.enum.length)] as Fields[string];
  if (field.type === 'boolean') return chance < 0.5;
  if (field.type === 'string') return text(Math.floor(chance * 1e6), field);
  return numberWithin(field, (noise.drift(ts, 5 * MINUTE, channel) + 1) / 2);
}

function text(number: number, { minLength = 0, maxLength = 16 }: FieldSchema): string {
  return `sim-${number}`.padEnd(minLength, 'x').slice(0, maxLength);
}

/** `part` from 0 to 1 of the way between the bounds; without bounds between 0 and 100. */
function numberWithin(field: FieldSchema, part: number): number {
  const whole = field.type === 'integer';
  const grain = field.multipleOf ?? (whole ? 1 : 0.001);
  const low = field.minimum ?? field.exclusiveMinimum ?? Math.min(0, (field.maximum ?? 0) - 100);
  const high = field.maximum ?? field.exclusiveMaximum ?? Math.max(100, low + 100);
  const first = Math.ceil(low / grain) + (low === field.exclusiveMinimum ? 1 : 0);
  const last = Math.floor(high / grain) - (high === field.exclusiveMaximum ? 1 : 0);
  if (first > last) return low + (high - low) / 2;
  const steps = first + Math.round(part * (last - first));
  // 3 · 0.001 is 0.003 only to fifteen digits, and multipleOf would refuse the sixteenth.
  return Number((steps * grain).toPrecision(15));
}

// --- the shapes signals are made of ---------------------------------------------------------------------------------

interface Noise {
  /** A constant of the device, 0 … 1. */
  base(channel: number): number;
  /** Another value each `periodMs`, 0 … 1. */
  step(ts: number, periodMs: number, channel: number): number;
  /** A smooth wandering, −1 … 1, with a new direction about each `periodMs`. */
  drift(ts: number, periodMs: number, channel: number): number;
  /** Uncorrelated from one millisecond to the next, −1 … 1. */
  hiss(ts: number, channel: number): number;
  /** A saw tooth, 0 … 1, that begins anywhere. */
  phase(ts: number, periodMs: number, channel: number): number;
}

function createNoise(seed: number): Noise {
  const at = (n: number, channel: number) => hash(hash(seed, channel), n);
  const unit = (n: number, channel: number) => at(n, channel) / 2 ** 32;
  return {
    base: (channel) => unit(0, channel),
    step: (ts, periodMs, channel) => unit(Math.floor(ts / periodMs), channel),
    hiss: (ts, channel) => 2 * unit(Math.floor(ts), channel) - 1,
    phase: (ts, periodMs, channel) => fraction(ts / periodMs + unit(0, channel)),
    drift(ts, periodMs, channel) {
      const n = Math.floor(ts / periodMs);
      const part = (1 - Math.cos(Math.PI * fraction(ts / periodMs))) / 2;
      return 2 * (unit(n, channel) * (1 - part) + unit(n + 1, channel) * part) - 1;
    },
  };
}

/** Mixes two numbers into 32 well-spread bits (the finaliser of MurmurHash3). */
export function hash(seed: number, n: number): number {
  let bits = Math.imul(seed ^ Math.imul(n | 0, 0x9e3779b1) ^ Math.floor(n / 2 ** 32), 0x85ebca6b) ^ (n >>> 13);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** A day's wave, −1 … 1, highest at `peakHour` UTC. */
const daily = (ts: number, peakHour: number) => Math.cos((2 * Math.PI * (ts - peakHour * HOUR)) / DAY);
const isWorkingHour = (ts: number) => (ts % DAY) / HOUR >= 6 && (ts % DAY) / HOUR < 20;
/** A cell from 4.18 V down to 3.35 V, then replaced. */
const discharge = (ts: number, lifeMs: number, offset: number) => 4.18 - 0.83 * fraction(ts / lifeMs + offset);
const sinceInstalled = (ts: number, unitMs: number) => Math.max(0, ts - INSTALLED) / unitMs;
const fraction = (x: number) => x - Math.floor(x);
const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x));
const round = (x: number, digits = 2) => Number(x.toFixed(digits));
