/** An outage of the broker under load, from devices to a subscriber: what arrives, and what it costs the hub meanwhile. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { BridgeStatus, BrokerStatus } from '../../hub/bridge/status.ts';
import { startTestHub, type TestHub } from './hub.ts';
import { type Mosquitto, startMosquitto } from './mosquitto.ts';
import { startMqttTap } from './mqtt-tap.ts';

export const OUTAGES = ['stopped', 'paused', 'killed'] as const;
export type OutageKind = (typeof OUTAGES)[number];

export interface OutageOptions {
  /** `stopped`: by SIGTERM. `paused`: by SIGSTOP. `killed`: by SIGKILL, again and again. */
  how: OutageKind;
  outageMs: number;
  /** Load before the outage, and after everything has caught up. */
  steadyMs: number;
  devices: number;
  readingsPerSecond: number;
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
    await until(async () => (await brokerOf(hub)).lagFrames <= load.framesPerTick);
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

/** Devices that send numbered readings at a steady rate, all of them at each tick; 200,000 of each, the field's bound. */
async function startLoad(hub: TestHub, { devices, readingsPerSecond }: OutageOptions) {
  const size = Math.max(1, Math.round((readingsPerSecond * TICK_MS) / 1_000 / devices));
  const fleet = await Promise.all(Array.from({ length: devices }, (_, at) => connectDevice(hub, `load-${at}`)));
  const timer = setInterval(() => {
    for (const device of fleet) device.send(size);
  }, TICK_MS);
  let stopped: Promise<void> | undefined;
  const sum = (of: (device: (typeof fleet)[number]) => number) => fleet.reduce((all, each) => all + of(each), 0);
  return {
    framesPerTick: devices,
    acked: () => sum(({ acked }) => acked()),
    /** Milliseconds from sending to acknowledgement, of the frames that were acknowledged since the last call. */
    takeAckMs: () => fleet.flatMap(({ ackMs }) => ackMs.splice(0)),
    stop() {
      clearInterval(timer);
      stopped ??= until(async () => sum(({ waiting }) => waiting()) === 0).finally(() =>
        Promise.all(fleet.map(({ stop }) => stop())),
      );
      return stopped;
    },
  };
}

async function connectDevice(hub: TestHub, id: string) {
  const connect = createConnect({ url: hub.gateway, ca: hub.ca });
  const token = await hub.addDevice(id);
  /** By number of the frame. */
  const sent = new Map<number, { at: number; size: number }>();
  const ackMs: number[] = [];
  const firstTs = Date.now();
  let count = 0;
  let acked = 0;
  const device = new Device(
    connect,
    { token, outboxReadings: 1_000_000 },
    {
      onAck({ seq }) {
        const { at = 0, size = 0 } = sent.get(seq) ?? {};
        sent.delete(seq);
        acked += size;
        ackMs.push(performance.now() - at);
      },
    },
  );
  device.start();
  return {
    ackMs,
    acked: () => acked,
    waiting: () => sent.size,
    stop: () => device.stop(),
    send(size: number) {
      const readings = Array.from({ length: size }, () => ({ ts: firstTs + count, light: count++ }));
      sent.set(device.send('environment', readings), { at: performance.now(), size });
    },
  };
}

/** Looks at the hub twice a second, and keeps what it sees by phase. */
function startWatch(hub: TestHub, load: { acked(): number; takeAckMs(): number[] }) {
  const blank = (): Phase => ({ seconds: 0, published: 0, acked: 0, ackMs: [], rssMiB: [], storeLagMs: [] });
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

async function brokerOf(hub: TestHub): Promise<BrokerStatus> {
  return (await hub.call<BridgeStatus>('GET', '/v1/bridge')).brokers[0]!;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error('it takes too long');
  }
}
