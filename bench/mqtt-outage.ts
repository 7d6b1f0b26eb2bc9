/** The long form of an outage under load, with figures: `npm run bench:mqtt -- --outage 60s`. */
import {
  OUTAGES,
  type OutageKind,
  type OutageReport,
  PHASES,
  type Phase,
  runOutage,
} from '../test/helpers/mqtt-outage.ts';
import { pin } from './machine.ts';
import { median } from './statistics.ts';
import { markdownTable } from './table.ts';

export interface OutageBench {
  /** More options of the hub. */
  env: Record<string, string>;
  outageMs: number;
  /** One of `OUTAGES`, or all. */
  how: string;
  devices: number;
  readingsPerSecond: number;
}

const HUB_CORE = 0;

export interface NamedReport extends OutageReport {
  how: OutageKind;
}

/** Undefined when there is no such outage. */
export function outagesOf(how: string): OutageKind[] | undefined {
  const wanted = OUTAGES.filter((each) => how === 'all' || how === each);
  return wanted.length > 0 ? wanted : undefined;
}

/** One after the other; each has as much time before and after as it lasts. */
export async function benchOutages({ outageMs, how, ...load }: OutageBench): Promise<NamedReport[]> {
  const reports: NamedReport[] = [];
  for (const each of outagesOf(how)!) {
    const onStart = (pid: number) => void pin(pid, HUB_CORE);
    reports.push({ how: each, ...(await runOutage({ ...load, outageMs, steadyMs: outageMs, how: each, onStart })) });
  }
  return reports;
}

/** A table for each outage, and a line on what arrived. */
export function outageText(reports: readonly NamedReport[]): string {
  return reports.map((report) => `${tableOf(report)}\n\n${verdictOf(report)}\n`).join('\n');
}

function tableOf({ how, phases }: NamedReport): string {
  const head = [
    `broker ${how}`,
    'seconds',
    'acked/s',
    'published/s',
    'ack p50 ms',
    'p99 ms',
    'store behind ms',
    'RSS MiB',
    'least heap MiB',
  ];
  return markdownTable(
    head,
    PHASES.map((name) => rowOf(name, phases[name])),
  );
}

function rowOf(name: string, { seconds, acked, published, ackMs, storeLagMs, rssMiB, heapMiB }: Phase): string[] {
  const sorted = ackMs.toSorted((a, b) => a - b);
  const ack = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
  const rate = (count: number) => (count / seconds).toFixed(0);
  const memory = `${median(rssMiB).toFixed(0)} (${Math.min(...rssMiB).toFixed(0)}–${Math.max(...rssMiB).toFixed(0)})`;
  const lag = Math.max(...storeLagMs).toFixed(0);
  return [
    name,
    seconds.toFixed(0),
    rate(acked),
    rate(published),
    ack(0.5),
    ack(0.99),
    lag,
    memory,
    Math.min(...heapMiB).toFixed(0),
  ];
}

function verdictOf({ acked, arrived, repeated, kills, complaints }: NamedReport): string {
  const killed = kills > 0 ? `; the broker was killed ${kills} times` : '';
  const order = complaints.length === 0 ? 'in order' : `NOT in order: ${complaints.join('; ')}`;
  return `${acked} readings acknowledged, ${arrived} arrived ${order}, ${repeated} of them again${killed}.`;
}
