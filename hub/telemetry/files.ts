/** Port: the file system as the journal needs it, handed in so that a test can crash it, and what is built on it. */

export interface OpenFile {
  /** Writes at a position; resolves to how many bytes were taken, which may be fewer than asked. */
  write(bytes: Uint8Array, at: number): Promise<number>;
  /** Fills `into` from a position; resolves to how many bytes there were, 0 at the end of the file. */
  read(into: Uint8Array, at: number): Promise<number>;
  /** Resolves when everything written is on the disk (fdatasync). */
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** `read` and `update` need an existing file, `create` empties one, `exclusive` fails with EEXIST when there is one. */
export type OpenMode = 'read' | 'update' | 'create' | 'exclusive';

/** Every function rejects with an Error that has a `code` such as ENOENT, ENOSPC or EIO. */
export interface Files {
  /** Makes a folder and those above it. */
  makeDirectory(path: string): Promise<void>;
  list(path: string): Promise<string[]>;
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Resolves when names made, changed and removed in this folder are on the disk. */
  syncDirectory(path: string): Promise<void>;
  /** Room on the disk of a folder: what this user may still write. */
  space(path: string): Promise<{ freeBytes: number }>;
  /** The process that asks. */
  readonly pid: number;
  /** When a process began, as a word that no later process with the same pid shares; undefined: there is none. */
  startOf(pid: number): Promise<string | undefined>;
}

export const TEMPORARY = '.tmp';

export function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** The disk, or the share of it that this user may have. */
export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(errorCode(error) ?? '');
}

/** Writes all the bytes, however little a single call takes. */
export async function writeFully(file: OpenFile, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const taken = await file.write(done === 0 ? bytes : bytes.subarray(done), at + done);
    if (taken === 0) throw Object.assign(new Error('the file system took no bytes'), { code: 'ENOSPC' });
    done += taken;
  }
}

/** A block of the disk: what is given up when it cannot be read. */
const PAGE_BYTES = 4096;

/** Reads until `into` is full or the file ends. A page that the disk cannot read (EIO) is filled with zeros. */
export async function readFully(file: OpenFile, into: Uint8Array, at: number): Promise<number> {
  let done = 0;
  let step = into.length;
  while (done < into.length) {
    const part = into.subarray(done, done + step);
    try {
      const got = await file.read(part, at + done);
      if (got === 0) break;
      done += got;
    } catch (error) {
      if (errorCode(error) !== 'EIO') throw error;
      if (part.length <= PAGE_BYTES) {
        part.fill(0);
        done += part.length;
      }
      step = PAGE_BYTES;
    }
  }
  return done;
}

/** Opens a file for reading; undefined when there is none. */
export async function openIfThere(files: Files, path: string): Promise<OpenFile | undefined> {
  try {
    return await files.open(path, 'read');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The whole of a small file, or undefined when there is none. */
export async function readFile(files: Files, path: string): Promise<Buffer | undefined> {
  const file = await openIfThere(files, path);
  if (!file) return undefined;
  try {
    const bytes = Buffer.alloc(await file.size());
    return bytes.subarray(0, await readFully(file, bytes, 0));
  } finally {
    await file.close();
  }
}

/**
 * Puts a file in its place, whole or not at all: temporary file, fdatasync, rename, sync of the folder. Resolves to
 * the file, still open for writing, when all of that is on the disk.
 */
export async function placeFile(files: Files, folder: string, name: string, bytes: Uint8Array): Promise<OpenFile> {
  const path = `${folder}/${name}`;
  const file = await files.open(path + TEMPORARY, 'create');
  try {
    await writeFully(file, bytes, 0);
    await file.datasync();
    await files.rename(path + TEMPORARY, path);
    await files.syncDirectory(folder);
    return file;
  } catch (error) {
    await file.close().catch(() => {});
    await files.unlink(path + TEMPORARY).catch(() => {});
    throw error;
  }
}
