/**
 * What a reading costs inside the hub, without sockets, step by step: `npm run bench:hot-path`.
 * The frames of 64 devices go through each step as they do in the hub, in turns of the event loop.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../hub/telemetry/journal.file.ts';
import { flagsOf } from './flags.ts';
import { prepareFrames, type Step, stepsWith } from './hot-path-steps.ts';
import { describeMachine } from './machine.ts';
import { median } from './statistics.ts';
import { markdownTable } from './table.ts';

const flags = flagsOf({
  runs: { type: 'string', default: '9' },
  dir: { type: 'string', default: tmpdir() },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

const HELP = `npm run bench:hot-path -- [options]
  --runs N    runs of each step; medians are told (9)
  --dir DIR   where the journal is written for the time of the bench (${tmpdir()})
  --json      print JSON instead of a table
`;

interface Cost {
  step: string;
  readingsPerFrame: number;
  /** Nanoseconds a reading: processor time of all threads, and time on the wall. */
  cpuNs: number;
  wallNs: number;
}

if (flags.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const dir = mkdtempSync(join(flags.dir, 'bench-journal-'));
  const journal = await openJournal({
    dir: join(dir, 'journal'),
    limitBytes: 2 ** 32,
    segmentBytes: 2 ** 26,
    lingerMs: 5,
    replayMs: 0,
    memoryReadings: 100_000,
  });
  const costs: Cost[] = [];
  try {
    for (const readings of [1, 10]) costs.push(...(await measure(stepsWith(journal), readings)));
  } finally {
    await journal.close();
    rmSync(dir, { recursive: true });
  }
  const machine = describeMachine();
  process.stdout.write(flags.json ? `${JSON.stringify({ machine, costs }, null, 2)}\n` : report(machine, costs));
}

/** Every step has its turn in each run, so that a slow moment of the machine does not fall on one of them. */
async function measure(steps: readonly Step[], readingsPerFrame: number): Promise<Cost[]> {
  const frames = prepareFrames(readingsPerFrame);
  const count = frames.length * readingsPerFrame;
  const taken = steps.map(() => ({ cpu: [] as number[], wall: [] as number[] }));
  // The first run is for the compiler.
  for (let run = 0; run <= Number(flags.runs); run++) {
    for (const [index, step] of steps.entries()) {
      const go = step.prepare(frames);
      const usage = process.cpuUsage();
      const startedAt = performance.now();
      await go();
      const wall = performance.now() - startedAt;
      const { user, system } = process.cpuUsage(usage);
      if (run === 0) continue;
      taken[index]!.cpu.push(((user + system) * 1e3) / count);
      taken[index]!.wall.push((wall * 1e6) / count);
    }
  }
  return steps.map(({ name }, index) => {
    const { cpu, wall } = taken[index]!;
    return { step: name, readingsPerFrame, cpuNs: median(cpu), wallNs: median(wall) };
  });
}

function report(machine: string, costs: readonly Cost[]): string {
  const names = [...new Set(costs.map(({ step }) => step))];
  const rows = names.map((name) => {
    const [one, ten] = costs.filter(({ step }) => step === name) as [Cost, Cost];
    return [name, ...[one.cpuNs, one.wallNs, ten.cpuNs, ten.wallNs].map((ns) => Math.round(ns).toLocaleString('en'))];
  });
  const head = ['ns a reading', '1 a frame, CPU', 'wall', '10 a frame, CPU', 'wall'];
  return `${machine}, ${new Date().toISOString()}\n\n${markdownTable(head, rows)}\n`;
}
