/**
 * What the MQTT bridge costs: readings wait in the journal while the broker is away, then the hub publishes them with QoS 1
 * and does nothing else: `npm run bench:mqtt`. Needs mosquitto; hub, broker and listener are processes of their own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { BridgeStatus } from '../hub/bridge/status.ts';
import { startTestHub, type TestHub } from '../test/helpers/hub.ts';
import { startMosquitto } from '../test/helpers/mosquitto.ts';
import { cpuTimeOf, describeMachine, pin } from './machine.ts';
import { median } from './statistics.ts';
import { markdownTable } from './table.ts';

const { values: flags } = parseArgs({
  options: {
    readings: { type: 'string', default: '100000' },
    window: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const HELP = `npm run bench:mqtt -- [options]
  --readings N   readings that wait when the broker comes back (100000)
  --window N     messages in flight (200)
  --rounds N     outages; medians are told (3)
  --json         print JSON instead of a table
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
else await main();

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
  const before = (await brokerOf(hub)).published;
  await startBroker();
  await until(async () => (await brokerOf(hub)).state === 'connected');
  const began = { at: performance.now(), cpu: cpuTimeOf(hub.pid).all, published: (await brokerOf(hub)).published };
  await until(async () => (await brokerOf(hub)).lagFrames === 0);
  const seconds = (performance.now() - began.at) / 1000;
  const readings = (await brokerOf(hub)).published - began.published;
  const cpuUs = ((cpuTimeOf(hub.pid).all - began.cpu) * 1e6) / readings;
  if (began.published - before > Number(flags.readings) / 10) throw new Error('it began before it was looked at');
  return { readings, seconds, cpuUs, rssMiB: rssOf(hub.pid) };
}

function rssOf(pid: number): number {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
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
