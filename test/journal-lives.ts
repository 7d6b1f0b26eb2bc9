/**
 * Thousands of random lives of the journal: `npm run crash:journal -- --lives 5000 --seed 1 --steps 300`. Ends with 1 at
 * the first promise that is broken; its seed repeats it.
 */
import { flagsOf } from '../bench/flags.ts';
import { live } from './helpers/journal-life.ts';
import type { LifeCounts } from './helpers/journal-model.ts';

const HELP = `npm run crash:journal -- [options]
  --lives N   lives of a journal, one after the other (2000)
  --seed N    of the first life; each next has the next (another one each time)
  --steps N   what happens in a life (300)
Exit code: 0 no promise was broken; 1 one was, and its seed is told; 2 wrong usage.
`;

const flags = flagsOf({
  lives: { type: 'string', default: '2000' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
  steps: { type: 'string', default: '300' },
  help: { type: 'boolean', default: false },
});
if (flags.help) {
  process.stdout.write(HELP);
  process.exit();
}
const [lives, seed, steps] = [flags.lives, flags.seed, flags.steps].map(Number) as [number, number, number];

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
