/** The first operator's token in a file that only the hub's user can read, so that the CLI works on the same machine. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Operators } from './operators.ts';

const ADMIN = 'admin';

/**
 * Makes sure that the operator `admin` exists and that the file holds its valid token (mode 0600). A lost or foreign file
 * is replaced and the tokens before it are revoked. Idempotent.
 */
export async function ensureAdmin(operators: Operators, file: string, now = Date.now()): Promise<void> {
  const known = operators.get(ADMIN);
  if (known) {
    const owner = operators.authenticate(await readToken(file), now);
    if ('name' in owner && owner.name === ADMIN) return;
  }
  const token = known ? await operators.replaceToken(ADMIN) : (await operators.add(ADMIN, 'admin')).token;
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
