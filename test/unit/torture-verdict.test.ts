/** Each promise of the torture is broken by its own figure, and by no other. */
import { expect, it } from 'vitest';
import type { Figures } from '../../torture/judge.ts';
import { createLatencies } from '../../torture/latencies.ts';
import { createOutages } from '../../torture/outages.ts';
import { reportOf } from '../../torture/report.ts';
import { brokenPromises, PROMISES } from '../../torture/verdict.ts';

const NO_ORDERS = { byState: { succeeded: 3 }, twice: [], lost: [], phantom: [], open: [], late: [] };
const KEPT: Figures = {
  ...{ tortureSeconds: 60, settleSeconds: 2, devices: 5, sent: 100, acked: 100, unanswered: 0 },
  ...{ rejected: 1, quarantined: 1, stored: 99, lost: 0, phantom: 0, duplicated: 0 },
  ...{ poison: 1, poisonLost: 0, wronglyRejected: 0, bridgeLost: 0, bridgeRepeated: 4 },
  ...{ rssMaxMib: 300, replayed: 50, leakedTokens: 0 },
  ...{ startMaxMs: 900, drainMaxMs: 400, acks: { calm: { p50: 8, p99: 90 }, all: { p50: 9, p99: 900, max: 2_000 } } },
  flows: { disk: 3 },
  ...{ orders: NO_ORDERS, faults: { 'hub: kill -9': 2 }, broken: [] },
};
const PLAN = { minutes: 1, seed: 7, devices: 5, rate: 2, commandsPerSecond: 5 };

it('finds nothing broken when nothing is', () => {
  expect(brokenPromises(KEPT)).toEqual([]);
  expect(reportOf(KEPT, PLAN)).toMatch(/^Seed 7, 5 devices.*Every promise was kept\.$/s);
});

it.each<Partial<Figures>>([
  { lost: 1 },
  { phantom: 1 },
  { duplicated: 1 },
  { bridgeLost: 1 },
  { poisonLost: 1 },
  { wronglyRejected: 1 },
  { rssMaxMib: 4_000 },
  { unanswered: 1 },
  { orders: { ...NO_ORDERS, twice: ['c-9'] } },
  { orders: { ...NO_ORDERS, lost: ['c-9'] } },
  { orders: { ...NO_ORDERS, open: ['c-9'] } },
  { orders: { ...NO_ORDERS, late: ['c-9'] } },
  { leakedTokens: 1 },
  { broken: ['the hub ended with 1 after SIGTERM'] },
])('finds one promise broken, and says so: %j', (wrong) => {
  const figures = { ...KEPT, ...wrong };
  expect(brokenPromises(figures)).toHaveLength(1);
  const report = reportOf(figures, PLAN);
  expect(report).toContain(`1 of ${PROMISES.length} promises were BROKEN.`);
  if (wrong.orders) expect(report).toContain('c-9');
  if (wrong.broken) expect(report).toContain(wrong.broken[0]);
});

it('tells the acks that the hub could have given at once from the others', () => {
  const outages = createOutages();
  const acks = createLatencies([outages]);
  acks.add(10, 'journaled', 1_000);
  acks.add(50, 'stored', 1_000);
  outages.begin(2_000);
  outages.end(4_000);
  acks.add(3_000, 'journaled', 4_500);
  const { calm, all } = acks.figures();
  expect(calm.p99).toBeLessThan(11);
  expect([all.max, all.p50 > 40]).toEqual([3_000, true]);
});

it('judges time only where the hub was there', () => {
  const outages = createOutages();
  expect(outages.wasUp(0, 100)).toBe(true);
  outages.begin(50);
  expect([outages.wasUp(0, 49), outages.wasUp(0, 50), outages.wasUp(60, 70)]).toEqual([true, false, false]);
  outages.end(80);
  expect([outages.wasUp(70, 100), outages.wasUp(81, 100)]).toEqual([false, true]);
});
