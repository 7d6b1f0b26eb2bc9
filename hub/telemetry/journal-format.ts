/**
 * The bytes of the journal: a segment is a header, a checkpoint and blocks; a block is one group commit; a record is one
 * frame. Numbers are little-endian, offsets and times are doubles (exact up to 2^53). Pure.
 *
 *     segment header  magic u32 · CRC of what follows u32 · version u32 · base offset f64 · created f64
 *                     · checkpoint bytes u32 · checkpoint CRC u32, then the checkpoint: JSON {device: [epoch, seq]}
 *     block header    magic u32 · CRC of what follows and the records u32 · bytes u32 · count u32 · base offset f64 · time f64
 *     record          bytes u32 · payload u8 · length of device u8, of epoch u16, of stream u16 (in UTF-16 units)
 *                     · seq f64 · received f64, then device, epoch, stream and payload as one UTF-8 text
 */
import { crc32 } from 'node:zlib';
import type { Held, Offset } from './journal.ts';
import type { Frame, Reading, Rejection } from './reading.ts';

// Both contain 0xFF, which no UTF-8 text does: what a device sends can never look like the beginning of a block.
const SEGMENT_MAGIC = 0xff534854;
const BLOCK_MAGIC = 0xff424854;
const VERSION = 1;

export const BLOCK_MAGIC_BYTES = Buffer.from([0x54, 0x48, 0x42, 0xff]);
export const SEGMENT_HEADER_BYTES = 36;
export const BLOCK_HEADER_BYTES = 32;
const RECORD_HEADER_BYTES = 26;

/** What the payload of a record is. */
const READINGS = 0;
/** The telemetry frame as the device sent it, of which `readings` counts. */
const AS_SENT = 1;
/** JSON of the hub's own: the readings, and what else there is to know of the frame. */
const WITH_MORE = 2;

const FIRST_BUFFER_BYTES = 64 * 1024;
/** A buffer that one burst made larger than this is given back. */
const KEEP_BUFFER_BYTES = 4 * 1024 * 1024;

export interface SegmentHeader {
  version: number;
  base: Offset;
  /** Unix milliseconds. */
  createdAt: number;
  checkpointBytes: number;
  checkpointCrc: number;
}

export interface BlockHeader {
  crc: number;
  /** Length of the whole block, header included. */
  bytes: number;
  count: number;
  base: Offset;
  /** Unix milliseconds. */
  committedAt: number;
}

/** The header and checkpoint with which a segment begins. */
export function encodeSegmentStart(base: Offset, createdAt: number, held: ReadonlyMap<string, Held>): Buffer {
  const devices = Array.from(held, ([device, { epoch, seq }]) => [device, [epoch, seq]] as const);
  const checkpoint = Buffer.from(JSON.stringify(Object.fromEntries(devices)));
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES + checkpoint.length);
  bytes.writeUInt32LE(SEGMENT_MAGIC, 0);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeDoubleLE(base, 12);
  bytes.writeDoubleLE(createdAt, 20);
  bytes.writeUInt32LE(checkpoint.length, 28);
  bytes.writeUInt32LE(crc32(checkpoint), 32);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, SEGMENT_HEADER_BYTES)), 4);
  checkpoint.copy(bytes, SEGMENT_HEADER_BYTES);
  return bytes;
}

/** Undefined when the bytes are no segment header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.readUInt32LE(0) !== SEGMENT_MAGIC) return undefined;
  if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8, SEGMENT_HEADER_BYTES))) return undefined;
  return {
    version: bytes.readUInt32LE(8),
    base: bytes.readDoubleLE(12),
    createdAt: bytes.readDoubleLE(20),
    checkpointBytes: bytes.readUInt32LE(28),
    checkpointCrc: bytes.readUInt32LE(32),
  };
}

export function isVersionKnown(header: SegmentHeader): boolean {
  return header.version === VERSION;
}

/** Undefined when the bytes do not fit the CRC in the header. */
export function decodeCheckpoint(bytes: Buffer, header: SegmentHeader): Map<string, Held> | undefined {
  if (bytes.length !== header.checkpointBytes || crc32(bytes) !== header.checkpointCrc) return undefined;
  const devices = JSON.parse(bytes.toString()) as Record<string, [epoch: string, seq: number]>;
  return new Map(Object.entries(devices).map(([device, [epoch, seq]]) => [device, { epoch, seq }]));
}

