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
  /** Frames a second of all connections together, one after the other; 0: as many as the window lets through. */
  framesPerSecond: number;
  warmMs: number;
  measureMs: number;
  /** Time of each device's first reading, Unix milliseconds. */
  firstTs: number;
}

export interface LoadResult {
  frameBytes: number;
  /** What follows is of the measured time. Frames acknowledged, and ack frames received for them. */
  seconds: number;
  frames: number;
  acks: number;
  server: CpuTime;
  /** Share of a core that this process itself used. */
  generatorBusy: number;
  ackP50Ms: number;
  ackP99Ms: number;
  /** Of the whole life of the generator: processor time of the server once all had connected, and frames since. */
  serverAtStart: CpuTime;
  framesSent: number;
}

/** Frames of a connection that wait for their ack: well below the hub's window of 256. */
const WINDOW = 200;
/** A saturating connection writes so many at a time, so that baseline and hub are fed in pieces of one size. */
const LOT = 50;
const CONNECTING = 50;
const TICK_MS = 1;
const SETTLE_MS = 10_000;

const plan = (await json(process.stdin)) as LoadPlan;
const result = await run(plan).catch(fail);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);

async function run({ framesPerSecond, serverPid, warmMs, measureMs, ...rest }: LoadPlan): Promise<LoadResult> {
  const traffic = createTraffic(rest.readingsPerFrame);
  const connections = await connectAll(rest, traffic);
  const serverAtStart = cpuTimeOf(serverPid);
  const stop = framesPerSecond > 0 ? pace(connections, framesPerSecond) : saturate(connections, traffic);
  await sleep(warmMs);
  const measured = await measure(traffic, serverPid, measureMs);
  stop();
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
    onAcked: () => {},
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

async function measure(traffic: Traffic, serverPid: number, ms: number) {
  traffic.latency = new Histogram();
  const { acked, acks } = traffic;
  const started = { at: performance.now(), server: cpuTimeOf(serverPid), own: process.cpuUsage() };
  await sleep(ms);
  const seconds = (performance.now() - started.at) / 1000;
  const server = cpuTimeOf(serverPid);
  const own = process.cpuUsage(started.own);
  return {
    seconds,
    frames: traffic.acked - acked,
    acks: traffic.acks - acks,
    server: { all: server.all - started.server.all, main: server.main - started.server.main },
    generatorBusy: (own.user + own.system) / 1e6 / seconds,
    ackP50Ms: traffic.latency.quantile(0.5),
    ackP99Ms: traffic.latency.quantile(0.99),
  };
}

/** Keeps the window of every connection full; what is called stops it. */
function saturate(connections: readonly LoadConnection[], traffic: Traffic): () => void {
  let isOver = false;
  traffic.onAcked = (connection) => {
    const room = WINDOW - connection.inFlight;
    if (room >= LOT && !isOver) connection.send(room);
  };
  for (const connection of connections) for (let sent = 0; sent < WINDOW; sent += LOT) connection.send(LOT);
  return () => {
    isOver = true;
  };
}

/** One frame at a time from one connection after the other; a full window is passed over, so the rate then falls. */
function pace(connections: readonly LoadConnection[], framesPerSecond: number): () => void {
  const startedAt = performance.now();
  let turn = 0;
  let done = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * framesPerSecond;
    for (; done < due; done++) {
      const connection = connections[turn++ % connections.length]!;
      if (connection.inFlight < WINDOW) connection.send(1);
    }
  }, TICK_MS);
  return () => clearInterval(timer);
}

/** Waits for the last acks. */
async function settle(connections: readonly LoadConnection[]): Promise<void> {
  const until = performance.now() + SETTLE_MS;
  while (connections.some(({ inFlight }) => inFlight > 0)) {
    if (performance.now() > until) fail('the last frames were not acknowledged');
    await sleep(10);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function fail(reason: unknown): never {
  process.stderr.write(`load: ${reason instanceof Error ? reason.stack : reason}\n`);
  process.exit(1);
}
