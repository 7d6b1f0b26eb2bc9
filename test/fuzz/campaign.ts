/** Sends so many frames of so many fuzz devices to a hub, and reports what became of them and of the hub. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { FuzzDevice, MAX_BATCH } from './fuzz-device.ts';
import { addFates, type Fates, noFates } from './model.ts';
import { type Sights, startWatch } from './watch.ts';

export interface CampaignOptions {
  frames: number;
  seed: number;
  devices: number;
  /** Options of the hub, and a program that it is started under. */
  env?: Record<string, string>;
  wrapper?: readonly string[];
  /** So many more frames have their answer. */
  onProgress?(frames: number): void;
}

export interface Campaign extends Sights {
  fates: Fates;
  closes: Record<string, number>;
  seconds: number;
  /** Everything the hub logged. */
  log: string;
  dataDir: string;
  /** Where the hub was made to write how its loop stood. */
  loopFile: string;
  exitCode: number | null;
}

const COMMAND_EVERY_ROUNDS = 20;

/** Throws the first answer that the protocol does not allow, or that the hub did not outlive it. `look`: before it stops. */
export async function runCampaign(
  options: CampaignOptions,
  look: (hub: TestHub) => Promise<void> = async () => {},
): Promise<Campaign> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  const loopFile = join(folder, 'loop.json');
  const watching = `--import ${join(import.meta.dirname, 'loop-watch.ts')}`;
  const env = { NODE_OPTIONS: watching, LOOP_WATCH_FILE: loopFile, HUB_LOG__LEVEL: 'info', ...options.env };
  const hub = await startTestHub(env, options.wrapper);
  try {
    const begin = performance.now();
    const { pid } = hub;
    const watch = await startWatch(hub, loopFile);
    const devices = await attack(hub, options);
    const seconds = (performance.now() - begin) / 1_000;
    const sights = await watch.end();
    await look(hub);
    if (hub.pid !== pid) throw new Error('the hub is another process than before');
    const exitCode = await hub.stop();
    return { ...sights, ...sumOf(devices), seconds, log: hub.log(), dataDir: hub.dataDir, loopFile, exitCode };
  } finally {
    await hub.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function attack(hub: TestHub, options: CampaignOptions): Promise<FuzzDevice[]> {
  const { frames, seed, onProgress = () => {} } = options;
  const devices: FuzzDevice[] = [];
  let left = frames;
  const attackers = Array.from({ length: options.devices }, async (_, at) => {
    const token = await hub.addDevice(`fuzz-${at}`);
    const device = new FuzzDevice({ url: hub.gateway, ca: hub.ca, token, seed: seed + at });
    devices.push(device);
    for (let round = 0; left > 0; round++) {
      if (round % COMMAND_EVERY_ROUNDS === 0) await command(hub, `fuzz-${at}`);
      const room = Math.min(left, MAX_BATCH);
      left -= room;
      const sent = await device.round(room);
      left += room - sent;
      onProgress(sent);
    }
    await device.close();
  });
  await Promise.all(attackers);
  return devices;
}

/** So that some answers are about a command that there is; a full queue is no fault. */
async function command(hub: TestHub, device: string): Promise<void> {
  const body = { name: 'set-interval', params: { seconds: 1 }, ttlMs: 60_000 };
  await hub.call('POST', `/v1/devices/${device}/commands`, body).catch((error: Error) => {
    if (!error.message.includes('queue-full')) throw error;
  });
}

function sumOf(devices: readonly FuzzDevice[]): Pick<Campaign, 'fates' | 'closes'> {
  let fates = noFates();
  const closes: Record<string, number> = {};
  for (const device of devices) {
    fates = addFates(fates, device.fates);
    for (const [code, count] of Object.entries(device.closes)) closes[code] = (closes[code] ?? 0) + count;
  }
  return { fates, closes };
}
