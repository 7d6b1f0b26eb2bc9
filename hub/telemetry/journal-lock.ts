/** Keeps a second hub out of a folder: a lock file with the process that holds it. */
import { UserError } from '../kit/errors.ts';
import { errorCode, type Files, readFile, writeFully } from './files.ts';

interface Holder {
  pid: number;
  started: string;
}

/** EX_TEMPFAIL: the same command succeeds once the other hub has stopped. */
export const EXIT_LOCKED = 75;

/**
 * Takes the lock and resolves to the function that releases it. The lock of a process that is gone is taken over.
 * Throws `UserError` when another process, or this one, holds it.
 */
export async function takeLock(files: Files, folder: string): Promise<() => Promise<void>> {
  const path = `${folder}/lock`;
  const me: Holder = { pid: files.pid, started: (await files.startOf(files.pid)) ?? '' };
  while (!(await tryCreate(files, path, JSON.stringify(me)))) {
    const found = await readText(files, path);
    const holder = parse(found);
    if (holder && (await files.startOf(holder.pid)) === holder.started) throw locked(folder, holder);
    await removeStale(files, path, found);
  }
  return () => files.unlink(path);
}

/** The process that holds the lock of a folder and lives; undefined when the folder is free. */
export async function holderOf(files: Files, folder: string): Promise<number | undefined> {
  const holder = parse(await readText(files, `${folder}/lock`));
  return holder && (await files.startOf(holder.pid)) === holder.started ? holder.pid : undefined;
}

async function tryCreate(files: Files, path: string, text: string): Promise<boolean> {
  try {
    const file = await files.open(path, 'exclusive');
    try {
      await writeFully(file, Buffer.from(text), 0);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Renames before removing: when two hubs start at once, the slower one sees that what it took away is not what it
 * judged to be stale, and puts it back.
 */
async function removeStale(files: Files, path: string, judged: string | undefined): Promise<void> {
  const aside = `${path}.stale-${files.pid}`;
  try {
    await files.rename(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if ((await readText(files, aside)) === judged) await files.unlink(aside);
  else await files.rename(aside, path);
}

async function readText(files: Files, path: string): Promise<string | undefined> {
  return (await readFile(files, path))?.toString();
}

/** What a crash left half written names nobody. */
function parse(text: string | undefined): Holder | undefined {
  try {
    const value = JSON.parse(text ?? '') as Partial<Holder> | null;
    return Number.isSafeInteger(value?.pid) && typeof value?.started === 'string' ? (value as Holder) : undefined;
  } catch {
    return undefined;
  }
}

function locked(folder: string, { pid }: Holder): UserError {
  return new UserError(
    `The folder ${folder} is in use by another hub, process ${pid}. Stop that one, or start this one with another --data directory.`,
    EXIT_LOCKED,
  );
}
