/** How far each sink has read the journal, remembered in one small file that is replaced whole. */
import { crc32 } from 'node:zlib';
import { type Files, placeFile, readFile } from './files.ts';
import type { Offset } from './journal.ts';

const FILE = 'cursors.json';

export interface Cursors {
  get(sink: string): Offset | undefined;
  set(sink: string, to: Offset): void;
  entries(): IterableIterator<[string, Offset]>;
  /** The highest of them, on the disk or not; 0 without any. */
  highest(): Offset;
  /** Up to where all of these sinks have read; 0 when one is unknown or none is named. */
  minimum(sinks: Iterable<string>): Offset;
  /** The same as the disk knows it. */
  durableMinimum(sinks: Iterable<string>): Offset;
  /** Resolves when all are on the disk. One write at a time; does nothing when nothing moved. */
  save(): Promise<void>;
}

/** `isDamaged`: the file could not be believed, so every sink begins at the first offset again. */
export async function loadCursors(files: Files, folder: string): Promise<{ cursors: Cursors; isDamaged: boolean }> {
  const bytes = await readFile(files, `${folder}/${FILE}`);
  const found = bytes && parse(bytes.toString());
  return {
    cursors: createCursors(files, folder, new Map(Object.entries(found ?? {}))),
    isDamaged: bytes !== undefined && !found,
  };
}

function createCursors(files: Files, folder: string, current: Map<string, Offset>): Cursors {
  let durable = new Map(current);
  let isDirty = false;
  let saving = Promise.resolve();

  async function write() {
    if (!isDirty) return;
    const snapshot = new Map(current);
    isDirty = false;
    try {
      const file = await placeFile(files, folder, FILE, Buffer.from(format(snapshot)));
      durable = snapshot;
      await file.close();
    } catch (error) {
      isDirty = true;
      throw error;
    }
  }

  return {
    get: (sink) => current.get(sink),
    set(sink, to) {
      current.set(sink, to);
      isDirty = true;
    },
    entries: () => current.entries(),
    highest: () => Math.max(0, ...current.values()),
    minimum: (sinks) => minimum(current, sinks),
    durableMinimum: (sinks) => minimum(durable, sinks),
    save() {
      saving = saving.catch(() => {}).then(write);
      return saving;
    },
  };
}

function minimum(offsets: Map<string, Offset>, sinks: Iterable<string>): Offset {
  const found = Array.from(sinks, (sink) => offsets.get(sink) ?? 0);
  return found.length === 0 ? 0 : Math.min(...found);
}

function format(cursors: Map<string, Offset>): string {
  const text = JSON.stringify(Object.fromEntries(cursors));
  return `{"crc":${crc32(text)},"cursors":${text}}\n`;
}

/** A flipped digit would skip readings, so a file that does not fit its CRC is not believed. */
function parse(text: string): Record<string, Offset> | undefined {
  try {
    const { crc, cursors } = JSON.parse(text) as { crc: number; cursors: Record<string, Offset> };
    return crc === crc32(JSON.stringify(cursors)) ? cursors : undefined;
  } catch {
    return undefined;
  }
}
