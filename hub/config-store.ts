/** What the configuration says of roll-ups, and the mistakes that its schema cannot find. Pure. */
import type { Config } from '../schemas/types.gen.ts';
import { parseDuration } from './api/time.ts';
import type { Mistake } from './config-doors.ts';
import type { Rollup } from './telemetry/store.ts';

const DAY_MS = 86_400_000;

/** The roll-ups by the length of their windows, the shortest first. */
export function rollupsOf({ rollups }: Pick<Config['store'], 'rollups'>): Rollup[] {
  const all = rollups.map(({ every, keepDays = 0 }) => {
    return { name: every, everyMs: parseDuration(every)!, keepMs: keepDays * DAY_MS };
  });
  return all.toSorted((a, b) => a.everyMs - b.everyMs);
}

/** What the schema cannot say of `store.rollups`. */
export function checkRollups({ rollups, retentionDays }: Config['store']): Mistake[] {
  const mistakes: Mistake[] = [];
  const seen = new Map<number, string>();
  for (const [index, { every, keepDays = 0 }] of rollups.entries()) {
    const path = `/store/rollups/${index}`;
    const everyMs = parseDuration(every)!;
    const twin = seen.get(everyMs);
    if (twin !== undefined) mistakes.push({ path: `${path}/every`, message: `is as long as ${twin}` });
    if (retentionDays > 0 && everyMs * 2 > retentionDays * DAY_MS)
      mistakes.push({
        path: `${path}/every`,
        message: 'must be at most half of retentionDays',
      });
    if (keepDays > 0 && keepDays * DAY_MS < everyMs)
      mistakes.push({ path: `${path}/keepDays`, message: 'is shorter than a window' });
    seen.set(everyMs, every);
  }
  return mistakes;
}
