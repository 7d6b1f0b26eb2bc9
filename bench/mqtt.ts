/**
 * What the MQTT bridge costs: readings wait in the journal while the broker is away, then the hub publishes them with QoS 1
 * and does nothing else: `npm run bench:mqtt`. Hub, broker and listener are processes of their own; Mosquitto is needed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDuration } from '../hub/api/time.ts';
import type { BridgeStatus } from '../hub/bridge/status.ts';
import { startTestHub, type TestHub } from '../test/helpers/hub.ts';
import { startMosquitto } from '../test/helpers/mosquitto.ts';
import { rssOf } from '../test/helpers/mqtt-outage.ts';
import { flagsOf, wrongUsage } from './flags.ts';
import { cpuTimeOf, describeMachine, pin } from './machine.ts';
import { benchOutages, outagesOf, outageText } from './mqtt-outage.ts';
import { median } from './statistics.ts';
import { markdownTable } from './table.ts';

const flags = flagsOf({
  readings: { type: 'string', default: '100000' },
  window: { type: 'string', default: '200' },
  rounds: { type: 'string', default: '3' },
  broker: { type: 'string', default: 'mosquitto' },
  outage: { type: 'string' },
  how: { type: 'string', default: 'all' },
  devices: { type: 'string', default: '20' },
  rate: { type: 'string', default: '2000' },
  set: { type: 'string', multiple: true, default: [] },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

const HELP = `npm run bench:mqtt -- [options]
  --readings N   readings that wait when the broker comes back (100000)
  --window N     messages in flight (200)
  --rounds N     outages; medians are told (3)
  --broker NAME  mosquitto, or embedded: the hub's own (mosquitto)
  --json         print JSON instead of a table

npm run bench:mqtt -- --outage 60s [options]
  --outage TIME  an outage of that length under load, with as much time before and after
  --how KIND     stopped, paused (SIGSTOP), killed (again and again), or all (all)
  --devices N    devices that send (20)
  --rate N       readings a second of all devices together (2000)
  --set NAME=V   an option of the hub, such as HUB_JOURNAL__MEMORY_READINGS=1000; may be given often
`;

const HUB_CORE = 0;
const OTHERS_CORE = 1;
const PATIENCE_MS = 300_000;
const DEVICES = 50;
const RATE = 100;

interface Round {
  readings: number;
  seconds: number;
  /** Processor of the hub for one reading, in microseconds. */
  cpuUs: number;
  rssMiB: number;
}

if (flags.help) process.stdout.write(HELP);
else if (flags.outage !== undefined) await outage(flags.outage);
else if (flags.broker === 'embedded') await embedded();
else if (flags.broker === 'mosquitto') await main();
else wrongUsage(`--broker is "${flags.broker}"; it must be mosquitto or embedded.`);

async function outage(length: string): Promise<void> {
  const outageMs = parseDuration(length) ?? wrongUsage(`--outage is "${length}"; it must be a duration such as 60s.`);
  if (!outagesOf(flags.how)) wrongUsage(`--how is "${flags.how}"; it must be stopped, paused, killed or all.`);
  const load = { devices: Number(flags.devices), readingsPerSecond: Number(flags.rate) };
  const reports = await benchOutages({ outageMs, how: flags.how, env: envOf(flags.set), ...load });
  const machine = describeMachine();
  if (flags.json) process.stdout.write(`${JSON.stringify({ machine, flags, reports }, null, 2)}\n`);
  else process.stdout.write(`${machine}, ${new Date().toISOString()}\n\n${outageText(reports)}`);
}

function envOf(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    settings.map((setting) => [setting.split('=')[0]!, setting.slice(setting.indexOf('=') + 1)]),
  );
}

/** Its own broker is never away while the hub runs, so it runs without it until the readings wait. */
async function embedded(): Promise<void> {
  const env: Record<string, string> = { HUB_LOG__LEVEL: 'warn', HUB_MQTT__EMBEDDED: 'true' };
  const hub = await startTestHub(env);
  try {
    const rounds: Round[] = [];
    for (let round = 0; round < Number(flags.rounds); round++) {
      await restart(hub, env, 'false');
      await fill(hub);
      rounds.push(await catchUp(hub, () => restart(hub, env, 'true')));
    }
    report(rounds);
  } finally {
    await hub.dispose();
  }
}

