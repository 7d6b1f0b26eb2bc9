/** `npm run demo`: a hub on embedded defaults, twenty simulated devices, and a live view of what arrives. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { createLogUpdate } from 'log-update';
import { DURATION_FORMS, parseDuration } from '../hub/api/time.ts';
import { eventsIn } from '../hub/cli.http.ts';
import { loadCatalog } from '../schemas/index.ts';
import { type DemoStatus, frameOf, type LastReading, type SimReport, summaryOf, type Units } from './view.ts';

const ROOT = join(import.meta.dirname, '..');
const RECORDING = join(ROOT, 'device-sim/data/occupancy-2015-02-05.csv');
const RECORDED_FIELDS = 'temperature=temperature,humidity=humidity,co2=co2,light=light,occupied=occupancy:boolean';
/** Twenty devices of several kinds; the last one replays a real day of an office, a minute of it each second. */
const FLEETS = [
  ['--prefix', 'room-', '--stream', 'environment', '--devices', '9', '--rate', '2'],
  ['--prefix', 'meter-', '--stream', 'power', '--devices', '5', '--rate', '5'],
  ['--prefix', 'van-', '--stream', 'position', '--devices', '3', '--rate', '2'],
  ['--prefix', 'pump-', '--stream', 'machine', '--devices', '2', '--rate', '2'],
  [
    '--prefix',
    'office-',
    '--stream',
    'environment',
    '--devices',
    '1',
    '--replay',
    RECORDING,
    '--map',
    RECORDED_FIELDS,
    '--speed',
    '60',
    '--shift-to-now',
  ],
];
const START_MS = 15_000;
const STOP_MS = 40_000;
const LOOK_MS = 500;
const PLAIN_EVERY_MS = 2_000;

async function demo(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'telemetry-hub-demo-'));
  const stop = Promise.withResolvers<void>();
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (++signals > 1 ? killAll() : stop.resolve()));
  }
  const hub = await startHub(dataDir);
  hub.once('exit', () => stop.resolve());
  let view: View | undefined;
  try {
    const address = await untilReady(hub, dataDir);
    const sims = FLEETS.map((args) => startSim(dataDir, args));
    if (forMs !== undefined) setTimeout(stop.resolve, forMs);
    view = startView(address, dataDir);
    await stop.promise;
    for (const sim of sims) sim.child.kill('SIGTERM');
    const reports = await Promise.all(sims.map(({ report }) => report));
    const stored = await view.stored();
    await stopChild(hub);
    view.close();
    process.stdout.write(`\n${summaryOf(reports, stored)}`);
    return hub.exitCode === 0 && reports.every(({ sent, acked }) => sent === acked) ? 0 : 1;
  } finally {
    view?.close();
    await Promise.all(children.map(stopChild));
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Address {
  api: string;
  gateway: string;
  mqtt: string;
  token: string;
}

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

const children: ChildProcess[] = [];

/** The second signal: nobody waits for anything any more. */
function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
  process.exit(130);
}

async function startHub(dataDir: string): Promise<ChildProcess> {
  const [gateway, api, mqtt] = await Promise.all([freePort(8443), freePort(8080), freePort(1883)]);
  const ports = { HUB_GATEWAY__PORT: `${gateway}`, HUB_API__PORT: `${api}`, HUB_MQTT__LISTENER__PORT: `${mqtt}` };
  const env = { ...ports, HUB_MQTT__EMBEDDED: 'true', HUB_LOG__FORMAT: 'json' };
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

async function untilReady(hub: ChildProcess, dataDir: string): Promise<Address> {
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

/** A simulator that was stopped before it had begun. */
const NOTHING_SENT: SimReport = {
  devices: 0,
  sent: 0,
  acked: 0,
  rejected: 0,
  pending: 0,
  ackMs: { p50: 0, p99: 0, max: 0 },
};

interface View {
  /** Readings in the store once it has caught up. */
  stored(): Promise<number>;
  /** Idempotent. */
  close(): void;
}

function startSim(dataDir: string, args: string[]): { child: ChildProcess; report: Promise<SimReport> } {
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

/** Shows status and last readings until closed. */
function startView({ api, gateway, mqtt, token }: Address, dataDir: string): View {
  const headers = { authorization: `Bearer ${token}` };
  const last = new Map<string, LastReading>();
  const ended = new AbortController();
  void follow(`${api}/v1/live`, headers, ended.signal, (reading) =>
    last.set(`${reading.device} ${reading.stream}`, reading),
  );
  const status = async () => (await (await fetch(`${api}/v1/status`, { headers })).json()) as DemoStatus;
  const live = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined;
  const units = unitsOfCatalog();
  const listening = listenLine(mqtt, dataDir);
  const hint = `devices ${gateway}   operators ${api}   data ${dataDir}\n${listening}\nCtrl-C drains the hub and ends the demo.`;
  if (!live) process.stdout.write(`MQTT: ${listening}\n`);
  let plainAtMs = 0;
  const timer = setInterval(async () => {
    const now = await status().catch(() => undefined);
    if (!now || ended.signal.aborted) return;
    if (live) return live(frameOf(now, last, units, hint));
    if (Date.now() < plainAtMs + PLAIN_EVERY_MS) return;
    plainAtMs = Date.now();
    process.stdout.write(`${frameOf(now, new Map(), units, '').split('\n')[0]}\n`);
  }, LOOK_MS);
  return {
    stored: () => storedOf(status),
    close() {
      clearInterval(timer);
      ended.abort();
      live?.done();
    },
  };
}

/** What shows the telemetry in another terminal. The token stays in its file. */
function listenLine(mqtt: string, dataDir: string): string {
  const { hostname, port } = new URL(mqtt);
  const token = `"$(cat ${join(dataDir, 'admin.token')})"`;
  return `mosquitto_sub -h ${hostname} -p ${port} -u admin -P ${token} -t 'hub/#' -v`;
}

/** Readings in the store once it has caught up with the journal (or after a few seconds). */
async function storedOf(status: () => Promise<DemoStatus>): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const store = (await status()).sinks.find(({ name }) => name === 'store');
    if (!store || store.lagFrames === 0 || attempt >= 50) return store?.written ?? 0;
    await sleep(100);
  }
}

async function follow(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  onReading: (reading: LastReading) => void,
) {
  try {
    const response = await fetch(url, { headers, signal });
    for await (const { event, data } of eventsIn(response.body!)) if (event === 'reading') onReading(JSON.parse(data));
  } catch (error) {
    if (!signal.aborted) process.stderr.write(`The live view ended: ${(error as Error).message}\n`);
  }
}

/** UCUM codes that people write otherwise. */
const WRITTEN: Record<string, string> = {
  Cel: ' °C',
  '[ppm]': ' ppm',
  'kW.h': ' kWh',
  deg: '°',
  '%': ' %',
  '1': '',
  '/min': ' /min',
};

function unitsOfCatalog(): Units {
  const { streams } = loadCatalog();
  return (stream, field) => {
    const unit = streams.get(stream)?.fields.get(field)?.unit;
    return unit === undefined ? '' : (WRITTEN[unit] ?? ` ${unit}`);
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError(`It is ${DURATION_FORMS}.`);
  return ms;
}

const { for: forMs } = new Command('npm run demo --')
  .description('A working hub with twenty simulated devices and a live view. Ctrl-C drains it and ends.')
  .option('--for <time>', 'end by itself after this time, such as 10s or 2m', duration)
  .parse()
  .opts<{ for?: number }>();

process.exitCode = await demo().catch((error: Error) => {
  process.stderr.write(`The demo cannot run: ${error.message}\n`);
  return 1;
});
