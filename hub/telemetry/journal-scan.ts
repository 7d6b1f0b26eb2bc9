/** Walks the blocks of a segment file in bounded memory, and past what is damaged to the next block that is intact. */
import { type OpenFile, readFully } from './files.ts';
import type { Held } from './journal.ts';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC_BYTES,
  type BlockHeader,
  decodeBlockHeader,
  decodeCheckpoint,
  decodeSegmentHeader,
  isIntact,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './journal-format.ts';

const CHUNK_BYTES = 256 * 1024;

export interface Block {
  /** Where it begins in the file. */
  at: number;
  header: BlockHeader;
  /** Valid until the next block is asked for. */
  bytes: Buffer;
}

/** Told about bytes `from` ≤ position < `to` that belong to no intact block. */
export type OnDamage = (from: number, to: number) => Promise<void>;

/** The intact blocks between two positions of a file, in order. */
export async function* scanBlocks(
  file: OpenFile,
  from: number,
  end: number,
  onDamage: OnDamage,
): AsyncGenerator<Block> {
  const window = new Window(file, end);
  let lostFrom: number | undefined;
  for (let at = from; at < end; ) {
    const block = await blockAt(window, at);
    if (block) {
      if (lostFrom !== undefined) await onDamage(lostFrom, at);
      lostFrom = undefined;
      yield block;
      at += block.header.bytes;
    } else {
      lostFrom ??= at;
      at = await nextMagic(window, at + 1);
    }
  }
  if (lostFrom !== undefined) await onDamage(lostFrom, end);
}

/** Undefined when the file does not begin with an intact header. */
export async function readSegmentHeader(file: OpenFile): Promise<SegmentHeader | undefined> {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  return decodeSegmentHeader(bytes.subarray(0, await readFully(file, bytes, 0)));
}

/** Undefined when the checkpoint is damaged. `size`: of the file, so that nothing absurd is allocated. */
export async function readCheckpoint(file: OpenFile, header: SegmentHeader, size: number) {
  if (SEGMENT_HEADER_BYTES + header.checkpointBytes > size) return undefined;
  const bytes = Buffer.allocUnsafe(header.checkpointBytes);
  const length = await readFully(file, bytes, SEGMENT_HEADER_BYTES);
  return decodeCheckpoint(bytes.subarray(0, length), header) satisfies Map<string, Held> | undefined;
}

async function blockAt(window: Window, at: number): Promise<Block | undefined> {
  const header = decodeBlockHeader(await window.get(at, BLOCK_HEADER_BYTES), 0);
  if (!header || at + header.bytes > window.end) return undefined;
  const bytes = await window.get(at, header.bytes);
  return isIntact(bytes, header) ? { at, header, bytes } : undefined;
}

/** Position of the next bytes that may begin a block; the end of the window's file when there are none. */
async function nextMagic(window: Window, from: number): Promise<number> {
  for (let at = from; at < window.end; ) {
    const bytes = await window.get(at, Math.min(CHUNK_BYTES, window.end - at));
    const found = bytes.indexOf(BLOCK_MAGIC_BYTES);
    if (found >= 0) return at + found;
    at += Math.max(1, bytes.length - (BLOCK_MAGIC_BYTES.length - 1));
  }
  return window.end;
}

/** A view of a file through one buffer, which grows to the largest block only. */
class Window {
  readonly end: number;
  readonly #file: OpenFile;
  #buffer = Buffer.alloc(0);
  #start = 0;
  #length = 0;

  constructor(file: OpenFile, end: number) {
    this.#file = file;
    this.end = end;
  }

  /** The bytes from `at` on: `wanted` of them, or what is left of the file. Valid until the next call. */
  async get(at: number, wanted: number): Promise<Buffer> {
    if (at < this.#start || at + wanted > this.#start + this.#length) await this.#load(at, wanted);
    const offset = at - this.#start;
    return this.#buffer.subarray(offset, Math.min(offset + wanted, this.#length));
  }

  async #load(at: number, wanted: number): Promise<void> {
    const length = Math.min(Math.max(wanted, CHUNK_BYTES), Math.max(0, this.end - at));
    if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(length);
    this.#length = await readFully(this.#file, this.#buffer.subarray(0, length), at);
    this.#start = at;
  }
}
