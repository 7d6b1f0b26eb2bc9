/** A small disk for the journal that can be filled: a tmpfs, which only root can mount. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  /** Folder for the journal. */
  readonly journal: string;
  readonly limitBytes: number;
  /** Not a byte is left when it returns. */
  fill(): void;
  free(): void;
  unmount(): void;
}

const MIB = 2 ** 20;
const SIZE_MIB = 512;
const LIMIT_MIB = 384;

/** Undefined when this is not root, or mounting is not allowed. */
export function mountDisk(): SmallDisk | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'torture-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmdirSync(folder);
    return undefined;
  }
  const filler = join(folder, 'filler');
  return {
    journal: join(folder, 'journal'),
    limitBytes: LIMIT_MIB * MIB,
    fill: () => fill(filler),
    free: () => rmSync(filler, { force: true }),
    unmount() {
      execFileSync('umount', [folder]);
      rmdirSync(folder);
    },
  };
}

function fill(path: string): void {
  const file = openSync(path, 'w');
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
