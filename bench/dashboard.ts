/**
 * Whether the dashboard stays responsive beside a large fleet, and what open dashboards cost the hub: `npm run bench:dashboard`.
 * Hub, simulator and Chromium are processes of their own; the page is the real one, used as a person would. Ten of them would want
 * more cores than there are, so those are readers that do what the one does.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { openBackplane } from '../hub/backplane/backplane.sqlite.ts';
import { createDevices } from '../hub/devices/devices.ts';
import { openBrowser, openPage, signIn } from '../test/helpers/browser.ts';
import { startTestHub, type TestHub } from '../test/helpers/hub.ts';
import { simulate } from '../test/helpers/simulated.ts';
import { type PageCost, pageCost, scrollAbout } from './dashboard-page.ts';
import { noteHabits, openReaders } from './dashboard-readers.ts';
import { flagsOf } from './flags.ts';
import { cpuTimeOf, describeMachine } from './machine.ts';
import { markdownTable } from './table.ts';

const flags = flagsOf({
  devices: { type: 'string', default: '10000' },
  readings: { type: 'string', default: '5000' },
  pages: { type: 'string', default: '10' },
  seconds: { type: 'string', default: '60' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

const HELP = `npm run bench:dashboard -- [options]
  --devices N    connected devices (10000)
  --readings N   readings a second of all devices together (5000)
  --pages N      dashboards that are open at once in the last part, repeated from what a real one does (10)
  --seconds N    how long each part is measured (60)
  --json         print JSON instead of tables
`;

const PREFIX = 'd-';
const ADDED_AT_ONCE = 500;
const PATIENCE_MS = 600_000;
const WARM_MS = 5_000;
/** What the hub did in a part. */
interface HubCost {
  busy: number;
  readingsPerSecond: number;
}

if (flags.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const count = Number(flags.devices);
  const hub = await startTestHub({ HUB_LOG__LEVEL: 'warn', HUB_GATEWAY__TLS__ENABLED: 'false' });
  await hub.stop();
  await enrol(hub.dataDir, count);
  await hub.start();
  const rate = String(Number(flags.readings) / count);
  const fleet = simulate(hub, PREFIX, '--devices', String(count), '--rate', rate, '--stream', 'environment');
  const browser = await openBrowser();
  try {
    await until(async () => isHere((await statusOf(hub)).devices, count));
    await sleep(WARM_MS);
    report(await parts(hub, browser));
  } finally {
    await browser.close();
    await fleet.stop();
    await hub.dispose();
  }
}

/** Writes the devices into the hub's tables, and their tokens where the simulator looks. */
async function enrol(dataDir: string, count: number): Promise<void> {
  const backplane = openBackplane(join(dataDir, 'hub.db'));
  const devices = createDevices(backplane.table('devices'), { seen: backplane.table('seen') });
  const tokens: Record<string, string> = {};
  for (let first = 1; first <= count; first += ADDED_AT_ONCE) {
    const ids = Array.from({ length: Math.min(ADDED_AT_ONCE, count - first + 1) }, (_, at) => idOf(first + at));
    const made = await Promise.all(ids.map((id, at) => devices.add(id, { tags: { floor: String(at % 20) } })));
    for (const { device, token } of made) tokens[device.id] = token;
  }
  await devices.close();
  await backplane.close();
  await writeFile(join(dataDir, `${PREFIX}tokens.json`), JSON.stringify(tokens), { mode: 0o600 });
}

/** As the simulator calls them. */
function idOf(number: number): string {
  return `${PREFIX}${String(number).padStart(4, '0')}`;
}

async function parts(hub: TestHub, browser: Browser) {
  const alone = await hubCost(hub, measured);
  const { page, close } = await openPage(browser, hub.api);
  await signIn(page, hub.api, hub.adminToken);
  const opening = await openList(page, hub);
  const list = await pageCost(page, () => hubCost(hub, () => scrollAbout(page, Number(flags.seconds))));
  await close();
  const second = await openPage(browser, hub.api);
  const habitsOf = noteHabits(second.page);
  await signIn(second.page, hub.api, hub.adminToken);
  await second.page.getByText('each second').waitFor();
  const overview = await pageCost(second.page, () => hubCost(hub, measured));
  const habits = habitsOf();
  await second.close();
  const aloneAgain = await hubCost(hub, measured);
  const readers = await openReaders(hub.api, hub.adminToken, Number(flags.pages), habits);
  await sleep(WARM_MS);
  const before = readers.heard();
  const together = await hubCost(hub, measured);
  const after = readers.heard();
  readers.close();
  const kBPerSecond = (after.bytes - before.bytes) / 1_000 / Number(flags.seconds) / Number(flags.pages);
  return { alone, aloneAgain, opening, list, overview, together, habits, kBPerSecond };
}

