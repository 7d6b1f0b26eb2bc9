/** The load generator of `bench/wire.ts`, a process of its own: reads its plan on stdin, prints its result on stdout. */
import { json } from 'node:stream/consumers';
import { createTemplates, type LoadConnection, openConnection, type Traffic } from './load-connection.ts';
import { type CpuTime, cpuTimeOf } from './machine.ts';
import { Histogram } from './statistics.ts';

export interface LoadPlan {
  port: number;
  /** One connection for each. */
  tokens: string[];
  /** The process whose processor time is measured. */
  serverPid: number;
  readingsPerFrame: number;
  /** Frames a second of all connections together, one after the other; 0: bursts that fill the window of each. */
  framesPerSecond: number;
  /** Frames of a connection that may wait for their ack; below the hub's own window, so that it never says `flow`. */
  window: number;
  warmMs: number;
  measureMs: number;
  /** Time of each device's first reading, Unix milliseconds. */
  firstTs: number;
}

export interface LoadResult {
  frameBytes: number;
  /** What follows is of the measured time, of bursts only the part in which the server ran. */
  seconds: number;
  /** Frames acknowledged, and ack frames received for them. */
  frames: number;
  acks: number;
  server: CpuTime;
  /** Share of a core that this process itself used. */
  generatorBusy: number;
  /** Milliseconds from writing a frame to its ack; 0 for bursts, where frames wait for the server to be woken. */
  ackP50Ms: number;
  ackP99Ms: number;
  /** Of the whole life of the generator: processor time of the server once all had connected, and frames since. */
  serverAtStart: CpuTime;
  framesSent: number;
}

const CONNECTING = 50;
const TICK_MS = 1;
const SETTLE_MS = 10_000;

const plan = (await json(process.stdin)) as LoadPlan;
// Ctrl-C reaches this process too, perhaps while the server is stopped, which would then stay so for ever.
process.on('SIGINT', () => fail('interrupted'));
const result = await run(plan).catch(fail);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);

async function run(plan: LoadPlan): Promise<LoadResult> {
  const traffic = createTraffic(plan.readingsPerFrame);
  const connections = await connectAll(plan, traffic);
  const serverAtStart = cpuTimeOf(plan.serverPid);
  const load = plan.framesPerSecond > 0 ? paced : bursts;
  const measured = await load(connections, traffic, plan);
  await settle(connections);
  for (const connection of connections) connection.close();
  const framesSent = connections.reduce((sum, { sent }) => sum + sent, 0);
  return { frameBytes: traffic.templates[0]!.bytes, ...measured, serverAtStart, framesSent };
}

function createTraffic(readingsPerFrame: number): Traffic {
  return {
    templates: createTemplates(readingsPerFrame),
    readingsPerFrame,
    latency: new Histogram(),
    acked: 0,
    acks: 0,
    onTrouble: fail,
  };
}

async function connectAll(
  { tokens, port, firstTs }: Pick<LoadPlan, 'tokens' | 'port' | 'firstTs'>,
  traffic: Traffic,
): Promise<LoadConnection[]> {
  const connections: LoadConnection[] = [];
  for (let at = 0; at < tokens.length; at += CONNECTING) {
    const group = tokens.slice(at, at + CONNECTING);
    connections.push(...(await Promise.all(group.map((token) => openConnection(port, token, traffic, firstTs)))));
  }
  return connections;
}

type Measured = Omit<LoadResult, 'frameBytes' | 'serverAtStart' | 'framesSent'>;

/** One frame at a time from one connection after the other; a full window is passed over, so the rate then falls. */
async function paced(
  connections: readonly LoadConnection[],
  traffic: Traffic,
  { framesPerSecond, window, serverPid, warmMs, measureMs }: LoadPlan,
): Promise<Measured> {
  const startedAt = performance.now();
  let turn = 0;
  let done = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * framesPerSecond;
    for (; done < due; done++) {
      const connection = connections[turn++ % connections.length]!;
      if (connection.inFlight < window) connection.send();
    }
  }, TICK_MS);
  await sleep(warmMs);
  traffic.latency = new Histogram();
  const meter = startMeter(traffic, serverPid);
  await sleep(measureMs);
  const measured = meter();
  clearInterval(timer);
  return { ...measured, ackP50Ms: traffic.latency.quantile(0.5), ackP99Ms: traffic.latency.quantile(0.99) };
}

/**
 * A server that never waits for the generator, however slow that is: it is stopped while every connection fills its
 * window, and then has all of it at once. Each frame is a write, and so a TLS record, of its own, as from a device.
 */
async function bursts(
  connections: readonly LoadConnection[],
  traffic: Traffic,
  { window, serverPid, warmMs, measureMs }: LoadPlan,
): Promise<Measured> {
  const startedAt = performance.now();
  const all: Measured[] = [];
  while (performance.now() - startedAt < warmMs + measureMs) {
    process.kill(serverPid, 'SIGSTOP');
    await fill(connections, window);
    const isWarm = performance.now() - startedAt >= warmMs;
    const meter = startMeter(traffic, serverPid);
    process.kill(serverPid, 'SIGCONT');
    await settle(connections);
    if (isWarm) all.push(meter());
  }
  const sum = (pick: (one: Measured) => number) => all.reduce((total, one) => total + pick(one), 0);
  return {
    seconds: sum((one) => one.seconds),
    frames: sum((one) => one.frames),
    acks: sum((one) => one.acks),
    server: { all: sum((one) => one.server.all), main: sum((one) => one.server.main) },
    generatorBusy: sum((one) => one.generatorBusy) / all.length,
    ackP50Ms: 0,
    ackP99Ms: 0,
  };
}

/** Two writes to one socket in one turn of the loop would travel in one TLS record. */
async function fill(connections: readonly LoadConnection[], window: number): Promise<void> {
  for (let frame = 0; frame < window; frame++) {
    for (const connection of connections) connection.send();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function startMeter(traffic: Traffic, serverPid: number): () => Measured {
  const { acked, acks } = traffic;
  const startedAt = performance.now();
  const server = cpuTimeOf(serverPid);
  const own = process.cpuUsage();
  return () => {
    const seconds = (performance.now() - startedAt) / 1000;
    const spent = cpuTimeOf(serverPid);
    const { user, system } = process.cpuUsage(own);
    return {
      seconds,
      frames: traffic.acked - acked,
      acks: traffic.acks - acks,
      server: { all: spent.all - server.all, main: spent.main - server.main },
      generatorBusy: (user + system) / 1e6 / seconds,
      ackP50Ms: 0,
      ackP99Ms: 0,
    };
  };
}

/** Waits for the last acks. */
async function settle(connections: readonly LoadConnection[]): Promise<void> {
  const until = performance.now() + SETTLE_MS;
  while (connections.some(({ inFlight }) => inFlight > 0)) {
    if (performance.now() > until) fail('the last frames were not acknowledged');
    await sleep(TICK_MS);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function fail(reason: unknown): never {
  process.kill(plan.serverPid, 'SIGCONT');
  process.stderr.write(`load: ${reason instanceof Error ? reason.stack : reason}\n`);
  process.exit(1);
}
