/** An outage of the broker under load, from devices to a subscriber: what arrives, and what it costs the hub meanwhile. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BridgeStatus, BrokerStatus } from '../../hub/bridge/status.ts';
import { startTestHub, type TestHub } from './hub.ts';
import { type Mosquitto, startMosquitto } from './mosquitto.ts';
import { startMqttTap } from './mqtt-tap.ts';
import { type Load, type LoadOptions, startLoad } from './steady-load.ts';

export const OUTAGES = ['stopped', 'paused', 'killed'] as const;
export type OutageKind = (typeof OUTAGES)[number];

export interface OutageOptions extends LoadOptions {
  /** `stopped`: by SIGTERM. `paused`: by SIGSTOP. `killed`: by SIGKILL, again and again. */
  how: OutageKind;
  outageMs: number;
  /** Load before the outage, and after everything has caught up. */
  steadyMs: number;
  /** More options of the hub. */
  env?: Record<string, string>;
  /** Called when the hub runs, with its pid. */
  onStart?(pid: number): void;
}

export const PHASES = ['before', 'outage', 'catch-up', 'after'] as const;
export type PhaseName = (typeof PHASES)[number];

export interface Phase {
  seconds: number;
  /** Messages that the broker acknowledged. */
  published: number;
  /** Readings that the hub acknowledged, and how long that took. */
  acked: number;
  ackMs: number[];
  /** Sampled twice a second. */
  rssMiB: number[];
  /** Used by V8, garbage included: the least of a phase is near what is alive. */
  heapMiB: number[];
  storeLagMs: number[];
}

export interface OutageReport {
  phases: Record<PhaseName, Phase>;
  /** Readings that the hub acknowledged. */
  acked: number;
  /** Different ones that arrived, and those that came again. */
  arrived: number;
  repeated: number;
  kills: number;
  /** Readings that came before one that must come first; at most 10. What comes again is none. */
  complaints: string[];
}

const TICK_MS = 50;
const SAMPLE_MS = 500;
/** The broker is no further behind than this. */
const CAUGHT_UP_MS = 500;
/** So many go through between two kills. */
const KILL_AFTER_MESSAGES = 500;
const PATIENCE_MS = 300_000;
/** Of MQTT: a broker that stands still is found out sooner than an outage ends. */
const TIMEOUT_MS = 1_000;
const PAYLOAD = '{"d":{device},"n":{fields.light},"ts":{ts}}';
/** Keeps sessions and what waits for them, over a stop. */
const KEEPING = 'allow_anonymous true\npersistence true\npersistence_location {dir}/\nmax_queued_messages 0';

/** Runs hub, broker and subscriber as processes of their own, ends them, and tells what it saw. */
export async function runOutage(options: OutageOptions): Promise<OutageReport> {
  const mosquitto = await startMosquitto({ isQuiet: true, config: KEEPING });
  const arrivals = await watchArrivals(mosquitto, options.how);
  const brokers = JSON.stringify([{ url: arrivals.url, timeoutMs: TIMEOUT_MS }]);
  const hub = await startTestHub({
    ...{ HUB_LOG__LEVEL: 'warn', HUB_MQTT__BROKERS: brokers, HUB_MQTT__PAYLOAD: PAYLOAD },
    ...options.env,
  });
  options.onStart?.(hub.pid);
  const load = await startLoad(hub, options);
  const watch = startWatch(hub, load);
  try {
    await sleep(options.steadyMs);
    await watch.enter('outage');
    const kills = await breakDown(hub, mosquitto, options);
    await watch.enter('catch-up');
    await until(async () => (await brokerOf(hub)).lagMs < CAUGHT_UP_MS);
    await watch.enter('after');
    await sleep(options.steadyMs);
    await load.stop();
    await until(async () => arrivals.count() >= load.acked() || arrivals.complaints.length > 0);
    const phases = await watch.stop();
    const { complaints, repeated } = arrivals;
    return { phases, acked: load.acked(), arrived: arrivals.count(), repeated: repeated(), kills, complaints };
  } finally {
    await watch.stop();
    await load.stop();
    arrivals.close();
    await hub.dispose();
    await mosquitto.remove();
  }
}