/** A block in the making: one growing buffer into which frames are encoded as they come, used again and again. */
export class BlockBuilder {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES);
  #view = new DataView(this.#buffer.buffer);
  /** Length of the block so far, header included. */
  bytes = BLOCK_HEADER_BYTES;
  count = 0;

  /**
   * False, adding nothing, when the block would get longer than `maxBytes`. `asSent`: the text of the device's frame,
   * when its `readings` are exactly those of `frame`; it saves encoding them.
   */
  add(frame: Frame, asSent: string | undefined, maxBytes: number): boolean {
    const { device, epoch, stream } = frame;
    const kind = hasMore(frame) ? WITH_MORE : asSent === undefined ? READINGS : AS_SENT;
    // One text and one write: for a typical record this costs half of writing the parts one by one.
    const text = device + epoch + stream + payloadOf(frame, asSent);
    const at = this.bytes;
    this.#reserve(at + RECORD_HEADER_BYTES + text.length * 3);
    const textBytes = this.#buffer.write(text, at + RECORD_HEADER_BYTES);
    const end = at + RECORD_HEADER_BYTES + textBytes;
    if (end > maxBytes) return false;
    const view = this.#view;
    view.setUint32(at, end - at, true);
    view.setUint8(at + 4, kind);
    view.setUint8(at + 5, device.length);
    view.setUint16(at + 6, epoch.length, true);
    view.setUint16(at + 8, stream.length, true);
    view.setFloat64(at + 10, frame.seq, true);
    view.setFloat64(at + 18, frame.receivedAt, true);
    this.bytes = end;
    this.count++;
    return true;
  }

  /** The finished block; valid until the next `reset`. */
  finish(base: Offset, committedAt: number): Buffer {
    const block = this.#buffer.subarray(0, this.bytes);
    block.writeUInt32LE(BLOCK_MAGIC, 0);
    block.writeUInt32LE(this.bytes, 8);
    block.writeUInt32LE(this.count, 12);
    block.writeDoubleLE(base, 16);
    block.writeDoubleLE(committedAt, 24);
    block.writeUInt32LE(crc32(block.subarray(8)), 4);
    return block;
  }

  reset(): void {
    this.bytes = BLOCK_HEADER_BYTES;
    this.count = 0;
    if (this.#buffer.length > KEEP_BUFFER_BYTES) this.#replace(Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES));
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.bytes);
    this.#replace(larger);
  }

  #replace(buffer: Buffer<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer);
  }
}

function payloadOf(frame: Frame, asSent: string | undefined): string {
  const { readings, rejected, skipped } = frame;
  return hasMore(frame) ? JSON.stringify({ readings, rejected, skipped }) : (asSent ?? JSON.stringify(readings));
}

const hasMore = ({ rejected, skipped }: Frame) => rejected !== undefined || skipped !== undefined;

/** Undefined when there is no header of a plausible block at `at`. */
export function decodeBlockHeader(bytes: Buffer, at: number): BlockHeader | undefined {
  if (at + BLOCK_HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== BLOCK_MAGIC) return undefined;
  const length = bytes.readUInt32LE(at + 8);
  if (length < BLOCK_HEADER_BYTES) return undefined;
  return {
    crc: bytes.readUInt32LE(at + 4),
    bytes: length,
    count: bytes.readUInt32LE(at + 12),
    base: bytes.readDoubleLE(at + 16),
    committedAt: bytes.readDoubleLE(at + 24),
  };
}

/** Whether a whole block is exactly what was written. */
export function isIntact(block: Buffer, header: BlockHeader): boolean {
  return block.length === header.bytes && crc32(block.subarray(8)) === header.crc;
}

/** Calls `visit` with the position of each record of an intact block, from the `skip`-th on, until it returns false. */
export function visitRecords(block: Buffer, skip: number, visit: (at: number) => boolean): void {
  let at = BLOCK_HEADER_BYTES;
  for (let index = 0; at < block.length; index++) {
    if (index >= skip && !visit(at)) return;
    at += block.readUInt32LE(at);
  }
}

export function decodeFrame(block: Buffer, at: number): Frame {
  const text = block.toString('utf8', at + RECORD_HEADER_BYTES, at + block.readUInt32LE(at));
  const { device, epoch, stream, length } = names(block, at, text);
  const payload = JSON.parse(text.slice(length)) as Reading[] | More;
  const seq = block.readDoubleLE(at + 10);
  const receivedAt = block.readDoubleLE(at + 18);
  if (Array.isArray(payload)) return { device, epoch, seq, stream, receivedAt, readings: payload };
  const { readings, rejected, skipped } = payload;
  const frame: Frame = { device, epoch, seq, stream, receivedAt, readings };
  // A frame as sent may have a field `rejected` of the device's own, which means nothing.
  if (block[at + 4] !== WITH_MORE) return frame;
  if (rejected) frame.rejected = rejected;
  if (skipped) frame.skipped = skipped;
  return frame;
}

interface More {
  readings: Reading[];
  rejected?: Rejection[];
  skipped?: number;
}

/** Moves on what is held of each device by the records of a block; their readings are not decoded. */
export function foldHeld(block: Buffer, held: Map<string, Held>): void {
  visitRecords(block, 0, (at) => {
    const seq = block.readDoubleLE(at + 10);
    if (seq > 0) {
      const start = at + RECORD_HEADER_BYTES;
      const longest = 3 * (block[at + 5]! + block.readUInt16LE(at + 6));
      const text = block.toString('utf8', start, Math.min(at + block.readUInt32LE(at), start + longest));
      const { device, epoch } = names(block, at, text);
      hold(held, device, epoch, seq);
    }
    return true;
  });
}

/** A frame with another epoch begins a new count; within an epoch the count only rises. */
export function hold(held: Map<string, Held>, device: string, epoch: string, seq: number): void {
  const known = held.get(device);
  if (known === undefined || known.epoch !== epoch) held.set(device, { epoch, seq });
  else if (seq > known.seq) known.seq = seq;
}

function names(block: Buffer, at: number, text: string) {
  const epochAt = block[at + 5]!;
  const streamAt = epochAt + block.readUInt16LE(at + 6);
  const length = streamAt + block.readUInt16LE(at + 8);
  return {
    device: text.slice(0, epochAt),
    epoch: text.slice(epochAt, streamAt),
    stream: text.slice(streamAt, length),
    length,
  };
}
