/** After the torture: waits until everything has come to rest, then holds what is stored against the ledgers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { balanceOf, careOf, storedOf } from '../test/helpers/stored.ts';
import type { TortureDevice } from './device.ts';
import { keepEvidence } from './evidence.ts';
import type { AckFigures } from './latencies.ts';
import type { OrderFigures } from './orders.ts';
import type { Moment } from './run.ts';
import type { World } from './world.ts';

export interface Figures {
  tortureSeconds: number;
  settleSeconds: number;
  devices: number;
  /** Readings. */
  sent: number;
  acked: number;
  /** Sent, and never acknowledged. */
  unanswered: number;
  rejected: number;
  quarantined: number;
  stored: number;
  /** Acknowledged, and not stored as sent. */
  lost: number;
  /** Stored, and never sent so. */
  phantom: number;
  /** Rows beyond one for each reading. */
  duplicated: number;
  /** Poison that is neither in the quarantine nor stored. */
  poison: number;
  poisonLost: number;
  wronglyRejected: number;
  /** Acknowledged, and never acknowledged by the broker. */
  bridgeLost: number;
  bridgeRepeated: number;
  orders: OrderFigures;
  /** How often devices were asked to wait, by the reason. */
  flows: Record<string, number>;
  acks: AckFigures;
  rssMaxMib: number;
  /** From the start of the hub's process until it was ready, and from SIGTERM until it was gone. */
  startMaxMs: number;
  drainMaxMs: number;
  /** Readings that were written to InfluxDB again after it was restarted, since the hub's last start. */
  replayed: number;
  /** Tokens that stand in the hub's log. */
  leakedTokens: number;
  faults: Record<string, number>;
  /** What could not be tried here, and why. */
  /** What faults, and the wait for peace, found to be wrong. */
  broken: string[];
  /** Folder with what is lost, the journal and the hub's log. */
  evidence?: string;
}

const PEACE_MS = 180_000;
const LOOK_MS = 500;

/** Waits for peace first. `tortureMs`: how long there was none. */
export async function judge(world: World, moment: Moment, tortureMs: number): Promise<Figures> {
  const since = Date.now();
  const { devices, broken } = world;
  for (const [what, isDone] of PEACE) await untilPeace(world, what, isDone);
  const settleSeconds = (Date.now() - since) / 1000;
  moment.phase = 'judging';
  const balance = await untilBalanced(world);
  const sum = (count: (device: TortureDevice) => number) => devices.reduce((total, each) => total + count(each), 0);
  const acked = sum(({ acked, ackedPoison }) => acked.size + ackedPoison.size);
  return {
    tortureSeconds: tortureMs / 1000,
    settleSeconds,
    devices: devices.length,
    sent: sum(({ sentReadings }) => sentReadings),
    acked,
    unanswered: sum(({ sentReadings }) => sentReadings) - acked,
    rejected: sum(({ ackedPoison }) => [...ackedPoison.values()].filter((kind) => kind === 'refused-by-hub').length),
    wronglyRejected: sum(({ wronglyRejected }) => wronglyRejected),
    stored: await rowsOf(world),
    ...balance,
    ...(await poisonOf(world)),
    ...bridgeOf(world),
    orders: await world.orders.judge(),
    flows: flowsOf(devices),
    acks: world.acks.figures(),
    rssMaxMib: moment.rssMaxMib,
    startMaxMs: world.longest.startMs,
    drainMaxMs: world.longest.drainMs,
    replayed: (await careOf(world.hub)).replayed,
    leakedTokens: leaksOf(world),
    faults: Object.fromEntries([...moment.faults].toSorted(([a], [b]) => a.localeCompare(b))),
    broken,
    ...(balance.lost > 0 && { evidence: await keepEvidence(world) }),
  };
}

// --- peace ----------------------------------------------------------------------------------------------------------

type Peace = [what: string, isDone: (world: World) => boolean | Promise<boolean>];

