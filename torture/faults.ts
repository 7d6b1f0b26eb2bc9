/** The table of faults: what happens to hub, InfluxDB, broker and disk, and what devices and operators do meanwhile. */
import { statSync, truncateSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { newestWal } from '../test/helpers/influxd.ts';
import type { Weather } from '../test/helpers/weather-proxy.ts';
import { flood, poison, reboot, replayQuarantine, revoke, takeOver, vandalise } from './field.ts';
import type { World } from './world.ts';

export interface Fault {
  kind: string;
  /** `servers` come one after the other; what happens in the `field` happens beside them. */
  lane: 'servers' | 'field';
  /** Resolves when everything is as it was before. Rejects, or adds to `world.broken`, when a promise was broken. */
  run(world: World): Promise<void>;
}

/** The promise is 25 s; the test's machine may be busy with more than the hub. */
const DRAIN_AT_MOST_MS = 30_000;

export const FAULTS: readonly Fault[] = [
  { kind: 'hub: kill -9', lane: 'servers', run: killHub },
  { kind: 'hub: kill -9 twice', lane: 'servers', run: killHubTwice },
  { kind: 'hub: SIGTERM', lane: 'servers', run: stopHub },
  { kind: 'hub: SIGSTOP', lane: 'servers', run: pauseHub },
  { kind: 'hub: its clock steps', lane: 'servers', run: stepClock },
  { kind: 'disk: full', lane: 'servers', run: fillDisk },
  { kind: 'disk: full, and kill -9', lane: 'servers', run: fillDiskAndKill },
  { kind: 'InfluxDB: kill -9', lane: 'servers', run: killInflux },
  { kind: 'InfluxDB: kill -9, torn log', lane: 'servers', run: tearInflux },
  { kind: 'InfluxDB: SIGSTOP', lane: 'servers', run: pauseInflux },
  { kind: 'InfluxDB: away with the hub', lane: 'servers', run: killBoth },
  { kind: 'InfluxDB: answers 503', lane: 'servers', run: (world) => under(world, refusing(503)) },
  { kind: 'InfluxDB: answers 500', lane: 'servers', run: (world) => under(world, refusing(500)) },
  { kind: 'InfluxDB: slow', lane: 'servers', run: (world) => under(world, { kind: 'slow', ms: 1_000 }) },
  { kind: 'InfluxDB: answers lost', lane: 'servers', run: (world) => under(world, { kind: 'cut-answer' }) },
  {
    kind: 'InfluxDB: requests cut',
    lane: 'servers',
    run: (world) => under(world, { kind: 'cut-request', bytes: 700 }),
  },
  { kind: 'broker: kill -9', lane: 'servers', run: killBroker },
  { kind: 'broker: SIGSTOP', lane: 'servers', run: pauseBroker },
  { kind: 'device: poison readings', lane: 'field', run: poison },
  { kind: 'device: flood', lane: 'field', run: flood },
  { kind: 'device: reboot', lane: 'field', run: reboot },
  { kind: 'device: second one with its token', lane: 'field', run: takeOver },
  { kind: 'device: garbage', lane: 'field', run: vandalise },
  { kind: 'operator: token revoked', lane: 'field', run: revoke },
  { kind: 'operator: quarantine replayed', lane: 'field', run: replayQuarantine },
];

const between = ({ random }: World, fromMs: number, toMs: number) => sleep(fromMs + random() * (toMs - fromMs));

// --- the hub and its disk -------------------------------------------------------------------------------------------

async function killHub(world: World): Promise<void> {
  world.outages.begin(Date.now());
  await world.hub.kill();
  await startHub(world);
}

async function startHub({ hub, outages, longest }: World): Promise<void> {
  const since = Date.now();
  await hub.start();
  outages.end(Date.now());
  longest.startMs = Math.max(longest.startMs, Date.now() - since);
}

/** The second time while it is still busy with what the first left. */
async function killHubTwice(world: World): Promise<void> {
  await killHub(world);
  await between(world, 0, 500);
  await killHub(world);
}

async function stopHub(world: World): Promise<void> {
  const { hub, outages, broken, longest } = world;
  const since = Date.now();
  outages.begin(since);
  const code = await hub.stop();
  const tookMs = Date.now() - since;
  if (code !== 0) broken.push(`the hub ended with ${code} after SIGTERM`);
  if (tookMs > DRAIN_AT_MOST_MS) broken.push(`the hub took ${tookMs} ms to end after SIGTERM`);
  longest.drainMs = Math.max(longest.drainMs, tookMs);
  await startHub(world);
}

async function pauseHub(world: World): Promise<void> {
  const { pid } = world.hub;
  world.outages.begin(Date.now());
  process.kill(pid, 'SIGSTOP');
  await between(world, 500, 5_000);
  process.kill(pid, 'SIGCONT');
  // It has to catch up with its timers.
  await sleep(500);
  world.outages.end(Date.now());
}

/** Ahead and back. Not further than a late answer to a command is borne, because deadlines are times of the clock. */
async function stepClock(world: World): Promise<void> {
  process.kill(world.hub.pid, 'SIGUSR2');
  await between(world, 500, 4_000);
  process.kill(world.hub.pid, 'SIGUSR2');
}

async function fillDisk(world: World): Promise<void> {
  world.fullDisks.begin(Date.now());
  world.disk.fill();
  await between(world, 1_000, 5_000);
  world.disk.free();
  world.fullDisks.end(Date.now());
}

/** A start on a full disk is refused with a word, so the room comes back between. */
async function fillDiskAndKill(world: World): Promise<void> {
  world.fullDisks.begin(Date.now());
  world.disk.fill();
  await between(world, 500, 2_000);
  world.outages.begin(Date.now());
  await world.hub.kill();
  world.disk.free();
  await startHub(world);
  world.fullDisks.end(Date.now());
}

// --- InfluxDB and the broker ----------------------------------------------------------------------------------------

async function killInflux(world: World): Promise<void> {
  await world.influxd.kill();
  await between(world, 0, 4_000);
  await world.influxd.start();
}

/** As after a power cut: the last bytes of its log are gone, though it had acknowledged them. */
async function tearInflux({ influxd, random }: World): Promise<void> {
  await influxd.kill();
  const path = newestWal(influxd, 'telemetry');
  if (path !== undefined) {
    const { size } = statSync(path);
    truncateSync(path, size - Math.min(size, 1 + Math.floor(random() * 4096)));
  }
  await influxd.start();
}

async function pauseInflux(world: World): Promise<void> {
  world.influxd.pause();
  await between(world, 500, 6_000);
  world.influxd.resume();
}

async function killBoth(world: World): Promise<void> {
  world.outages.begin(Date.now());
  await Promise.all([world.hub.kill(), world.influxd.kill()]);
  await startHub(world);
  await between(world, 0, 3_000);
  await world.influxd.start();
}

const refusing = (status: number): Weather => ({ kind: 'answer', status });

async function under(world: World, weather: Weather): Promise<void> {
  world.weather.weather = weather;
  await between(world, 1_000, 5_000);
  world.weather.weather = { kind: 'fair' };
}

async function killBroker(world: World): Promise<void> {
  await world.mosquitto.kill();
  await between(world, 0, 3_000);
  await world.mosquitto.start();
}

async function pauseBroker(world: World): Promise<void> {
  world.mosquitto.pause();
  await between(world, 500, 6_000);
  world.mosquitto.resume();
}
