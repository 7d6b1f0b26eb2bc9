import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../hub/kit/errors.ts';
import { nodeFiles } from '../../hub/telemetry/files.node.ts';
import { type JournalOptions, openJournal } from '../../hub/telemetry/journal.file.ts';
import { commit, frame, Listener, readAll } from '../helpers/journals.ts';

const WRITER = join(import.meta.dirname, '../helpers/journal-process.ts');
const ROUNDS = 12;

let folder: string;
let options: JournalOptions;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'));
  const sizes = { limitBytes: 2 ** 30, segmentBytes: 256 * 1024, memoryReadings: 0 };
  options = { dir: join(folder, 'data', 'journal'), lingerMs: 0, replayMs: 0, ...sizes };
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a process that writes, and follows what it says was acknowledged; `acked` outlives it. */
function startWriter(acked: Map<string, number>, launcher: string[] = []): ChildProcess {
  const [command, ...args] = [...launcher, process.execPath, WRITER, options.dir];
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let rest = '';
  child.stdout.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const [device, seq] = line.split(' ');
      acked.set(device!, Number(seq));
    }
  });
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

describe('the journal on a real disk', () => {
  it('gives back after a restart what was acknowledged', async () => {
    const journal = await openJournal(options);
    const owner = new Listener();
    for (let seq = 1; seq <= 1000; seq++) journal.append(frame('a', seq, { owner }));
    await commit(journal);
    journal.advance('store', 400);
    await journal.close();
    expect(owner.acks).toEqual([1000]);
    const again = await openJournal(options);
    expect(again.held('a')).toEqual({ epoch: 'e1', seq: 1000 });
    expect((await readAll(again, again.cursor('store'))).map(({ seq }) => seq)[0]).toBe(401);
    expect(await readAll(again)).toHaveLength(1000);
    expect(existsSync(join(options.dir, 'lock'))).toBe(true);
    await again.close();
    expect(existsSync(join(options.dir, 'lock'))).toBe(false);
    expect(statSync(join(options.dir, '0000000000000000.journal')).mode & 0o777).toBe(0o600);
  });

  it('has every acknowledged frame, once and in order, after each of many kills', async () => {
    const acked = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const child = startWriter(acked);
      await once(child.stdout!, 'data');
      await new Promise((resolve) => setTimeout(resolve, 20 + 15 * round));
      await kill(child);
    }
    const journal = await openJournal(options);
    const last = new Map<string, number>();
    for (const { device, seq } of await readAll(journal, 0, 5000)) {
      expect(seq, device).toBe((last.get(device) ?? 0) + 1);
      last.set(device, seq);
    }
    for (const [device, seq] of acked) {
      expect(last.get(device)).toBeGreaterThanOrEqual(seq);
      expect(journal.held(device)).toEqual({ epoch: 'e', seq: last.get(device) });
    }
    expect(acked.size).toBe(20);
    expect(journal.status(0).segments).toBeGreaterThan(1);
    await journal.close();
  });

  it('keeps a second hub out, in this process and in another, and lets it in when the first was killed', async () => {
    const journal = await openJournal(options);
    await expect(openJournal(options)).rejects.toThrow(UserError);
    const second = spawn(process.execPath, [WRITER, options.dir], { stdio: ['ignore', 'ignore', 'pipe'] });
    let words = '';
    second.stderr.on('data', (chunk) => {
      words += chunk;
    });
    const [code] = await once(second, 'close');
    expect(code).toBe(75);
    expect(words).toContain(`is in use by another hub, process ${process.pid}.`);
    await journal.close();
    const first = startWriter(new Map());
    await once(first.stdout!, 'data');
    await expect(openJournal(options)).rejects.toThrow(`process ${first.pid}`);
    await kill(first);
    await (await openJournal(options)).close();
  });

  it('says durable only after the fdatasync of the same block returned, as the system calls show', async () => {
    const log = join(folder, 'strace.log');
    const launcher = ['strace', '-f', '-y', '-e', 'trace=pwrite64,write,fdatasync', '-s', '40', '-o', log];
    const child = startWriter(new Map(), launcher);
    await once(child.stdout!, 'data');
    await new Promise((resolve) => setTimeout(resolve, 300));
    // The traced process goes first; strace follows it.
    const [node] = execFileSync('pgrep', ['-P', String(child.pid)])
      .toString()
      .split('\n');
    const closed = once(child, 'close');
    process.kill(Number(node), 'SIGKILL');
    await closed;
    expect(acksWithoutSync(readFileSync(log, 'utf8'))).toEqual({ acks: expect.toSatisfy((n) => n > 20), early: 0 });
  });
});

/**
 * Counts what the process said on its standard output (which it does at once, in the same turn in which it heard of a
 * commit), and how often that was while a block was written and its fdatasync had not returned.
 */
function acksWithoutSync(trace: string): { acks: number; early: number } {
  let isUnsynced = true;
  let acks = 0;
  let early = 0;
  for (const line of trace.split('\n')) {
    if (/pwrite64\(\d+<[^>]*\.journal/.test(line)) isUnsynced = true;
    else if (/fdatasync.*= 0$/.test(line)) isUnsynced = false;
    else if (/ write\(1</.test(line)) {
      acks++;
      if (isUnsynced) early++;
    }
  }
  return { acks, early };
}

describe('the processes of this machine', () => {
  it('have a start that tells them from others with the same pid', async () => {
    const mine = await nodeFiles.startOf(process.pid);
    expect(mine).toBeTruthy();
    expect(await nodeFiles.startOf(process.pid)).toBe(mine);
    expect(await nodeFiles.startOf(1)).not.toBe(mine);
    const child = spawn(process.execPath, ['-e', '']);
    const { pid } = child;
    await once(child, 'close');
    expect(await nodeFiles.startOf(pid!)).toBeUndefined();
  });
});