function measured(): Promise<void> {
  return sleep(Number(flags.seconds) * 1000);
}

/** Milliseconds until the first row of the list is there, and until all devices are known. */
async function openList(page: Page, hub: TestHub) {
  const began = performance.now();
  await page.goto(`${hub.api}/#/devices`);
  await page.getByRole('link', { name: idOf(1), exact: true }).waitFor();
  const firstRowMs = performance.now() - began;
  const { known } = (await statusOf(hub)).devices;
  await page.locator('.page-head .soft').getByText(known.toLocaleString('en')).waitFor();
  return { firstRowMs, wholeMs: performance.now() - began };
}

async function hubCost(hub: TestHub, use: () => Promise<void>): Promise<HubCost> {
  const before = { cpu: cpuTimeOf(hub.pid).all, accepted: (await statusOf(hub)).readings.accepted };
  const began = performance.now();
  await use();
  const seconds = (performance.now() - began) / 1000;
  return {
    busy: (cpuTimeOf(hub.pid).all - before.cpu) / seconds,
    readingsPerSecond: ((await statusOf(hub)).readings.accepted - before.accepted) / seconds,
  };
}

function report(result: Awaited<ReturnType<typeof parts>>): void {
  const machine = describeMachine();
  if (flags.json) return void process.stdout.write(`${JSON.stringify({ machine, flags, ...result }, null, 2)}\n`);
  const { alone, aloneAgain, opening, list, overview, together, habits, kBPerSecond } = result;
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const ofHub = ({ busy, readingsPerSecond }: HubCost) => [percent(busy), readingsPerSecond.toFixed(0)];
  const ofPage = (cost: PageCost) => [
    ...[String(cost.longTasks), `${cost.longestMs.toFixed(0)} ms`, percent(cost.blocked), percent(cost.busy)],
    ...[`${cost.heapBeforeMiB.toFixed(1)} → ${cost.heapAfterMiB.toFixed(1)} MiB`, String(cost.elements)],
  ];
  const pageHead = ['page', 'tasks ≥ 50 ms', 'longest', 'in such tasks', 'thread busy', 'heap after GC', 'elements'];
  const hubHead = ['hub', 'of a core', 'readings/s'];
  process.stdout.write(
    [
      `${machine}, ${new Date().toISOString()}: ${flags.devices} devices, ${flags.seconds} s a part`,
      `The list: first row after ${opening.firstRowMs.toFixed(0)} ms, all of it after ${opening.wholeMs.toFixed(0)} ms.`,
      '',
      markdownTable(pageHead, [
        ['devices, scrolled and searched', ...ofPage(list.page)],
        ['overview', ...ofPage(overview.page)],
      ]),
      '',
      markdownTable(hubHead, [
        ['no dashboard', ...ofHub(alone)],
        ['one, on devices', ...ofHub(list.hub)],
        ['one, on overview', ...ofHub(overview.hub)],
        ['no dashboard any more', ...ofHub(aloneAgain)],
        [`${flags.pages}, on overview`, ...ofHub(together)],
      ]),
      '',
      `Each of the ${flags.pages} hears ${kBPerSecond.toFixed(1)} kB/s and asks ${habits.asks.map(({ path, perSecond }) => `${path} ${perSecond.toFixed(1)}/s`).join(', ')}.`,
      '',
    ].join('\n'),
  );
}

function statusOf(
  hub: TestHub,
): Promise<{ devices: { online: number; silent: number; known: number }; readings: { accepted: number } }> {
  return hub.call('GET', '/v1/status');
}

/** On a busy machine some are silent for a while, and a few come back just now. */
function isHere({ online, silent }: { online: number; silent: number }, count: number): boolean {
  return online + silent >= 0.99 * count;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(250)) {
    if (performance.now() > end) throw new Error('it takes too long');
  }
}
