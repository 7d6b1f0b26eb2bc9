/** `npm run demo`: a hub on embedded defaults, twenty simulated devices, and a live view of what arrives. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { createLogUpdate } from 'log-update';
import { signInUrl } from '../hub/api/sign-in-link.ts';
import { DURATION_FORMS, parseDuration } from '../hub/api/time.ts';
import { eventsIn } from '../hub/cli/client.http.ts';
import { loadCatalog } from '../schemas/index.ts';
import { type Address, killAll, startHub, startSim, stopAll, stopChild, untilReady } from './programs.process.ts';
import { type DemoStatus, frameOf, type LastReading, summaryOf, type Units, welcome } from './view.ts';

const RECORDING = join(import.meta.dirname, '../device-sim/data/occupancy-2015-02-05.csv');
const RECORDED_FIELDS = 'temperature=temperature,humidity=humidity,co2=co2,light=light,occupied=occupancy:boolean';
/** Twenty devices of several kinds; the last one has a real day of an office behind it, and goes on with it. */
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
    'max',
    '--batch',
    '50',
    '--shift-to-now',
    '--go-on',
    '--rate',
    '0.5',
  ],
];
const EXIT_USAGE = 2;
const HELP = '\nExit code: 0 all went well; 1 it did not; 2 wrong usage.';
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
    view = startView(address, dataDir, await signInLink(address));
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
    await stopAll();
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface View {
  /** Readings in the store once it has caught up. */
  stored(): Promise<number>;
  /** Idempotent. */
  close(): void;
}

/** Signs a browser in once, as the admin. */
async function signInLink({ api, token }: Address): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${api}/v1/session/links`, { method: 'POST', headers });
  return signInUrl(api, ((await response.json()) as { link: string }).link);
}

/** Shows status and last readings until closed. `link` opens the dashboard. */
function startView({ api, gateway, mqtt, token }: Address, dataDir: string, link: string): View {
  const headers = { authorization: `Bearer ${token}` };
  const last = new Map<string, LastReading>();
  const ended = new AbortController();
  void follow(`${api}/v1/live`, headers, ended.signal, (reading) =>
    last.set(`${reading.device} ${reading.stream}`, reading),
  );
  const status = async () => (await (await fetch(`${api}/v1/status`, { headers })).json()) as DemoStatus;
  process.stdout.write(welcome(link, dataDir));
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

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError(`It is ${DURATION_FORMS}.`);
  return ms;
}

const { for: forMs } = new Command('npm run demo --')
  .description('A working hub with twenty simulated devices and a live view. Ctrl-C drains it and ends.')
  .option('--for <time>', 'end by itself after this time, such as 10s or 2m', duration)
  .addHelpText('after', HELP)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_USAGE))
  .parse()
  .opts<{ for?: number }>();

process.exitCode = await demo().catch((error: Error) => {
  process.stderr.write(`The demo cannot run: ${error.message}\n`);
  return 1;
});
