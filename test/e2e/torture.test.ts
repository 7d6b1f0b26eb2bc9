/** All faults at once, for a while: `npm run torture` in its short form. The long one is in docs/torture.md. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import type { Figures } from '../../torture/judge.ts';

const ROOT = join(import.meta.dirname, '../..');
const MINUTES = process.env.TEST_TORTURE_MINUTES ?? '2';
const SEED = process.env.TEST_SEED ?? '20261121';
const DEVICES = '50';
/** Beside the torture itself: the start, and until all is at rest on a machine with other tests. */
const ROUND_MS = 600_000;

it(
  `keeps every promise for ${MINUTES} minutes of random faults (seed ${SEED})`,
  async () => {
    const args = ['torture/main.ts', '--minutes', MINUTES, '--devices', DEVICES, '--seed', SEED, '--json'];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const [output, errors, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    expect(output, `${signal ?? code}: ${errors}`).toMatch(/^\{/);
    const { figures } = JSON.parse(output) as { figures: Figures };
    const { lost, phantom, duplicated, unanswered, poisonLost, bridgeLost, broken, orders } = figures;
    const { twice, late, open } = orders;
    const wrong = { lost, phantom, duplicated, unanswered, poisonLost, bridgeLost, broken, twice, late, open };
    const nothing = { lost: 0, phantom: 0, duplicated: 0, unanswered: 0, poisonLost: 0, bridgeLost: 0 };
    expect(wrong, errors).toEqual({ ...nothing, broken: [], twice: [], late: [], open: [] });
    expect(code, output).toBe(0);
    // Enough must have happened for all this to mean something.
    expect(Object.keys(figures.faults).length).toBeGreaterThan(10);
    expect(figures.acked).toBeGreaterThan(5_000);
    expect(figures.poison).toBeGreaterThan(0);
  },
  Number(MINUTES) * 60_000 + ROUND_MS,
);
