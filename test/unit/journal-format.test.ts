import { describe, expect, it } from 'vitest';
import type { Held } from '../../hub/telemetry/journal.ts';
import {
  BLOCK_MAGIC_BYTES,
  BlockBuilder,
  decodeBlockHeader,
  decodeCheckpoint,
  decodeFrame,
  decodeSegmentHeader,
  encodeSegmentStart,
  foldHeld,
  isIntact,
  SEGMENT_HEADER_BYTES,
  visitRecords,
} from '../../hub/telemetry/journal-format.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { T0 } from '../helpers/frames.ts';
import { frame } from '../helpers/journals.ts';

function blockOf(...frames: [frame: Frame, asSent?: string][]): Buffer {
  const builder = new BlockBuilder();
  for (const [each, asSent] of frames) builder.add(each, asSent, Infinity);
  return Buffer.from(builder.finish(10, T0));
}

function framesOf(block: Buffer, skip = 0): Frame[] {
  const frames: Frame[] = [];
  visitRecords(block, skip, (at) => frames.push(decodeFrame(block, at)) > 0);
  return frames;
}

const readings = [
  { ts: T0 + 0.123, temperature: -21.4, occupied: true, note: 'ähm "x"\n\u0000 🌡 \ud800' },
  { ts: T0, temperature: 1e-7, co2: Number.MAX_SAFE_INTEGER },
];

describe('a block', () => {
  it('gives back each frame as it was', () => {
    const rejected = [
      { index: 1, path: '/co2', code: 'maximum', message: 'must be <= 5', reading: { co2: [null, {}] } },
    ];
    const frames = [
      frame('sensor-1', 41, { readings, epoch: 'k:1.a-_', receivedAt: T0 + 0.5 }),
      frame('sensör-2', 0, { readings: [], rejected }),
      frame('after-a-gap', 7, { readings, skipped: 3 }),
      frame('after-a-gap', 9, { readings: [], rejected, skipped: 1 }),
      frame('d', Number.MAX_SAFE_INTEGER, { readings: readings.slice(1), stream: '温度' }),
    ];
    expect(framesOf(blockOf(...frames.map((each) => [each] as [Frame])))).toEqual(frames);
  });

  it('gives back the readings of a frame that was kept as the device sent it', () => {
    const sent = JSON.stringify({ type: 'telemetry', rejected: ['the device says so'], seq: 41, readings, note: '€' });
    const original = frame('sensor-1', 41, { readings });
    expect(framesOf(blockOf([original, sent]))).toEqual([original]);
  });

  it('keeps what was refused even when the frame as sent is offered', () => {
    const original = frame('a', 1, { rejected: [{ path: '', code: 'clock', message: 'late', reading: 1 }] });
    expect(framesOf(blockOf([original, '{"readings":[]}']))).toEqual([original]);
  });

  it('can be read from any frame on', () => {
    const block = blockOf([frame('a', 1)], [frame('a', 2)], [frame('a', 3)]);
    expect(framesOf(block, 2).map(({ seq }) => seq)).toEqual([3]);
  });

  it('says where it belongs', () => {
    const block = blockOf([frame('a', 1)], [frame('a', 2)]);
    const header = decodeBlockHeader(block, 0);
    expect(header).toMatchObject({ base: 10, count: 2, committedAt: T0, bytes: block.length });
    expect(isIntact(block, header!)).toBe(true);
  });

  it('is not intact when any one of its bits is another', () => {
    const block = blockOf([frame('a', 1)]);
    for (let bit = 0; bit < block.length * 8; bit++) {
      const damaged = Buffer.from(block);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const header = decodeBlockHeader(damaged, 0);
      expect(header !== undefined && isIntact(damaged, header), `bit ${bit}`).toBe(false);
    }
  });

  it('grows with what it is given and can be used again', () => {
    const builder = new BlockBuilder();
    for (const size of [10, 300_000, 9_000_000, 10]) {
      const large = frame('a', size, { readings: [{ ts: T0, text: '€'.repeat(size) }] });
      builder.add(frame('before', 1), undefined, Infinity);
      builder.add(large, undefined, Infinity);
      expect(framesOf(builder.finish(0, T0))).toEqual([frame('before', 1), large]);
      builder.reset();
    }
  });

  it('takes no frame that would make it longer than it may be', () => {
    const builder = new BlockBuilder();
    builder.add(frame('a', 1), undefined, Infinity);
    const { bytes } = builder;
    expect(builder.add(frame('a', 2), undefined, 2 * bytes - 40)).toBe(false);
    expect(builder.bytes).toBe(bytes);
    expect(builder.add(frame('a', 3), undefined, 2 * bytes)).toBe(true);
    expect(framesOf(builder.finish(0, T0)).map(({ seq }) => seq)).toEqual([1, 3]);
  });

  it('cannot be imitated by what a device sends: no text contains its first bytes', () => {
    expect(Buffer.from(BLOCK_MAGIC_BYTES.toString('utf8'))).not.toEqual(BLOCK_MAGIC_BYTES);
    expect(BLOCK_MAGIC_BYTES.equals(blockOf([frame('a', 1)]).subarray(0, 4))).toBe(true);
  });
});

describe('what is held', () => {
  it('follows the numbers of the latest epoch, and passes over frames without a number', () => {
    const held = new Map<string, Held>([['old', { epoch: 'e0', seq: 7 }]]);
    foldHeld(blockOf([frame('ä', 4)], [frame('ä', 5)], [frame('ä', 0, { epoch: 'e9' })], [frame('b', 1)]), held);
    foldHeld(blockOf([frame('b', 9, { epoch: 'e2' })], [frame('old', 3, { epoch: 'e0' })]), held);
    expect(Object.fromEntries(held)).toEqual({
      ä: { epoch: 'e1', seq: 5 },
      b: { epoch: 'e2', seq: 9 },
      old: { epoch: 'e0', seq: 7 },
    });
  });
});

describe('the start of a segment', () => {
  const held = new Map([
    ['a', { epoch: 'e1', seq: 41 }],
    ['__proto__', { epoch: 'é', seq: 2 }],
  ]);
  const start = encodeSegmentStart(2 ** 52, T0, held);

  it('gives back its offset, its time and what was held', () => {
    const header = decodeSegmentHeader(start)!;
    expect(header).toMatchObject({ version: 1, base: 2 ** 52, createdAt: T0 });
    expect(decodeCheckpoint(start.subarray(SEGMENT_HEADER_BYTES), header)).toEqual(held);
  });

  it('is not believed when any one of its bits is another', () => {
    for (let bit = 0; bit < start.length * 8; bit++) {
      const damaged = Buffer.from(start);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const header = decodeSegmentHeader(damaged);
      const checkpoint = header && decodeCheckpoint(damaged.subarray(SEGMENT_HEADER_BYTES), header);
      expect(checkpoint, `bit ${bit}`).toBeUndefined();
    }
  });

  it('is not seen in too few bytes', () => {
    expect(decodeSegmentHeader(start.subarray(0, 20))).toBeUndefined();
    expect(decodeSegmentHeader(Buffer.alloc(0))).toBeUndefined();
  });
});
