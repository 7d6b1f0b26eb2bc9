/** Runs the program `hub` as a person does, to its end. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** An environment without anything of the hub's, or of the person's who runs the tests. */
export const BARE_ENV = { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE };

/** Resolves to its exit code and what it wrote. Options of the hub in the environment are only those of `env`. */
export function runHub(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HUB_')));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['hub/main.ts', ...args],
      { cwd: ROOT, env: { ...clean, ...env } },
      (error, stdout, stderr) => resolve({ code: error ? (error.code as unknown as number) : 0, stdout, stderr }),
    );
  });
}
