/**
 * What a command costs: one to each of many connected devices at once, and single ones, while telemetry comes in:
 * `npm run bench:commands`. Hub and simulator are processes of their own; medians of several rounds are told.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from '../hub/commands/command.ts';
import type { Group } from '../hub/commands/group.ts';
import { startTestHub, type TestHub } from '../test/helpers/hub.ts';
import { flagsOf } from './flags.ts';
import { cpuTimeOf, describeMachine, pin } from './machine.ts';
import { Histogram, median } from './statistics.ts';
import { markdownTable } from './table.ts';

const flags = flagsOf({
  devices: { type: 'string', default: '1000' },
  readings: { type: 'string', default: '5000' },
  rounds: { type: 'string', default: '5' },
  singles: { type: 'string', default: '1000' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

const HELP = `npm run bench:commands -- [options]
  --devices N    connected devices (1000)
  --readings N   readings a second of all devices together, meanwhile; 0 for none (5000)
  --rounds N     commands to the whole group; medians are told (5)
  --singles N    commands to one device after the other, for the round trip (1000)
  --json         print JSON instead of tables
`;

const HUB_CORE = 0;
const SIMULATOR_CORE = 1;
const PATIENCE_MS = 60_000;
const WARM_MS = 2_000;
/** A device that shall be quiet still says something now and then. */
const QUIET_RATE = 0.01;

interface Round {
  devices: number;
  succeeded: number;
  lastResultMs: number;
  commandsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

if (flags.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const devices = Number(flags.devices);
  const hub = await startTestHub({ HUB_LOG__LEVEL: 'warn' });
  pin(hub.pid, HUB_CORE);
  const fleet = simulate(hub, devices);
  try {
    await until(async () => (await statusOf(hub)).devices.online === devices);
    await sleep(WARM_MS);
    const before = { ...(await statusOf(hub)), at: performance.now(), cpu: cpuTimeOf(hub.pid).all };
    const rounds: Round[] = [];
    for (let round = 0; round < Number(flags.rounds); round++) rounds.push(await toAll(hub));
    const single = await oneByOne(hub, devices);
    const seconds = (performance.now() - before.at) / 1000;
    const after = await statusOf(hub);
    report(rounds, single, {
      readingsPerSecond: (after.readings.accepted - before.readings.accepted) / seconds,
      hubBusy: (cpuTimeOf(hub.pid).all - before.cpu) / seconds,
    });
  } finally {
    fleet.kill('SIGKILL');
    await once(fleet, 'exit');
    await hub.dispose();
  }
}

function simulate(hub: TestHub, devices: number) {
  const rate = Math.max(QUIET_RATE, Number(flags.readings) / devices);
  const script = `${import.meta.dirname}/../device-sim/main.ts`;
  const options = ['--data', hub.dataDir, '--devices', String(devices), '--rate', String(rate), '--for', '1h'];
  const child = spawn(process.execPath, [script, ...options], { stdio: 'ignore' });
  pin(child.pid!, SIMULATOR_CORE);
  return child;
}

/** A command to every device at once, by the hub's own records. */
async function toAll(hub: TestHub): Promise<Round> {
  const order = { selector: { tags: {} }, name: 'identify' };
  const { id } = await hub.call<{ id: string }>('POST', '/v1/commands', order);
  await until(async () => (await hub.call<Group>('GET', `/v1/groups/${id}`)).finished);
  const { total, counts } = await hub.call<Group>('GET', `/v1/groups/${id}`);
  const commands = await commandsOf(hub, id);
  const first = Math.min(...commands.map(({ createdAt }) => createdAt));
  const lastResultMs = Math.max(...commands.map(({ finishedAt = Number.NaN }) => finishedAt)) - first;
  const trips = new Histogram();
  for (const { createdAt, finishedAt = Number.NaN } of commands) trips.add(finishedAt - createdAt);
  return {
    ...{ devices: total, succeeded: counts.succeeded, lastResultMs },
    commandsPerSecond: (total * 1000) / lastResultMs,
    ...{ p50Ms: trips.quantile(0.5), p99Ms: trips.quantile(0.99) },
  };
}

async function commandsOf(hub: TestHub, group: string): Promise<Command[]> {
  const found: Command[] = [];
  let path: string | undefined = `/v1/commands?limit=1000&group=${group}`;
  while (path) {
    const page: { commands: Command[]; next?: string } = await hub.call('GET', path);
    found.push(...page.commands);
    path = page.next && `/v1/commands?limit=1000&group=${group}&cursor=${page.next}`;
  }
  return found;
}

/** From the request of an operator to the result in the answer, one after the other. */
async function oneByOne(hub: TestHub, devices: number): Promise<{ p50Ms: number; p99Ms: number }> {
  const { devices: known } = await hub.call<{ devices: { id: string }[] }>(
    'GET',
    `/v1/devices?limit=${Math.min(devices, 1000)}`,
  );
  const trips = new Histogram();
  for (let count = 0; count < Number(flags.singles); count++) {
    const { id } = known[(count * 7) % known.length]!;
    const began = performance.now();
    const { state } = await hub.call<Command>('POST', `/v1/devices/${id}/commands?wait=10s`, { name: 'identify' });
    if (state !== 'succeeded') throw new Error(`${id} answered nothing: ${state}`);
    trips.add(performance.now() - began);
  }
  return { p50Ms: trips.quantile(0.5), p99Ms: trips.quantile(0.99) };
}

interface Background {
  readingsPerSecond: number;
  hubBusy: number;
}

function report(rounds: Round[], single: { p50Ms: number; p99Ms: number }, background: Background): void {
  const machine = describeMachine();
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ machine, flags, rounds, single, background }, null, 2)}\n`);
    return;
  }
  const middle = (name: keyof Round) => median(rounds.map((round) => round[name]));
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const rows = [
    ['devices that succeeded, of all, in each round', rounds.map((r) => `${r.succeeded}/${r.devices}`).join(' ')],
    ['command to all: time to the last result', ms(middle('lastResultMs'))],
    ['commands/s', middle('commandsPerSecond').toFixed(0)],
    ['one of them, p50 / p99', `${ms(middle('p50Ms'))} / ${ms(middle('p99Ms'))}`],
    ['single command by HTTP with its result, p50 / p99', `${ms(single.p50Ms)} / ${ms(single.p99Ms)}`],
    ['readings/s meanwhile', background.readingsPerSecond.toFixed(0)],
    ['processor of the hub', `${(background.hubBusy * 100).toFixed(0)} % of a core`],
  ];
  process.stdout.write(`${machine}, ${new Date().toISOString()}\n${markdownTable(['commands', ''], rows)}\n`);
}

interface Status {
  devices: { online: number };
  readings: { accepted: number };
}

function statusOf(hub: TestHub): Promise<Status> {
  return hub.call('GET', '/v1/status');
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error('it takes too long');
  }
}
