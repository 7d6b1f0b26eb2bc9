/** What the dashboard looks like, for everybody: no barrier on any page in light, dark and on a phone, and the pictures of the manual. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { barriersOn, openBrowser, openPage, picture, signIn } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';
import { type Simulated, simulate } from '../helpers/simulated.ts';

const RECORDING = 'device-sim/data/occupancy-2015-02-05.csv';
const FIELDS = 'temperature=temperature,humidity=humidity,co2=co2,light=light,occupied=occupancy:boolean';

/** One fires, one does not. */
const RULES = [
  { id: 'refusals', kind: 'quarantine', readings: 2, windowMs: 3_600_000, severity: 'info' },
  { id: 'too-warm', kind: 'field', stream: 'environment', field: 'temperature', above: 60, forMs: 60_000 },
];

let hub: TestHub;
let browser: Browser;
let simulated: Simulated[] = [];

beforeAll(async () => {
  hub = await startTestHub({ HUB_MQTT__EMBEDDED: 'true', HUB_ALERTS__RULES: JSON.stringify(RULES) });
  await history();
  simulated = [
    simulate(hub, 'room-', '--devices', '9', '--rate', '2', '--stream', 'environment'),
    simulate(hub, 'meter-', '--devices', '5', '--rate', '5', '--stream', 'power'),
    simulate(hub, 'van-', '--devices', '3', '--rate', '2', '--stream', 'position'),
  ];
  await Promise.all([refused(), orders()]);
  browser = await openBrowser();
});
afterAll(async () => {
  await browser.close();
  await Promise.all(simulated.map((each) => each.stop()));
  await hub.dispose();
});

/** A real day of an office, which ends now. */
async function history() {
  const replay = ['--replay', RECORDING, '--map', FIELDS, '--speed', 'max', '--batch', '50', '--shift-to-now'];
  await simulate(hub, 'office-', '--devices', '1', '--stream', 'environment', ...replay).ended;
}

async function refused() {
  const device = await connectRaw(hub, { token: await hub.addDevice('cellar-1') });
  const readings = [{ power: 'much' }, { power: 4, voltage: 231 }, { power: -1, mood: 'bad' }];
  device.say({ type: 'telemetry', seq: 1, stream: 'power', readings });
  await device.next();
  device.say({ type: 'telemetry', seq: 5, stream: 'power', readings: [{ power: 4 }] });
  await device.next();
  device.close();
}

async function orders() {
  await hub.call('PATCH', '/v1/devices/office-0001', {
    description: 'A real day',
    tags: { floor: '1', room: 'office' },
  });
  await hub.call('POST', '/v1/devices/office-0001/commands', { name: 'identify', params: { seconds: 5 } });
  await hub.call('POST', '/v1/operators', { name: 'vera', role: 'viewer' });
  const schedule = { id: 'nightly-reboot', cron: '0 3 * * *', name: 'reboot', device: 'office-0001' };
  await hub.call('POST', '/v1/schedules', schedule);
}

/** So long the lines of the overview grow before its picture for the manual: as on a page that was open for a while. */
const LINES_MS = process.env.HUB_SCREENSHOTS ? 25_000 : 0;

/** The recording as a whole. */
async function showWholeDay(page: Page) {
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByText('one point for').first().waitFor();
}

/** Tables whose last columns lie outside. */
async function cutTables(page: Page): Promise<string[]> {
  return page
    .locator('.table-box')
    .evaluateAll((tables) =>
      tables
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
        .map((table) => `${table.ariaLabel} is ${table.scrollWidth - table.clientWidth} px wider than its place`),
    );
}

/** Tiles of the overview whose words are cut. */
async function cutTiles(page: Page): Promise<string[]> {
  return page
    .locator('.voice-head small')
    .evaluateAll((words) =>
      words
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
        .map(({ textContent }) => `“${textContent}” is cut`),
    );
}

/** Address, and what shows that the page is there. */
const PAGES = [
  ['devices', '#/devices', 'office-0001'],
  ['device', '#/devices/office-0001', 'Last values'],
  ['device-commands', '#/devices/office-0001/commands', 'Identify'],
  ['device-settings', '#/devices/office-0001/settings', 'Tokens'],
  ['device-sessions', '#/devices/office-0001/sessions', 'readings'],
  ['device-gaps', '#/devices/cellar-1/gaps', '3 frames'],
  ['commands', '#/commands', 'Identify'],
  ['groups', '#/groups', 'Groups'],
  ['schedules', '#/schedules', 'nightly-reboot'],
  ['quarantine', '#/quarantine', 'must be number'],
  ['alerts', '#/alerts', 'readings refused within'],
  ['bridge', '#/bridge', 'The hub’s own broker'],
  ['operators', '#/operators', 'vera'],
  ['audit', '#/audit', 'added the schedule'],
  ['status', '#/status', 'Journal'],
  // The last, when there is something to draw.
  ['overview', '#/', 'each second'],
] as const;

/** As large as the manual shows it. */
const viewport = { width: 1280, height: 800 };
const LOOKS = [
  ['light', { colorScheme: 'light', viewport }],
  ['dark', { colorScheme: 'dark', viewport }],
  ['phone', { colorScheme: 'light', viewport: { width: 375, height: 812 }, hasTouch: true, isMobile: true }],
] as const;

describe.each(LOOKS)('in %s', (look, options) => {
  it('no page has a barrier, and none is wider than its window', async () => {
    const { page, close, problems } = await openPage(browser, hub.api, options);
    const barriers: Record<string, string[]> = {};
    await page.goto(hub.api);
    await page.getByLabel('Operator token').waitFor();
    barriers['sign-in'] = await barriersOn(page);
    await picture(page, `sign-in-${look}`);
    await signIn(page, hub.api, hub.adminToken);
    problems();
    for (const [name, address, sign] of PAGES) {
      await page.goto(`${hub.api}/${address}`);
      await page.locator('main').getByText(sign).filter({ visible: true }).first().waitFor();
      // Charts and tables fill in after the first answers.
      await page.waitForLoadState('networkidle', { timeout: 3_000 }).catch(() => {});
      barriers[name] = await barriersOn(page);
      const overhang = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      if (Number(overhang) > 0) barriers[name].push(`${overhang} px wider than the window`);
      if (look === 'phone') barriers[name].push(...(await cutTables(page)), ...(await cutTiles(page)));
      if (name === 'device') await showWholeDay(page);
      if (name === 'overview') await page.waitForTimeout(LINES_MS);
      await picture(page, `${name}-${look}`);
    }
    const found = problems();
    await close();
    expect(Object.fromEntries(Object.entries(barriers).filter(([, own]) => own.length > 0))).toEqual({});
    expect(found).toEqual([]);
  }, 240_000);
});

it('a person with a keyboard alone comes in, finds a device and opens it', async () => {
  const { page, close } = await openPage(browser, hub.api);
  await page.goto(hub.api);
  await page.getByLabel('Operator token').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.insertText(hub.adminToken);
  await page.keyboard.press('Enter');
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
  await page.goto(`${hub.api}/#/devices`);
  await page.getByRole('link', { name: 'office-0001' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('office');
  await page.getByRole('link', { name: 'room-0001' }).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'office-0001' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'office-0001' }).waitFor();
  await close();
});
