/** The file system of the machine, for the journal. */
import { type FileHandle, mkdir, open, readdir, readFile, rename, stat, statfs, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Files, OpenFile, OpenMode } from './files.ts';
import { errorCode } from './files.ts';

const FLAGS: Record<OpenMode, string> = { read: 'r', update: 'r+', create: 'w+', exclusive: 'wx+' };

export const nodeFiles: Files = {
  pid: process.pid,
  makeDirectory,
  list: (path) => readdir(path),
  open: async (path, mode) => wrap(await open(path, FLAGS[mode], 0o600)),
  rename,
  unlink,
  async syncDirectory(path) {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  async space(path) {
    const { bavail, bsize } = await statfs(path);
    return { freeBytes: bavail * bsize };
  },
  startOf,
};

/**
 * Node's own `recursive` never ends where a folder is there and none can be made in it, as in /proc: it takes ENOENT for a
 * parent that is missing.
 */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (await isDirectory(path)) return;
    if (errorCode(error) !== 'ENOENT' || (await isDirectory(dirname(path)))) throw error;
    await makeDirectory(dirname(path));
    await makeDirectory(path);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function wrap(handle: FileHandle): OpenFile {
  return {
    write: async (bytes, at) => (await handle.write(bytes, 0, bytes.length, at)).bytesWritten,
    read: async (into, at) => (await handle.read(into, 0, into.length, at)).bytesRead,
    datasync: () => handle.datasync(),
    truncate: (length) => handle.truncate(length),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}

/** Linux tells the start in clock ticks since boot (field 22 of /proc/PID/stat); elsewhere only that the process lives. */
async function startOf(pid: number): Promise<string | undefined> {
  if (!isAlive(pid)) return undefined;
  if (process.platform !== 'linux') return 'alive';
  try {
    const line = await readFile(`/proc/${pid}/stat`, 'utf8');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()} ${line.slice(line.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}
