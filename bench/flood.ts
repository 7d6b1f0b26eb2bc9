/**
 * What devices notice of others that flood: `npm run bench:flood`. 50 devices send at their pace, alone and beside one and
 * ten that flood, by turns; says how long their acks took (medians of
 * the rounds, and the lowest p99) and ends with 1 when p99 rose by more than promised.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { text } from 'node:stream/consumers';
import { startTestHub } from '../test/helpers/hub.ts';
import { flagsOf } from './flags.ts';
import type { FloodCounts, FloodPlan } from './flood-devices.ts';
import type { LoadPlan, LoadResult } from './load.ts';
import { describeMachine, pin } from './machine.ts';
import { median } from './statistics.ts';
import { markdownTable } from './table.ts';

const flags = flagsOf({
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '10' },
  devices: { type: 'string', default: '50' },
  rate: { type: 'string', default: '1000' },
  flooding: { type: 'string', multiple: true, default: ['1', '10'] },
  help: { type: 'boolean', default: false },
});

const HELP = `npm run bench:flood -- [options]
  --rounds N     rounds; medians are told (5)
  --seconds S    measured time of each part of a round (10)
  --devices N    devices that behave (50)
  --rate N       frames of one reading that they send in a second, together (1000)
  --flooding N   devices that flood; may be given several times (1 and 10)
`;

/** The promise: others are unaffected, which is a p99 of at most so many times its value without a flood. */
const PROMISED_RATIO = 1.2;
const HUB_CORE = 0;
const DEVICES_CORE = 1;
const WARM_MS = 2_000;
/** The generators share a core: those that are measured come first, or the flood would delay them before they reach the hub. */
const LOWEST_PRIORITY = '19';

interface Part extends FloodCounts {
  p50Ms: number;
  p99Ms: number;
  perSecond: number;
  hubBusy: number;
}

if (flags.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const hub = await startTestHub({ HUB_LOG__LEVEL: 'warn' });
  try {
    const floods = flags.flooding.map(Number);
    const add = (count: number, name: string) =>
      Promise.all(Array.from({ length: count }, (_, index) => hub.addDevice(`${name}-${index}`)));
    const good = await add(Number(flags.devices), 'good');
    const bad = await add(Math.max(0, ...floods), 'bad');
    pin(hub.pid, HUB_CORE);
    const port = Number(new URL(hub.gateway).port);
    const parts = new Map<number, Part[]>();
    for (let round = 0; round < Number(flags.rounds); round++) {
      for (const flooding of [0, ...floods]) {
        const part = await measure({ port, pid: hub.pid, good, bad: bad.slice(0, flooding) });
        parts.set(flooding, [...(parts.get(flooding) ?? []), part]);
      }
    }
    const others = `load average ${loadavg()[0]!.toFixed(1)} at the end`;
    process.stdout.write(`${describeMachine()}, ${others}\n\n${tableOf(parts)}\n`);
    if (worstRatio(parts) > PROMISED_RATIO) {
      process.stderr.write(`p99 rose to ${worstRatio(parts).toFixed(2)} times; promised are ${PROMISED_RATIO}.\n`);
      process.exitCode = 1;
    }
  } finally {
    await hub.dispose();
  }
}

interface Field {
  port: number;
  pid: number;
  good: string[];
  bad: string[];
}

async function measure({ port, pid, good, bad }: Field): Promise<Part> {
  const flood = bad.length > 0 ? start('flood-devices.ts', { port, tokens: bad }, LOWEST_PRIORITY) : undefined;
  const load = start('load.ts', {
    ...{ port, tokens: good, serverPid: pid, readingsPerFrame: 1, framesPerSecond: Number(flags.rate), window: 128 },
    ...{ warmMs: WARM_MS, measureMs: Number(flags.seconds) * 1_000, firstTs: Date.now() },
  });
  const result = (await load.result) as LoadResult;
  flood?.child.kill('SIGTERM');
  const { frames, sentAway } = ((await flood?.result) ?? { frames: 0, sentAway: 0 }) as FloodCounts;
  return {
    ...{ p50Ms: result.ackP50Ms, p99Ms: result.ackP99Ms, perSecond: result.frames / result.seconds },
    ...{ hubBusy: result.server.all / result.seconds, frames, sentAway },
  };
}

function start(script: string, plan: LoadPlan | FloodPlan, priority = '0') {
  const line = ['-n', priority, process.execPath, `${import.meta.dirname}/${script}`];
  const child = spawn('nice', line, { stdio: ['pipe', 'pipe', 'inherit'] });
  pin(child.pid!, DEVICES_CORE);
  child.stdin.end(JSON.stringify(plan));
  return { child, result: resultOf(child as ChildProcess & { stdout: NodeJS.ReadableStream }, script) };
}

async function resultOf(child: ChildProcess & { stdout: NodeJS.ReadableStream }, script: string): Promise<unknown> {
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return JSON.parse(output);
}

function tableOf(parts: Map<number, Part[]>): string {
  const of = (flooding: number, pick: (part: Part) => number) => median(parts.get(flooding)!.map(pick));
  const p99 = ({ p99Ms }: Part) => p99Ms;
  const rows = [...parts.keys()].map((flooding) => [
    flooding === 0 ? 'none' : String(flooding),
    of(flooding, ({ perSecond }) => perSecond).toFixed(0),
    of(flooding, ({ p50Ms }) => p50Ms).toFixed(1),
    of(flooding, p99).toFixed(1),
    lowestP99(parts, flooding).toFixed(1),
    ratioOf(parts, flooding).toFixed(2),
    of(flooding, ({ frames }) => frames).toFixed(0),
    of(flooding, ({ sentAway }) => sentAway).toFixed(0),
    `${(100 * of(flooding, ({ hubBusy }) => hubBusy)).toFixed(0)} %`,
  ]);
  const head = [
    'devices that flood',
    'good frames/s',
    'ack p50 ms',
    'p99 ms',
    'lowest p99',
    'to none',
    'flooded',
    'sent away',
    'hub busy',
  ];
  return markdownTable(head, rows);
}

function worstRatio(parts: Map<number, Part[]>): number {
  return Math.max(...[...parts.keys()].map((flooding) => ratioOf(parts, flooding)));
}

/** Of the lowest p99 of all rounds: what else runs on the machine adds to it, and a flood is in each of them. */
function ratioOf(parts: Map<number, Part[]>, flooding: number): number {
  return lowestP99(parts, flooding) / lowestP99(parts, 0);
}

function lowestP99(parts: Map<number, Part[]>, flooding: number): number {
  return Math.min(...parts.get(flooding)!.map(({ p99Ms }) => p99Ms));
}
