/**
 * Outages of the broker while devices send: nothing is lost, nobody waits. Seconds long here; the minutes are
 * `TEST_OUTAGE_MS=60000 npx vitest run test/e2e/bridge-outage.test.ts`, and with figures `npm run bench:mqtt -- --outage 60s`.
 */
import { expect, it } from 'vitest';
import { OUTAGES, PHASES, runOutage } from '../helpers/mqtt-outage.ts';

const OUTAGE_MS = Number(process.env.TEST_OUTAGE_MS ?? 3_000);
const STEADY_MS = Math.max(1_000, OUTAGE_MS / 2);

it.each(OUTAGES)(
  'under load, a broker that is %s gets every acknowledged reading in order, and disturbs neither store nor acks',
  async (how) => {
    const report = await runOutage({
      ...{ how, outageMs: OUTAGE_MS, steadyMs: STEADY_MS },
      ...{ devices: 20, readingsPerSecond: 2_000 },
    });
    expect(report.complaints).toEqual([]);
    expect(report.arrived).toBe(report.acked);
    for (const name of PHASES.filter((name) => name !== 'catch-up'))
      expect(report.phases[name].acked).toBeGreaterThan(0);
    const { outage, before } = report.phases;
    if (how === 'killed') expect(report.kills).toBeGreaterThan(1);
    else expect(outage.published).toBeLessThan(before.published);
    // Whoever waited for the broker would wait as long as it is away.
    expect(Math.max(...outage.storeLagMs)).toBeLessThan(OUTAGE_MS);
    expect(Math.max(...outage.ackMs)).toBeLessThan(OUTAGE_MS);
    // In a minute, messages that waited in memory would need more; V8 takes up to half of it whenever it likes.
    expect(outage.rssMiB.at(-1)! - outage.rssMiB[0]!).toBeLessThan(150);
  },
  OUTAGE_MS * 5 + 120_000,
);