async function restart(hub: TestHub, env: Record<string, string>, isEmbedded: string): Promise<void> {
  await hub.stop();
  env.HUB_MQTT__EMBEDDED = isEmbedded;
  await hub.start();
  pin(hub.pid, HUB_CORE);
}

async function main(): Promise<void> {
  const mosquitto = await startMosquitto({ isQuiet: true, config: 'allow_anonymous true\nmax_queued_messages 0' });
  const brokers = [{ url: mosquitto.url, windowMessages: Number(flags.window) }];
  const hub = await startTestHub({ HUB_LOG__LEVEL: 'warn', HUB_MQTT__BROKERS: JSON.stringify(brokers) });
  pin(hub.pid, HUB_CORE);
  try {
    const rounds: Round[] = [];
    for (let round = 0; round < Number(flags.rounds); round++) {
      await mosquitto.stop();
      await fill(hub);
      rounds.push(await catchUp(hub, () => mosquitto.start()));
    }
    report(rounds);
  } finally {
    await hub.dispose();
    await mosquitto.remove();
  }
}

/** Lets simulated devices send until so many readings wait for the broker, and the store has them all. */
async function fill(hub: TestHub): Promise<void> {
  const script = `${import.meta.dirname}/../device-sim/main.ts`;
  const options = ['--data', hub.dataDir, '--devices', String(DEVICES), '--rate', String(RATE), '--for', '1h'];
  const before = (await statusOf(hub)).readings.accepted;
  const fleet = spawn(process.execPath, [script, ...options], { stdio: 'ignore' });
  pin(fleet.pid!, OTHERS_CORE);
  await until(async () => (await statusOf(hub)).readings.accepted - before >= Number(flags.readings));
  fleet.kill('SIGTERM');
  await once(fleet, 'exit');
  await until(async () => (await statusOf(hub)).sinks.find(({ name }) => name === 'store')?.lagFrames === 0);
}

async function catchUp(hub: TestHub, startBroker: () => Promise<void>): Promise<Round> {
  await startBroker();
  await until(async () => (await brokerOf(hub)).state === 'connected');
  const began = { at: performance.now(), cpu: cpuTimeOf(hub.pid).all, published: (await brokerOf(hub)).published };
  await until(async () => (await brokerOf(hub)).lagFrames === 0);
  const seconds = (performance.now() - began.at) / 1000;
  const readings = (await brokerOf(hub)).published - began.published;
  const cpuUs = ((cpuTimeOf(hub.pid).all - began.cpu) * 1e6) / readings;
  if (readings < 0.9 * Number(flags.readings)) throw new Error('it began before it was looked at');
  return { readings, seconds, cpuUs, rssMiB: rssOf(hub.pid) };
}

function report(rounds: Round[]): void {
  const machine = describeMachine();
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ machine, flags, rounds }, null, 2)}\n`);
    return;
  }
  const rows = [
    ['readings that waited, in each round', rounds.map(({ readings }) => readings).join(' ')],
    ['published and acknowledged, QoS 1', `${median(rounds.map((r) => r.readings / r.seconds)).toFixed(0)} readings/s`],
    ['processor of the hub', `${median(rounds.map((r) => r.cpuUs)).toFixed(0)} µs each`],
    ['memory of the hub afterwards, in each round', `${rounds.map((r) => r.rssMiB.toFixed(0)).join(' ')} MiB`],
  ];
  process.stdout.write(`${machine}, ${new Date().toISOString()}\n${markdownTable(['MQTT bridge', ''], rows)}\n`);
}

async function brokerOf(hub: TestHub): Promise<BridgeStatus['brokers'][number]> {
  return (await hub.call<BridgeStatus>('GET', '/v1/bridge')).brokers[0]!;
}

function statusOf(
  hub: TestHub,
): Promise<{ readings: { accepted: number }; sinks: { name: string; lagFrames: number }[] }> {
  return hub.call('GET', '/v1/status');
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error('it takes too long');
  }
}
