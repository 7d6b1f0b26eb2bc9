/** `hub journal` as people use it: on real folders, stopped and in use. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openJournal } from '../../hub/telemetry/journal.file.ts';
import type { Journal } from '../../hub/telemetry/journal.ts';
import { blocksOf } from '../helpers/journal-damage.ts';
import { commit, frame } from '../helpers/journals.ts';

const ROOT = join(import.meta.dirname, '../..');
const FRAMES = 50;

let data: string;

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'journal-cli-'));
  const journal = await openDataJournal();
  for (let seq = 1; seq <= FRAMES; seq++) {
    const committed = commit(journal);
    journal.append(frame(seq % 2 === 0 ? 'meter' : 'other', seq, { receivedAt: Date.now() }));
    await committed;
  }
  journal.advance('store', 20);
  await journal.close();
});

afterEach(() => {
  rmSync(data, { recursive: true, force: true });
});

function openDataJournal(): Promise<Journal> {
  const sizes = { limitBytes: 2 ** 30, segmentBytes: 2000, memoryReadings: 0 };
  return openJournal({ dir: join(data, 'journal'), lingerMs: 0, replayMs: 0, ...sizes });
}

interface Answer {
  code: number;
  out: string;
  err: string;
}

function hub(...args: string[]): Promise<Answer> {
  const env = { ...process.env, HUB_DATA: data };
  return new Promise((resolve) => {
    execFile(process.execPath, ['hub/main.ts', 'journal', ...args], { cwd: ROOT, env }, (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
}

/** Changes a byte of a block in the second segment; returns the file, the position of the block and its first offset. */
function breakBlock(): { file: string; at: number; base: number } {
  const folder = join(data, 'journal');
  const file = readdirSync(folder).filter((name) => name.endsWith('.journal'))[1]!;
  const bytes = readFileSync(join(folder, file));
  const { at, base } = blocksOf(bytes)[2]!;
  bytes[at + 50]! ^= 1;
  writeFileSync(join(folder, file), bytes);
  return { file, at, base };
}

it('lists segments and sinks, for people and for programs', async () => {
  const { code, out } = await hub('ls');
  expect(code).toBe(0);
  expect(out).toMatch(/used by {2}no hub\n/);
  expect(out).toMatch(
    /\nSEGMENT +OFFSET +FRAMES +SIZE +BEGUN +WAITS FOR\n0000000000000000\.journal +0 +\d+ .* nobody\n/,
  );
  expect(out).toMatch(/\nSINK +READS AT +FRAMES LEFT\nstore +20 +30\n/);
  const list = JSON.parse((await hub('ls', '--json', '--dir', join(data, 'journal'))).out);
  expect(list).toMatchObject({ first: 0, next: FRAMES, cursors: { store: { offset: 20, lagFrames: 30 } } });
});

it('checks, exports and repairs a damaged journal, and says in its exit code how it is', async () => {
  expect(await hub('check')).toMatchObject({ code: 0, out: expect.stringContaining('all as it was written.') });
  const { file, at, base } = breakBlock();
  const check = await hub('check');
  expect(check.code).toBe(1);
  expect(check.out).toMatch(new RegExp(`\n${file} +${at} +\\d+ +damaged: frame ${base} lost\n`));
  const partial = await hub('export');
  expect(partial).toMatchObject({ code: 1, err: expect.stringContaining('1 place is damaged') });
  expect(partial.out.trim().split('\n')).toHaveLength(FRAMES - 1);
  const repair = await hub('repair');
  expect(repair).toMatchObject({ code: 0, out: expect.stringContaining(`Written anew: ${file}.`) });
  expect(readdirSync(join(data, 'journal/damaged'))).toEqual([`${file}-${at}`]);
  const journal = await openDataJournal();
  expect(journal.held('meter')).toEqual({ epoch: 'e1', seq: FRAMES });
  await journal.close();
  const { findings } = JSON.parse((await hub('check', '--json')).out);
  expect(findings).toMatchObject([{ file, bytes: 0, from: base, to: base + 1 }]);
});

it('exports the frames of a device and a range as lines of JSON', async () => {
  const { code, out } = await hub('export', '--device', 'meter', '--from-offset', '10', '--to-offset', '14');
  const lines = out.trim().split('\n');
  expect([code, lines.map((line) => JSON.parse(line).seq)]).toEqual([0, [12, 14]]);
  expect(await hub('export', '--from', '-1h', '--to', '-30m')).toEqual({ code: 0, out: '', err: '' });
});

it('looks into a journal that a hub uses, and refuses to repair it', async () => {
  const journal = await openDataJournal();
  expect((await hub('ls')).out).toContain(`process ${process.pid}`);
  expect(await hub('check')).toMatchObject({ code: 0 });
  expect((await hub('export')).out.trim().split('\n')).toHaveLength(FRAMES);
  expect(await hub('repair')).toMatchObject({
    code: 75,
    err: `A hub, process ${process.pid}, uses the journal in ${join(data, 'journal')}: stop it first.\n`,
  });
  await journal.close();
});

it('says what is wrong with a mistake of usage', async () => {
  expect(await hub('ls', '--data', '/nowhere')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^There is no journal in \/nowhere\/journal: name the data folder/),
  });
  expect(await hub('export', '--from', 'yesterday')).toMatchObject({
    code: 2,
    err: expect.stringContaining('RFC 3339'),
  });
  expect(await hub('export', '--to-offset', '-1')).toMatchObject({ code: 2 });
});
