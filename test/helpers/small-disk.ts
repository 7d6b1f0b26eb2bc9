/** A small disk that can be filled: a tmpfs in a mount namespace of its own, gone with the process that holds it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  /** Its folder, as every process of this user sees it. */
  readonly path: string;
  /** Not a byte is left when it returns. */
  fill(): void;
  free(): void;
  unmount(): Promise<void>;
}

const MIB = 2 ** 20;
/** Nobody but root mounts without a user namespace. */
const NAMESPACES = process.getuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
/** Ends with this process, whose end closes its input. */
const MOUNT_AND_HOLD = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat > /dev/null';

/** Throws when the system allows no mounts, as in a container without the right to. */
export async function mountSmallDisk(bytes: number): Promise<SmallDisk> {
  const folder = mkdtempSync(join(tmpdir(), 'small-disk-'));
  const holder = spawn('unshare', [...NAMESPACES, 'sh', '-c', MOUNT_AND_HOLD, 'sh', String(bytes), folder]);
  const gone = once(holder, 'exit').then(() => rmdirSync(folder));
  await mounted(holder);
  const path = join(`/proc/${holder.pid}/root`, folder);
  const filler = join(path, 'filler');
  return {
    path,
    fill: () => fill(filler),
    free: () => rmSync(filler, { force: true }),
    async unmount() {
      holder.kill('SIGKILL');
      await gone;
    },
  };
}

async function mounted(holder: ChildProcess): Promise<void> {
  let words = '';
  holder.stderr!.on('data', (chunk) => {
    words += chunk;
  });
  const isMounted = await Promise.race([
    once(holder.stdout!, 'data').then(() => true),
    once(holder, 'close').then(() => false),
  ]);
  if (!isMounted) throw new Error(`no small disk can be mounted here: ${words.trim()}`);
}

function fill(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (const chunk of [Buffer.alloc(MIB, 1), Buffer.alloc(4096, 1)]) writeUntilFull(file, chunk);
  } finally {
    closeSync(file);
  }
}

function writeUntilFull(file: number, chunk: Buffer): void {
  try {
    while (writeSync(file, chunk) === chunk.length) {}
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
