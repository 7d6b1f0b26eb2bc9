/** The servers that `bench/wire.ts` compares, each a child process: two bare baselines, and the hub with its stores. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestHub, type TestHub } from '../test/helpers/hub.ts';
import { type Influxd, startInfluxd } from '../test/helpers/influxd.ts';
import type { AckMode } from './bare-server.ts';

/** A server that is running. */
export interface Subject {
  name: string;
  pid: number;
  port: number;
  tokens: string[];
  /** Resolves when what was acknowledged has also reached the store; to false when there is none. */
  settle(): Promise<boolean>;
  stop(): Promise<void>;
}

/** What is bare acknowledges each frame, or the frames of a turn of the loop together. */
export const BARE_FRAME = 'bare, an ack a frame';
export const BARE_TURN = 'bare, an ack a turn';
/** The hub without a store costs what lies between the socket and the journal: its database is down. */
export const HUB_ROAD = 'hub, store down';
export const HUB_SQLITE = 'hub, SQLite';
export const HUB_INFLUX = 'hub, InfluxDB';

export interface SubjectOptions {
  /** Devices that may connect. */
  devices: number;
  /** More options of the hub, by the names of its environment. */
  env: Record<string, string>;
  /** The hub writes a CPU profile into this folder when it stops. */
  profileDir?: string;
}

const STARTERS: Record<string, (options: SubjectOptions) => Promise<Omit<Subject, 'name'>>> = {
  [BARE_FRAME]: (options) => startBare('frame', options),
  [BARE_TURN]: (options) => startBare('turn', options),
  [HUB_ROAD]: (options) =>
    startHub(options, { HUB_STORE__KIND: 'influx', HUB_STORE__URL: 'http://127.0.0.1:1' }, false),
  [HUB_SQLITE]: (options) => startHub(options, {}, true),
  [HUB_INFLUX]: startHubOnInflux,
};

export const SUBJECTS = Object.keys(STARTERS);

/** Starts one of `SUBJECTS`. Throws when it does not start, for example because influxd is not there. */
export async function startSubject(name: string, options: SubjectOptions): Promise<Subject> {
  return { name, ...(await STARTERS[name]!(options)) };
}

async function startBare(mode: AckMode, { devices }: SubjectOptions) {
  const dir = mkdtempSync(join(tmpdir(), 'bench-bare-'));
  const script = join(import.meta.dirname, 'bare-server.ts');
  const child = spawn(process.execPath, [script, dir, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  return {
    pid: child.pid!,
    port: Number(line),
    tokens: Array.from({ length: devices }, () => 'none'),
    settle: async () => false,
    async stop() {
      // Also ends a server that a broken generator left stopped.
      child.kill('SIGKILL');
      await once(child, 'exit');
      rmSync(dir, { recursive: true });
    },
  };
}

/** What a device may send at a time stays as it is by default; only the rate is without a limit. */
const HUB_ENV = {
  HUB_LOG__LEVEL: 'warn',
  HUB_LIMITS__READINGS_PER_SECOND: '1000000',
  HUB_LIMITS__FRAMES_PER_SECOND: '1000000',
  HUB_LIMITS__BYTES_PER_SECOND: '1000000000',
};
const ADDING = 50;
const SETTLE_MS = 120_000;
const POLL_MS = 50;

async function startHub(
  { devices, env: more, profileDir }: SubjectOptions,
  env: Record<string, string>,
  hasStore: boolean,
) {
  const profiling = profileDir && { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileDir}` };
  const hub = await startTestHub({ ...HUB_ENV, ...env, ...more, ...profiling });
  const tokens: string[] = [];
  for (let at = 0; at < devices; at += ADDING) {
    const count = Math.min(ADDING, devices - at);
    const ids = Array.from({ length: count }, (_, index) => `device-${at + index}`);
    tokens.push(...(await Promise.all(ids.map((id) => hub.addDevice(id)))));
  }
  return {
    pid: hub.pid,
    port: Number(new URL(hub.gateway).port),
    tokens,
    async settle() {
      if (hasStore) await untilStored(hub);
      return hasStore;
    },
    async stop() {
      if (profileDir) await hub.stop();
      await hub.dispose();
    },
  };
}

async function untilStored(hub: TestHub): Promise<void> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const { sinks } = await hub.call<{ sinks: { lagFrames: number }[] }>('GET', '/v1/status');
    if (sinks.every(({ lagFrames }) => lagFrames === 0)) return;
    if (performance.now() > until) throw new Error(`the store is still behind: ${JSON.stringify(sinks)}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function startHubOnInflux(options: SubjectOptions) {
  const influxd: Influxd = await startInfluxd();
  const hub = await startHub(options, { HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url }, true);
  return {
    ...hub,
    async stop() {
      await hub.stop();
      await influxd.remove();
    },
  };
}