/** Each in its turn, as the later need the earlier. */
const PEACE: Peace[] = [
  ['every device is online', ({ devices }) => devices.every(({ state }) => state === 'online')],
  ['every frame is acknowledged', ({ devices }) => devices.every(({ heldFrames }) => heldFrames === 0)],
  ['the store has everything', async ({ hub }) => (await careOf(hub)).lagFrames === 0],
  ['the broker has everything', async ({ hub }) => (await brokerLag(hub)) === 0],
  ['every command has ended', async ({ orders }) => (await orders.open()) === 0],
  ['the replay is over', async ({ hub }) => (await careOf(hub)).leftFrames === 0],
];

async function untilPeace(world: World, what: string, isDone: Peace[1]): Promise<void> {
  const deadline = Date.now() + PEACE_MS;
  while (!(await Promise.resolve(isDone(world)).catch(() => false))) {
    if (Date.now() > deadline)
      return void world.broken.push(`in ${PEACE_MS / 1000} s it did not come true that ${what}`);
    await sleep(LOOK_MS);
  }
}

async function brokerLag(hub: World['hub']): Promise<number> {
  const { brokers } = await hub.call<{ brokers: { lagFrames: number }[] }>('GET', '/v1/bridge');
  return brokers.reduce((total, { lagFrames }) => total + lagFrames, 0);
}

// --- what is where --------------------------------------------------------------------------------------------------

/** The hub notices a restart of InfluxDB within seconds and fills it again, so what is missing may still come. */
async function untilBalanced({ hub, devices }: World) {
  for (const deadline = Date.now() + PEACE_MS / 3; ; await sleep(5 * LOOK_MS)) {
    const balance = await balanceOf(hub, devices);
    if (balance.lost + balance.phantom + balance.duplicated === 0 || Date.now() > deadline) return balance;
  }
}

/** Asked of InfluxDB itself, past the hub. */
async function rowsOf({ influxd }: World): Promise<number> {
  const [series] = await influxd.query('SELECT count(light) FROM environment', 'telemetry');
  return Number(series?.values[0]?.[1] ?? 0);
}

async function poisonOf({ hub, devices }: World) {
  const quarantined = await quarantineOf(hub);
  let poison = 0;
  let poisonLost = 0;
  for (const device of devices) {
    poison += device.ackedPoison.size;
    const missing = [...device.ackedPoison].filter(([ts]) => !quarantined.has(`${device.id} ${ts}`));
    if (missing.length === 0) continue;
    const { values } = await storedOf(hub, device);
    poisonLost += missing.filter(([ts, kind]) => kind === 'refused-by-hub' || !values.has(ts)).length;
  }
  return { poison, poisonLost, quarantined: quarantined.size };
}

/** Each as `device ts`. */
async function quarantineOf(hub: World['hub']): Promise<Set<string>> {
  type Page = { readings: { device: string; reading: { ts?: number } }[]; next?: string | number };
  const found = new Set<string>();
  for (let cursor = ''; ; ) {
    const page = await hub.call<Page>('GET', `/v1/quarantine?limit=1000${cursor}`);
    for (const { device, reading } of page.readings) if (reading?.ts) found.add(`${device} ${reading.ts}`);
    if (page.next === undefined) return found;
    cursor = `&cursor=${page.next}`;
  }
}

/** By what the broker acknowledged: what it forgets itself when it is killed is not the hub's. */
function bridgeOf({ tap, devices }: World) {
  const told = new Set(
    tap.acknowledged.map((payload) => {
      const { co2, ts } = JSON.parse(payload) as { co2: number; ts: number };
      return `${co2} ${ts}`;
    }),
  );
  const missing = ({ index, acked }: TortureDevice) => [...acked.keys()].filter((ts) => !told.has(`${index} ${ts}`));
  const bridgeLost = devices.reduce((total, device) => total + missing(device).length, 0);
  return { bridgeLost, bridgeRepeated: tap.acknowledged.length - told.size };
}

function flowsOf(devices: readonly TortureDevice[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { flows } of devices) for (const [reason, times] of flows) sum[reason] = (sum[reason] ?? 0) + times;
  return sum;
}

function leaksOf({ hub, devices }: World): number {
  const log = hub.log();
  return [hub.adminToken, ...devices.map(({ token }) => token)].filter((token) => log.includes(token)).length;
}