/** Resolves when the broker is there again; to how often it was killed. */
async function breakDown(hub: TestHub, mosquitto: Mosquitto, { how, outageMs }: OutageOptions): Promise<number> {
  const end = performance.now() + outageMs;
  if (how === 'paused') {
    mosquitto.pause();
    await sleep(outageMs);
    mosquitto.resume();
  } else if (how === 'stopped') {
    await mosquitto.stop();
    await sleep(outageMs);
    await mosquitto.start();
  }
  let kills = 0;
  while (how === 'killed' && performance.now() < end) {
    const { published } = await brokerOf(hub);
    await mosquitto.kill();
    await mosquitto.start();
    kills += 1;
    await until(async () => (await brokerOf(hub)).published > published + KILL_AFTER_MESSAGES);
  }
  return kills;
}

/**
 * What a subscriber with a lasting session gets; of a broker that is killed, which forgets what it acknowledged, what it
 * acknowledged.
 */
async function watchArrivals(mosquitto: Mosquitto, how: OutageKind) {
  const judge = createJudge();
  const tap = how === 'killed' ? await startMqttTap(mosquitto.port) : undefined;
  const session = ['-c', '-i', 'listener', '-x', '3600'];
  const listener = tap ? undefined : await mosquitto.listen('hub/+/telemetry/#', session);
  let seen = 0;
  const timer = setInterval(() => {
    const payloads = tap?.acknowledged ?? [];
    const heard = listener?.heard ?? [];
    for (; seen < payloads.length + heard.length; seen++) judge.take(payloads[seen] ?? heard[seen]!.payload);
  }, TICK_MS);
  return {
    ...judge,
    url: tap?.url ?? mosquitto.url,
    close() {
      clearInterval(timer);
      tap?.close();
    },
  };
}

/** Of each device, each number must come for the first time after the one before it. */
function createJudge() {
  const next = new Map<string, number>();
  const complaints: string[] = [];
  let repeated = 0;
  return {
    complaints,
    repeated: () => repeated,
    count: () => [...next.values()].reduce((sum, count) => sum + count, 0),
    take(payload: string) {
      const { d, n } = JSON.parse(payload) as { d: string; n: number };
      const wanted = next.get(d) ?? 0;
      if (n === wanted) next.set(d, n + 1);
      else if (n < wanted) repeated += 1;
      else if (complaints.length < 10) complaints.push(`${d}: ${n} came before ${wanted}`);
    },
  };
}

/** Looks at the hub twice a second, and keeps what it sees by phase. */
function startWatch(hub: TestHub, load: Pick<Load, 'acked' | 'takeAckMs'>) {
  const blank = (): Phase => ({
    seconds: 0,
    published: 0,
    acked: 0,
    ackMs: [],
    rssMiB: [],
    heapMiB: [],
    storeLagMs: [],
  });
  const phases = { before: blank(), outage: blank(), 'catch-up': blank(), after: blank() };
  let name: PhaseName = 'before';
  let last = { at: performance.now(), published: 0, acked: 0 };
  let isOver = false;

  async function look(): Promise<void> {
    const { published } = await brokerOf(hub);
    const { sinks } = await hub.call<{ sinks: { name: string; lagMs: number }[] }>('GET', '/v1/status');
    const now = { at: performance.now(), published, acked: load.acked() };
    const phase = phases[name];
    phase.seconds += (now.at - last.at) / 1_000;
    phase.published += now.published - last.published;
    phase.acked += now.acked - last.acked;
    for (const ms of load.takeAckMs()) phase.ackMs.push(ms);
    phase.rssMiB.push(rssOf(hub.pid));
    phase.heapMiB.push(await heapOf(hub));
    phase.storeLagMs.push(sinks.find((sink) => sink.name === 'store')!.lagMs);
    last = now;
  }

  let turn = Promise.resolve();
  const lookNext = () => {
    turn = turn.then(look);
    return turn;
  };
  const looking = (async () => {
    for (; !isOver; await sleep(SAMPLE_MS)) await lookNext();
  })();
  return {
    /** What was until now is of the phase before. */
    async enter(phase: PhaseName) {
      await lookNext();
      name = phase;
    },
    async stop() {
      isOver = true;
      await looking;
      return phases;
    },
  };
}

/** Memory of a process that is in use, in MiB. */
export function rssOf(pid: number): number {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1_024;
}

async function heapOf(hub: TestHub): Promise<number> {
  const response = await fetch(`${hub.api}/metrics`, { headers: { authorization: `Bearer ${hub.adminToken}` } });
  const [, used] = /^nodejs_heap_size_used_bytes (\S+)$/m.exec(await response.text()) ?? [];
  return Number(used) / 1_048_576;
}

async function brokerOf(hub: TestHub): Promise<BrokerStatus> {
  return (await hub.call<BridgeStatus>('GET', '/v1/bridge')).brokers[0]!;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error('it takes too long');
  }
}
