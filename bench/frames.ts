/** The telemetry frames that the benches send: as text, and masked for the wire with only `seq` and `ts` left to write. */

/** Frame numbers have this width on the wire, filled with spaces, so that every frame of a template has one length. */
const SEQ_DIGITS = 6;
const TS_DIGITS = 13;
const SEQ_MARK = '"seq":';
const TS_MARK = '"ts":';
const ZERO = 0x30;
const SPACE = 0x20;
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** The highest number that a frame can carry. */
export const MAX_SEQ = 10 ** SEQ_DIGITS - 1;

/** A frame of the stream `environment`, five fields to a reading; reading `i` has the time `ts + i`. */
export function frameText(seq: number, ts: number, readings: number): string {
  const items = Array.from({ length: readings }, (_, index) => readingText(seq * 7 + index, ts + index));
  const number = String(seq).padStart(SEQ_DIGITS);
  return `{"type":"telemetry",${SEQ_MARK}${number},"stream":"environment","readings":[${items.join(',')}]}`;
}

/** Values that differ from reading to reading, with as many digits as a sensor has; always of one length. */
function readingText(step: number, ts: number): string {
  const wave = (amplitude: number, period: number) => amplitude * Math.sin((step * 2 * Math.PI) / period);
  const values = {
    temperature: (21 + wave(4, 97)).toFixed(2),
    humidity: (48 + wave(9, 61)).toFixed(2),
    pressure: (1013 + wave(8, 211)).toFixed(2),
    co2: (620 + wave(90, 41)).toFixed(1),
    battery: (3.7 + wave(0.2, 307)).toFixed(3),
  };
  const fields = Object.entries(values).map(([name, value]) => `"${name}":${value}`);
  return `{${TS_MARK}${ts},${fields.join(',')}}`;
}

/** One masked client frame. The key is not zero, for `ws` would skip the unmasking that every real device costs it. */
export class FrameTemplate {
  /** Length on the wire, header and mask included. */
  readonly bytes: number;
  readonly #wire: Buffer;
  readonly #maskAt: number;
  readonly #seqAt: number;
  readonly #tsAt: number[];

  constructor(variant: number, readings: number) {
    const text = frameText(variant, 10 ** (TS_DIGITS - 1), readings);
    const header = headerOf(text.length);
    const payload = Buffer.from(text).map((byte, index) => byte ^ MASK[index & 3]!);
    this.#wire = Buffer.concat([header, MASK, payload]);
    this.bytes = this.#wire.length;
    this.#maskAt = header.length + MASK.length;
    this.#seqAt = text.indexOf(SEQ_MARK) + SEQ_MARK.length;
    this.#tsAt = [...text.matchAll(new RegExp(TS_MARK, 'g'))].map(({ index }) => index + TS_MARK.length);
  }

  /** Fills `target`, a buffer of `bytes`, with the frame of this number and time. */
  write(target: Buffer, seq: number, ts: number): void {
    target.set(this.#wire);
    const payloadAt = this.#maskAt;
    writeDigits(target, payloadAt, this.#seqAt, SEQ_DIGITS, seq, SPACE);
    for (let index = 0; index < this.#tsAt.length; index++) {
      const time = ts + index;
      const high = Math.floor(time / 1e6);
      const digitsAt = this.#tsAt[index]!;
      // Two halves, so that both are small integers and the division is cheap.
      writeDigits(target, payloadAt, digitsAt, TS_DIGITS - 6, high, ZERO);
      writeDigits(target, payloadAt, digitsAt + TS_DIGITS - 6, 6, time - high * 1e6, ZERO);
    }
  }
}

function headerOf(length: number): Buffer {
  if (length > 65_535) throw new RangeError('a frame of the bench is shorter than 64 kB');
  if (length < 126) return Buffer.from([0x81, 0x80 | length]);
  return Buffer.from([0x81, 0x80 | 126, length >> 8, length & 255]);
}

/** Writes a number right-aligned and masked; `at` counts from the beginning of the payload, as the mask does. */
function writeDigits(target: Buffer, payloadAt: number, at: number, width: number, value: number, fill: number): void {
  let rest = value;
  for (let place = at + width - 1; place >= at; place--) {
    const byte = rest > 0 || place === at + width - 1 ? ZERO + (rest % 10) : fill;
    target[payloadAt + place] = byte ^ MASK[place & 3]!;
    rest = (rest / 10) | 0;
  }
}
