/**
 * Thousands of random lives of the journal: `npm run crash:journal -- --lives 5000 --seed 1 --steps 300`. Ends with 1 at
 * the first promise that is broken; its seed repeats it.
 */
import { parseArgs } from 'node:util';
import { live } from './helpers/journal-life.ts';
import type { LifeCounts } from './helpers/journal-model.ts';

const { values } = parseArgs({
  options: {
    lives: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    steps: { type: 'string', default: '300' },
  },
});
const [lives, seed, steps] = [values.lives, values.seed, values.steps].map(Number) as [number, number, number];

const total: Partial<LifeCounts> = {};
process.stdout.write(`${lives} lives of ${steps} steps, seeds from ${seed} on\n`);
for (let index = 0; index < lives; index++) {
  try {
    const counts = await live(seed + index, steps);
    for (const [name, count] of Object.entries(counts) as [keyof LifeCounts, number][]) {
      total[name] = (total[name] ?? 0) + count;
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).stack}\n${((error as Error).cause as Error).stack}\n`);
    process.stderr.write(`Again: npm run crash:journal -- --lives 1 --seed ${seed + index} --steps ${steps}\n`);
    process.exit(1);
  }
  if ((index + 1) % 500 === 0) process.stdout.write(`${index + 1} lives: no promise was broken\n`);
}
process.stdout.write(`${lives} lives: no promise was broken ${JSON.stringify(total)}\n`);
