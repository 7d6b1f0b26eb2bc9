/** The gap ledger in its file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSqliteGaps } from '../../hub/telemetry/gaps.sqlite.ts';
import type { GapLedger } from '../../hub/telemetry/gaps.ts';
import { frame } from '../helpers/journals.ts';

describe('the gap ledger', () => {
  let dir: string;
  let gaps: GapLedger;
  const open = (limitPerDevice = 200) => createSqliteGaps({ file: join(dir, 'gaps.db'), limitPerDevice });

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gaps-'));
    gaps = await open();
  });
  afterEach(async () => {
    await gaps.close();
    await rm(dir, { recursive: true });
  });

  it('writes down what a device left out, once, and has it after a restart', async () => {
    const frames = [frame('a', 1), frame('a', 5, { skipped: 3 }), frame('b', 9, { skipped: 8, epoch: 'e2' })];
    expect(await gaps.write(frames)).toEqual([]);
    expect(gaps.noticed).toBe(2);
    await gaps.close();
    gaps = await open();
    await gaps.write(frames);
    expect(gaps.noticed).toBe(0);
    expect(await gaps.list({ limit: 9 })).toEqual([
      { id: 2, device: 'b', epoch: 'e2', from: 1, to: 8, at: frames[2]!.receivedAt },
      { id: 1, device: 'a', epoch: 'e1', from: 2, to: 4, at: frames[1]!.receivedAt },
    ]);
  });

  it('lists by device and time, page by page, and forgets a device', async () => {
    for (let seq = 2; seq < 12; seq += 2)
      await gaps.write([frame('a', seq, { skipped: 1, receivedAt: seq }), frame('b', seq, { skipped: 1 })]);
    expect((await gaps.list({ device: 'a', since: 6, limit: 9 })).map(({ to }) => to)).toEqual([9, 7, 5]);
    const [first] = await gaps.list({ device: 'a', limit: 1 });
    expect((await gaps.list({ device: 'a', limit: 2, before: first!.id })).map(({ to }) => to)).toEqual([7, 5]);
    await gaps.forget('a');
    expect(await gaps.list({ device: 'a', limit: 9 })).toEqual([]);
    expect(await gaps.list({ limit: 9 })).toHaveLength(5);
  });

  it('keeps the newest of each device', async () => {
    await gaps.close();
    gaps = await open(3);
    await gaps.write([frame('b', 2, { skipped: 1 })]);
    for (let seq = 2; seq < 30; seq += 2) await gaps.write([frame('a', seq, { skipped: 1 })]);
    expect((await gaps.list({ device: 'a', limit: 9 })).map(({ to }) => to)).toEqual([27, 25, 23]);
    expect(await gaps.list({ device: 'b', limit: 9 })).toHaveLength(1);
  });
});
