/** The first operator's token in a file that only the hub's user can read, so that the CLI works on the same machine. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Operators } from './operators.ts';

const ADMIN = 'admin';

/**
 * Makes sure that somebody can change operators: that `admin` exists and the file holds its valid token (mode 0600). A
 * lost or foreign file is replaced and the tokens before it are revoked. An `admin` whom another admin has removed stays
 * removed. Idempotent; true when it made a token.
 */
export async function ensureAdmin(operators: Operators, file: string, now = Date.now()): Promise<boolean> {
  const known = operators.get(ADMIN);
  if (!known && hasAdmin(operators, now)) return false;
  if (known) {
    const owner = operators.authenticate(await readToken(file), now);
    if ('name' in owner && owner.name === ADMIN) return false;
  }
  const { token } = known ? await operators.replaceToken(ADMIN) : await operators.add(ADMIN, 'admin');
  await writeToken(file, token);
  return true;
}

/** Keeps the file in step when the token of `admin` was replaced: the CLI of this machine reads it. */
export async function keepAdminToken(file: string, name: string, token: string): Promise<void> {
  if (name === ADMIN) await writeToken(file, token);
}

function hasAdmin(operators: Operators, now: number): boolean {
  return operators.list().some(({ role, expiresAt = Number.POSITIVE_INFINITY }) => role === 'admin' && now < expiresAt);
}

async function writeToken(file: string, token: string): Promise<void> {
  await writeFile(`${file}.new`, `${token}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
