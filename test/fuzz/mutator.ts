/** Makes frames, most of them spoilt: by value, by key, by number, by nesting, or by their very text. Seeded. */
import { HOSTILE_JSON, HOSTILE_STRINGS } from './hostile.ts';

/** One message for the hub. */
export interface FuzzFrame {
  data: Buffer;
  isBinary: boolean;
  /** It is exactly what a good device would send: a hub that refuses it is wrong. */
  isGood: boolean;
}

export interface Mutator {
  /** `seq`: the number that a good device would use now. `now`: Unix milliseconds. */
  next(seq: number, now: number): FuzzFrame;
}

type Json = Record<string, unknown>;

/** Of a thousand frames so many end the connection (they are too long, no text, or perhaps no UTF-8), so many are good. */
const OVERSIZE = 0.1;
const BINARY = 0.1;
const SPOILT = 0.5;
const GOOD = 300;
const FRAME_BYTES = 131_072;

export function createMutator(random: () => number): Mutator {
  const below = (count: number) => Math.floor(random() * count);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;
  /** Readings of a good device never share a time, over all streams. */
  let lastTs = 0;

  function good(seq: number, now: number): Json {
    lastTs = Math.max(lastTs + 1, now - 1_000);
    const readings = Array.from({ length: 1 + below(3) }, (_, at) => ({ ts: lastTs + at / 8, ...fieldsOf(random) }));
    return { type: 'telemetry', seq, stream: 'environment', readings };
  }

  function template(seq: number, now: number): Json {
    const id = `${below(1e9)}`;
    switch (below(10)) {
      case 0:
        return { type: 'hello', epoch: `e${below(1e9)}`, ack: pick(['journaled', 'stored']), sdk: 'fuzz' };
      case 1:
        return { type: 'progress', id, state: 'running', progress: random() };
      case 2:
        return { type: 'result', id, ok: false, error: { code: 'busy', message: pick(HOSTILE_STRINGS) } };
      case 3:
        return { type: 'telemetry', stream: 'power', readings: [{ age: below(5_000), power: 412.5 }, { energy: 1 }] };
      case 4:
        return { type: 'telemetry', seq, stream: 'machine', readings: [{ state: 'running', cycles: below(9) }] };
      default:
        return good(seq, now);
    }
  }

  const anything = (): unknown => (random() < 0.5 ? pick(HOSTILE_STRINGS) : parsed(pick(HOSTILE_JSON)));

  /** All objects and arrays in a frame. */
  const holders = (value: unknown): Json[] =>
    typeof value === 'object' && value !== null ? [value as Json, ...Object.values(value).flatMap(holders)] : [];

  const onFrame: ((frame: Json) => void)[] = [
    (frame) => {
      const holder = pick(holders(frame));
      const keys = Object.keys(holder);
      if (keys.length > 0) set(holder, pick(keys), anything());
    },
    (frame) => set(pick(holders(frame)), pick(HOSTILE_STRINGS), anything()),
    (frame) => {
      const holder = pick(holders(frame));
      delete holder[pick(Object.keys(holder))];
    },
    (frame) => set(frame, 'seq', pick([0, -1, 1, 1.5, '1', null, 2 ** 53, 1e300, numberOf(frame.seq) - 1 - below(9)])),
    (frame) => set(frame, 'seq', numberOf(frame.seq) + below(random() < 0.01 ? 2 ** 50 : 9)),
    (frame) => set(frame, 'stream', pick(HOSTILE_STRINGS)),
    (frame) => set(frame, 'type', pick(['ack', 'welcome', 'telemetry', 'hello', 'result', ...HOSTILE_STRINGS])),
    (frame) => {
      if (!Array.isArray(frame.readings)) return;
      const copies = random() < 0.003 ? 1_001 + below(500) : below(6);
      frame.readings = Array.from({ length: copies }, (_, at) => (frame.readings as unknown[])[at % 2]);
    },
    (frame) => {
      const holder = pick(holders(frame));
      const keys = Object.keys(holder);
      if (keys.length > 0) set(holder, pick(keys), nested(below(12)));
    },
  ];

  const onText: ((text: string) => string)[] = [
    (text) => cut(text, below(text.length), 1 + below(8), ''),
    (text) => cut(text, below(text.length), 0, pick(HOSTILE_JSON)),
    (text) => cut(text, below(text.length), 1, String.fromCharCode(below(128))),
    (text) => cut(text, below(text.length), 0, String.fromCharCode(below(0x1_00_00))),
    (text) => text.slice(0, below(text.length)),
    (text) => text.slice(below(text.length)),
    (text) => {
      const from = below(text.length);
      return cut(text, from, 0, text.slice(from, from + below(40)));
    },
    (text) => text.replaceAll(pick(['"', ':', ',', '{', '[']), pick(['"', "'", ':', '', '{', '[', '\n', '\\'])),
    (text) => `${pick(['\ufeff', ' ', '\u0000', '[', '{"a":'])}${text}`,
    (text) => text + pick([text, '}', ' ', '\u0000', ',', '\n{"type":"hello"}']),
    (text) => text.replace(/:(-?[\d.]+|"[^"]*"|true|false|null)/, () => `:${pick(HOSTILE_JSON)}`),
    (text) => {
      const depth = below(random() < 0.02 ? 60_000 : 12);
      return cut(text, below(text.length), 0, '['.repeat(depth) + (random() < 0.5 ? ']'.repeat(depth) : ''));
    },
    (text) => text.replace('{', `{${JSON.stringify(pick(HOSTILE_STRINGS))}:${pick(HOSTILE_JSON)},`),
  ];

  function spoilt(text: string, lot: number): FuzzFrame {
    const data = Buffer.from(lot < OVERSIZE ? text + ' '.repeat(FRAME_BYTES) : `${text} `);
    if (lot > OVERSIZE + BINARY) data[below(data.length)] = 0x80 + below(0x80);
    return { data, isBinary: lot >= OVERSIZE && lot < OVERSIZE + BINARY, isGood: false };
  }

  function mutated(frame: Json): string {
    const isText = random() < 0.4;
    if (!isText || random() < 0.2) for (let times = 1 + below(3); times > 0; times--) pick(onFrame)(frame);
    let text = JSON.stringify(frame);
    if (isText) for (let times = 1 + below(3); times > 0; times--) text = pick(onText)(text);
    return text;
  }

  return {
    next(seq, now) {
      const lot = random() * 1_000;
      if (lot < SPOILT) return spoilt(JSON.stringify(good(seq, now)), lot);
      const isGood = lot < GOOD;
      const text = isGood ? JSON.stringify(good(seq, now)) : mutated(template(seq, now));
      return { data: Buffer.from(text), isBinary: false, isGood };
    },
  };
}

function fieldsOf(random: () => number): Json {
  return {
    temperature: Math.round(random() * 500) / 10,
    light: Math.floor(random() * 200_000),
    occupied: random() < 0.5,
  };
}

/** What a text is as JSON, or the text itself. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const numberOf = (value: unknown) => (typeof value === 'number' ? value : 0);

/** As an own property, whatever its name. */
function set(holder: Json, key: string, value: unknown): void {
  if (Array.isArray(holder)) holder.push(value);
  else Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

const cut = (text: string, at: number, count: number, by: string) => text.slice(0, at) + by + text.slice(at + count);
