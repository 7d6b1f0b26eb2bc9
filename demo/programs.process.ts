/** The demo's own processes: a hub and simulators, started apart from the terminal, and ended with the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SimReport } from './view.ts';

const ROOT = join(import.meta.dirname, '..');
const START_MS = 15_000;
const STOP_MS = 40_000;

/** Where a running hub is found, and the token of its admin. */
export interface Address {
  api: string;
  gateway: string;
  token: string;
}

/** A simulator that was stopped before it had begun. */
const NOTHING_SENT: SimReport = {
  devices: 0,
  sent: 0,
  acked: 0,
  rejected: 0,
  pending: 0,
  ackMs: { p50: 0, p99: 0, max: 0 },
};

/** All that were started. */
const children: ChildProcess[] = [];

/** The children are kept out of the terminal's process group, so that Ctrl-C reaches the demo alone. */
function start(script: string, args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  const options = { env: { ...process.env, ...env }, cwd: ROOT, detached: true };
  const child = spawn(process.execPath, [join(ROOT, script), ...args], {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

/** The second signal: nobody waits for anything any more. */
export function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
  process.exit(130);
}

/** A hub with the embedded defaults, on the usual ports if they are free. */
export async function startHub(dataDir: string): Promise<ChildProcess> {
  const [gateway, api] = await Promise.all([freePort(8443), freePort(8080)]);
  const env = { HUB_GATEWAY__PORT: String(gateway), HUB_API__PORT: String(api), HUB_LOG__FORMAT: 'json' };
  const hub = start('hub/main.ts', ['start', '--config', 'config/hub.yaml', '--data', dataDir], env);
  hub.stderr?.pipe(createWriteStream(join(dataDir, 'hub.log')));
  return hub;
}

/** The usual port if nobody has it, else any (0). */
async function freePort(usual: number): Promise<number> {
  const probe = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(usual, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
  if (!isFree) process.stderr.write(`Port ${usual} is taken; the demo uses another one.\n`);
  return isFree ? usual : 0;
}

/** Resolves when the hub answers. Rejects with what it said, when it ends before. */
export async function untilReady(hub: ChildProcess, dataDir: string): Promise<Address> {
  const file = join(dataDir, 'hub.json');
  const until = Date.now() + START_MS;
  while (hub.exitCode === null && Date.now() < until) {
    if (existsSync(file)) {
      const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
      return { ...JSON.parse(readFileSync(file, 'utf8')), token };
    }
    await sleep(50);
  }
  const log = existsSync(join(dataDir, 'hub.log')) ? readFileSync(join(dataDir, 'hub.log'), 'utf8').trim() : '';
  throw new Error(`the hub did not start. It said:\n${log || '(nothing)'}`);
}

/** A simulator, and what it says at its end; the report rejects when the simulator fails. */
export function startSim(dataDir: string, args: string[]): { child: ChildProcess; report: Promise<SimReport> } {
  const tokens = join(dataDir, `${args[1]}tokens.json`);
  const child = start('device-sim/main.ts', ['--data', dataDir, '--tokens', tokens, '--json', ...args], {});
  let [output, errors] = ['', ''];
  child.stdout?.on('data', (chunk) => (output += chunk));
  child.stderr?.on('data', (chunk) => (errors += chunk));
  const report = new Promise<SimReport>((resolve, reject) => {
    child.once('exit', () => {
      if (output.startsWith('{')) resolve(JSON.parse(output));
      else if (child.signalCode !== null) resolve(NOTHING_SENT);
      else reject(new Error(`a simulator failed: ${errors.trim() || 'no report'}`));
    });
  });
  report.catch(() => {});
  return { child, report };
}

/** Resolves when it is gone: asked first, and killed when it takes too long. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
}

/** Ends whatever still runs. */
export async function stopAll(): Promise<void> {
  await Promise.all(children.map(stopChild));
}
