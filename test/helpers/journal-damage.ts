/** Damage as disks and people do it: flipped bits, zeros, missing ends; and which frames it hits. */
import type { Offset } from '../../hub/telemetry/journal.ts';
import { BLOCK_MAGIC_BYTES, decodeBlockHeader, isIntact } from '../../hub/telemetry/journal-format.ts';
import type { CrashDisk } from './crash-fs.ts';

export function segmentFiles(disk: CrashDisk): string[] {
  return disk.paths().filter((path) => path.endsWith('.journal'));
}

/** Changes bytes somewhere; those at `from` ≤ position < `to` are not as they were. */
export function spoil(bytes: Buffer, random: () => number): { from: number; to: number; spoiled: Buffer } {
  const from = Math.floor(random() * bytes.length);
  const spoiled = Buffer.from(bytes);
  const kind = random();
  if (kind < 0.6) {
    spoiled[from]! ^= 1 << Math.floor(random() * 8);
    return { from, to: from + 1, spoiled };
  }
  if (kind < 0.85) {
    const to = Math.min(bytes.length, from + Math.ceil(random() * 600));
    return { from, to, spoiled: spoiled.fill(0, from, to) };
  }
  return { from, to: bytes.length, spoiled: spoiled.subarray(0, from) };
}

/** Offsets of the frames in the intact blocks that these bytes of a segment belong to. */
export function hitBy(segment: Buffer, from: number, to: number): Offset[] {
  return blocksOf(segment)
    .filter(({ at, end }) => at < to && end > from)
    .flatMap(({ base, count }) => Array.from({ length: count }, (_, index) => base + index));
}

/** Every intact block of a segment. */
export function blocksOf(segment: Buffer): { at: number; end: number; base: Offset; count: number }[] {
  const blocks = [];
  for (let at = segment.indexOf(BLOCK_MAGIC_BYTES); at >= 0; at = segment.indexOf(BLOCK_MAGIC_BYTES, at + 1)) {
    const header = decodeBlockHeader(segment, at);
    if (!header || !isIntact(segment.subarray(at, at + header.bytes), header)) continue;
    blocks.push({ at, end: at + header.bytes, base: header.base, count: header.count });
  }
  return blocks;
}
