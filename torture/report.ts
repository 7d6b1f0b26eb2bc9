/** What a torture found, as Markdown that reads well on a terminal. Pure. */
import { markdownTable } from '../bench/table.ts';
import type { Figures } from './judge.ts';
import type { Plan } from './run.ts';
import { brokenPromises, PROMISES } from './verdict.ts';

const count = (value: number) => value.toLocaleString('en');
const ms = (value: number) => `${value < 10 ? value.toFixed(1) : count(Math.round(value))} ms`;

export function reportOf(figures: Figures, plan: Plan): string {
  const { tortureSeconds, settleSeconds, broken, orders, evidence } = figures;
  const kept = evidence === undefined ? [] : [`What is lost, the journal and the hub's log are in ${evidence}.`];
  const words = [...kept, ...broken, ...Object.entries(orders).flatMap(([what, ids]) => named(what, ids))];
  return [
    `Seed ${plan.seed}, ${plan.devices} devices, ${tortureSeconds.toFixed(0)} s of faults, ${settleSeconds.toFixed(0)} s until all was at rest.`,
    markdownTable(['readings', 'count'], readingRows(figures)),
    markdownTable(['the rest', 'figure'], otherRows(figures)),
    markdownTable(['commands', 'count'], commandRows(figures)),
    markdownTable(
      ['fault', 'times'],
      Object.entries(figures.faults).map(([kind, times]) => [kind, count(times)]),
    ),
    markdownTable(
      ['promise', 'by', 'broken'],
      PROMISES.map(({ id, promise, broken }) => [promise, id, count(broken(figures))]),
    ),
    ...(words.length > 0 ? [words.map((line) => `- ${line}`).join('\n')] : []),
    verdictLine(figures),
  ].join('\n\n');
}

function verdictLine(figures: Figures): string {
  const broken = brokenPromises(figures).length;
  return broken === 0 ? 'Every promise was kept.' : `${broken} of ${PROMISES.length} promises were BROKEN.`;
}

function readingRows(figures: Figures): string[][] {
  return [
    ['sent', count(figures.sent)],
    ['acknowledged', count(figures.acked)],
    ['refused by the hub', count(figures.rejected)],
    ['in the quarantine at the end', count(figures.quarantined)],
    ['stored', count(figures.stored)],
    ['**lost**', count(figures.lost)],
    ['**phantom**', count(figures.phantom)],
    ['**duplicated**', count(figures.duplicated)],
    ['never acknowledged by the broker', count(figures.bridgeLost)],
    ['acknowledged by it more than once', count(figures.bridgeRepeated)],
    ["written to InfluxDB again in the hub's last life", count(figures.replayed)],
  ];
}

function otherRows(figures: Figures): string[][] {
  const { calm, all } = figures.acks;
  return [
    ['ack p50 while hub and disk were there', ms(calm.p50)],
    ['ack p99 while hub and disk were there', ms(calm.p99)],
    ['ack p50, outages and `stored` included', ms(all.p50)],
    ['ack p99, outages and `stored` included', ms(all.p99)],
    ['longest ack', ms(all.max)],
    ...Object.entries(figures.flows).map(([reason, times]) => [`asked to wait: ${reason}`, count(times)]),
    ['longest start of the hub', ms(figures.startMaxMs)],
    ['longest drain after SIGTERM', ms(figures.drainMaxMs)],
    ['most memory of the hub', `${count(Math.round(figures.rssMaxMib))} MiB`],
  ];
}

function commandRows({ orders }: Figures): string[][] {
  const states = Object.entries(orders.byState).toSorted(([, a], [, b]) => b - a);
  return [...states.map(([state, times]) => [state, count(times)]), ['**executed twice**', count(orders.twice.length)]];
}

const SHOWN = 5;

/** The first of the commands that something is wrong with. */
function named(what: string, ids: unknown): string[] {
  return Array.isArray(ids) && ids.length > 0 ? [`commands ${what}: ${ids.slice(0, SHOWN).join(', ')}`] : [];
}
