/** The backplane of a single node: the contract, and what is special about a SQLite file. */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import { Unavailable, UserError } from '../../hub/kit/errors.ts';
import { backplaneContract } from './backplane.ts';

let dir: string;
let file: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hub-backplane-'));
  file = join(dir, 'hub.db');
});
afterEach(() => rm(dir, { recursive: true }));

describe('the contract of a backplane', () => {
  backplaneContract(async () => ({ backplane: openBackplane(file), reopen: async () => openBackplane(file) }));
});

describe('the SQLite backplane', () => {
  it('rejects what it could not commit, keeps memory as it was, and takes the next change', async () => {
    const backplane = openBackplane(file);
    const things = backplane.table<number>('things');
    await things.set('a', 1);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const failed = await Promise.allSettled([things.set('a', 2), things.set('b', 1), things.delete('a')]);
    expect(failed.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toEqual([
      expect.any(Unavailable),
      expect.any(Unavailable),
      expect.any(Unavailable),
    ]);
    expect([...things.values()].map(({ key, value }) => [key, value])).toEqual([['a', 1]]);
    other.exec('ROLLBACK');
    other.close();
    expect((await things.set('a', 3)).value).toBe(3);
    await backplane.close();
  });

  it('writes the changes of one turn in one transaction', async () => {
    const backplane = openBackplane(file);
    const things = backplane.table<number>('things');
    const other = new DatabaseSync(file);
    const version = () => Number(other.prepare('PRAGMA data_version').get()!.data_version);
    const before = version();
    await Promise.all(Array.from({ length: 500 }, (_, index) => things.set(`k${index}`, index)));
    expect(version() - before).toBe(1);
    other.close();
    await backplane.close();
  });

  it('keeps its files from other users', async () => {
    const backplane = openBackplane(file);
    await backplane.table<number>('things').set('a', 1);
    for (const suffix of ['', '-wal', '-shm']) expect((await stat(file + suffix)).mode & 0o777).toBe(0o600);
    await backplane.close();
  });

  it('says which file cannot be used', async () => {
    await writeFile(file, 'this is no database, and long enough to be looked at as one '.repeat(100));
    expect(() => openBackplane(file)).toThrow(UserError);
    expect(() => openBackplane(join(dir, 'missing', 'hub.db'))).toThrow(/missing/);
  });
});
