/** Random lives of a journal on a disk that fails and forgets, held against a simple model. */
import { describe, expect, it } from 'vitest';
import { Life, live, turns } from '../helpers/journal-life.ts';

const SEED = Number(process.env.TEST_SEED ?? 1);
const LIVES = 240;
const LIVES_PER_TEST = 20;

describe(`a journal whose machine, process, disk and bytes fail at random, seeds from ${SEED}`, () => {
  const firsts = Array.from({ length: LIVES / LIVES_PER_TEST }, (_, index) => SEED + index * LIVES_PER_TEST);

  it.each(firsts)(`keeps its promises in ${LIVES_PER_TEST} lives from seed %i on`, async (first) => {
    const seen = { acked: 0, restarts: 0, damages: 0 };
    for (let seed = first; seed < first + LIVES_PER_TEST; seed++) {
      const { acked, restarts, damages } = await live(seed, 200);
      seen.acked += acked;
      seen.restarts += restarts;
      seen.damages += damages;
    }
    expect(seen.acked).toBeGreaterThan(500);
    expect(seen.restarts).toBeGreaterThan(100);
    expect(seen.damages).toBeGreaterThan(5);
  });
});

describe('a journal whose machine fails', () => {
  it('keeps its promises whichever call of the file system was the last', async () => {
    for (let call = 1, isOver = false; !isOver; call++) {
      const life = new Life(call);
      await life.begin();
      life.disk.crashAtCall = life.disk.calls + call;
      const history = async () => {
        for (let i = 0; i < 60; i++) {
          life.send(life.pick(life.model.devices));
          if (i % 3 === 0) await turns(6);
        }
        await life.journal.close();
        isOver = true;
      };
      await Promise.race([history(), life.disk.crashed]);
      life.disk.crashAtCall = Number.POSITIVE_INFINITY;
      await life.end(() => life.disk.powerLoss(life.random));
      expect(call).toBeLessThan(500);
    }
  });
});
