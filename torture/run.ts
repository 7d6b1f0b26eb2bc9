/** One torture: load and faults for the time given, then peace, then the judgement. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../test/helpers/random.ts';
import { FAULTS, type Fault } from './faults.ts';
import { type Figures, judge } from './judge.ts';
import { startWorld, type World } from './world.ts';

export interface Plan {
  minutes: number;
  seed: number;
  devices: number;
  /** Frames of each device in a second. */
  rate: number;
  commandsPerSecond: number;
}

/** What a person sees of it while it runs. */
export interface Moment {
  phase: 'starting' | 'torturing' | 'settling' | 'judging';
  /** Of the torture, 0 to 1. */
  done: number;
  world?: World;
  /** What is going on in each lane. */
  going: string[];
  rssMaxMib: number;
  /** How often each kind was. */
  faults: Map<string, number>;
}

const TICK_MS = 50;
const WATCH_MS = 500;
const READINGS_A_FRAME = 4;

/** Resolves when all is judged and ended. `ended` cuts the torture short, not the judgement. */
export async function torture(plan: Plan, watch: (moment: Moment) => void, ended: AbortSignal): Promise<Figures> {
  const moment: Moment = { phase: 'starting', done: 0, going: [], rssMaxMib: 0, faults: new Map() };
  watch(moment);
  const world = await startWorld(plan.devices, seededRandom(plan.seed));
  moment.world = world;
  const watching = setInterval(() => {
    moment.rssMaxMib = Math.max(moment.rssMaxMib, rssMib(world.hub.pid));
    if (moment.phase === 'torturing') moment.done = Math.min(1, (Date.now() - begunAt) / durationMs);
    watch(moment);
  }, WATCH_MS);
  const durationMs = plan.minutes * 60_000;
  const begunAt = Date.now();
  try {
    moment.phase = 'torturing';
    const isOver = () => ended.aborted || Date.now() - begunAt > durationMs;
    const load = startLoad(world, plan);
    await Promise.all([
      runLane(world, 'servers', { isOver, moment, restMs: 2_000 }),
      runLane(world, 'field', { isOver, moment, restMs: 1_000 }),
    ]);
    load.stop();
    moment.phase = 'settling';
    const tortureMs = Date.now() - begunAt;
    return await judge(world, moment, tortureMs);
  } finally {
    clearInterval(watching);
    await world.close();
  }
}

interface Lane {
  isOver(): boolean;
  moment: Moment;
  /** Between two faults, at most. */
  restMs: number;
}

/** One fault after the other: all kinds in random order, then all again in another. */
async function runLane(world: World, lane: Fault['lane'], { isOver, moment, restMs }: Lane): Promise<void> {
  const kinds = FAULTS.filter((fault) => fault.lane === lane);
  const { faults } = moment;
  let bag: Fault[] = [];
  while (!isOver()) {
    if (bag.length === 0) bag = shuffled(kinds, world.random);
    const fault = bag.pop()!;
    faults.set(fault.kind, (faults.get(fault.kind) ?? 0) + 1);
    moment.going.push(fault.kind);
    await fault
      .run(world)
      .catch((error: Error) => world.broken.push(`${fault.kind}: ${error.message.slice(0, 2_000)}`));
    moment.going.splice(moment.going.indexOf(fault.kind), 1);
    await sleep(world.random() * restMs);
  }
}

function shuffled<T>(all: readonly T[], random: () => number): T[] {
  return all
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** Readings of all devices, and commands to some, all the time. */
function startLoad(world: World, { rate, commandsPerSecond }: Plan): { stop(): void } {
  const { devices, random, orders } = world;
  const timer = setInterval(() => {
    for (const device of devices) {
      if (random() < (rate * TICK_MS) / 1000)
        device.send(Array(1 + Math.floor(random() * READINGS_A_FRAME)).fill('good'));
    }
    if (random() < (commandsPerSecond * TICK_MS) / 1000)
      void orders.ask(devices[Math.floor(random() * devices.length)]!.id);
  }, TICK_MS);
  return { stop: () => clearInterval(timer) };
}

/** 0 while it is between two lives. */
function rssMib(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
