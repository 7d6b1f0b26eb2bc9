import { describe, expect, it } from 'vitest';
import { UserError } from '../../hub/kit/errors.ts';
import { takeLock } from '../../hub/telemetry/journal-lock.ts';
import { CrashDisk } from '../helpers/crash-fs.ts';
import { DIR } from '../helpers/journals.ts';

describe('the lock of a journal', () => {
  it('is refused to a second taker with a sentence that says who has it', async () => {
    const files = new CrashDisk().mount();
    await takeLock(files, DIR);
    const refusal = await takeLock(files, DIR).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UserError);
    expect((refusal as Error).message).toBe(
      `The folder ${DIR} is in use by another hub, process ${files.pid}. Stop that one, or start this one with another --data directory.`,
    );
  });

  it('is free again once released', async () => {
    const disk = new CrashDisk();
    const files = disk.mount();
    await (await takeLock(files, DIR))();
    expect(disk.paths()).toEqual([]);
    await takeLock(files, DIR);
  });

  it('is taken over from a process that is gone', async () => {
    const disk = new CrashDisk();
    await takeLock(disk.mount(), DIR);
    disk.kill();
    await takeLock(disk.mount(), DIR);
    expect(disk.paths()).toEqual([`${DIR}/lock`]);
  });

  it('is taken over when another process has got the same pid since', async () => {
    const files = new CrashDisk().mount();
    await takeLock(files, DIR);
    const reborn = { ...files, startOf: async () => 'later' };
    await takeLock(reborn, DIR);
    await expect(takeLock(reborn, DIR)).rejects.toThrow('in use');
  });

  it.each(['', '{"pi', 'null', '7', '{"pid":"1","started":"alive"}'])('is taken over when it says %j', async (text) => {
    const disk = new CrashDisk();
    const files = disk.mount();
    await takeLock(files, DIR);
    disk.damage(`${DIR}/lock`, () => Buffer.from(text));
    await takeLock(files, DIR);
  });

  it('is got by one of many that find the same stale one', async () => {
    const disk = new CrashDisk();
    await takeLock(disk.mount(), DIR);
    disk.kill();
    const files = disk.mount();
    const alive = new Set([501, 502, 503, 504]);
    const startOf = async (pid: number) => (alive.has(pid) ? 'alive' : undefined);
    const attempts = await Promise.allSettled([...alive].map((pid) => takeLock({ ...files, pid, startOf }, DIR)));
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});
