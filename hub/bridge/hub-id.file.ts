/** The name of this hub on brokers: made once, kept in a file of the data folder. */
import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';

const HUB_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The id in the file; a file that is missing or holds none gets a new one, 8 random hexadecimal digits. */
export async function ensureHubId(file: string): Promise<string> {
  const known = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (HUB_ID.test(known)) return known;
  const id = randomBytes(4).toString('hex');
  await writeFile(`${file}.new`, `${id}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  return id;
}
