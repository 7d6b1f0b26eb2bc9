/** The dashboard as a person uses it: Chromium, a real hub with InfluxDB, and simulated devices. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { drag, openBrowser, openPage, signIn, type WatchedPage } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { connectRaw } from '../helpers/raw-device.ts';
import { type Simulated, simulate } from '../helpers/simulated.ts';

let influxd: Influxd;
let hub: TestHub;
let devices: Simulated;
let browser: Browser;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  influxd = await startInfluxd();
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url });
  devices = simulate(hub, 'room-', '--devices', '3', '--rate', '4', '--stream', 'environment');
  browser = await openBrowser();
});
afterAll(async () => {
  await browser.close();
  await devices.stop();
  await hub.dispose();
  await influxd.remove();
});

beforeEach(async () => {
  watched = await openPage(browser, hub.api);
  page = watched.page;
});
afterEach(() => watched.close());

async function signedIn(token = hub.adminToken) {
  await signIn(page, hub.api, token);
  expect(watched.problems()).toEqual([]);
}

/** The text of an element changes by itself. */
async function changes(selector: string) {
  const element = page.locator(selector).first();
  const before = await element.innerText();
  await expect.poll(() => element.innerText()).not.toBe(before);
}

describe('signing in', () => {
  it('by a token; a wrong one is told why, and signing out ends the session', async () => {
    await page.goto(hub.api);
    await page.getByLabel('Operator token').waitFor();
    await expect.poll(() => page.locator('input:focus').getAttribute('name')).toBe('token');
    await page.keyboard.type('tho_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('cut off or mistyped').waitFor();
    await expect.poll(() => watched.problems()).toEqual(['401 /v1/session']);
    await signedIn();
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ name: `hub_session_${new URL(hub.api).port}`, httpOnly: true, sameSite: 'Strict' });
    expect(await page.evaluate('document.cookie')).toBe('');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Operator token').waitFor();
    const asked = await fetch(`${hub.api}/v1/devices`, { headers: { cookie: `${cookie!.name}=${cookie!.value}` } });
    expect(asked.status).toBe(401);
    expect(watched.problems()).toEqual([]);
  });

  it('by a link works once, and its code does not stay in the address', async () => {
    const { link } = await hub.call<{ link: string }>('POST', '/v1/session/links');
    const address = `${hub.api}/#/sign-in?link=${link}`;
    await page.goto(address);
    await page.getByRole('navigation', { name: 'Pages' }).waitFor();
    expect(page.url()).not.toContain(link);
    expect(watched.problems()).toEqual([]);
    const other = await openPage(browser, hub.api);
    await other.page.goto(address);
    await other.page.getByRole('alert').getByText('was used already').waitFor();
    await other.close();
  });

  it('as a viewer shows nothing that a viewer may not do', async () => {
    const { token } = await hub.call<{ token: string }>('POST', '/v1/operators', { name: 'vera', role: 'viewer' });
    await signedIn(token);
    await page.getByRole('link', { name: 'Devices', exact: true }).click();
    await page.getByRole('link', { name: 'room-0001' }).waitFor();
    for (const name of ['Operators', 'Audit']) expect(await page.getByRole('link', { name }).count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Add device' }).count()).toBe(0);
    await page.goto(`${hub.api}/#/devices/room-0001/commands`);
    await page.getByRole('heading', { name: 'room-0001' }).waitFor();
    expect(await page.getByRole('button', { name: 'Send' }).count()).toBe(0);
    await page.goto(`${hub.api}/#/devices/room-0001/audit`);
    await page.getByText('Audit needs the role operator').waitFor();
    expect(watched.problems()).toEqual([]);
  });
});

describe('a person who is signed in', () => {
  beforeEach(async () => {
    await signedIn();
  });
  afterEach(() => expect(watched.problems()).toEqual([]));

  it('sees on the overview how much flows, as it flows', async () => {
    await page.getByText('each second').waitFor();
    await page.getByRole('status').getByText('Live', { exact: true }).waitFor();
    await changes('.throughput + *, .card:has(.throughput) .soft');
  });

  it('sees a value of a device change without doing anything', async () => {
    await page.getByRole('link', { name: 'Devices', exact: true }).click();
    await page.getByRole('link', { name: 'room-0001' }).click();
    await page.getByText('Last values').waitFor();
    await changes('.value strong');
  });

  it('is told that there is no such device, and led back to those that there are, sorted as before', async () => {
    await page.goto(`${hub.api}/#/devices`);
    await page.getByRole('columnheader', { name: 'Device' }).getByRole('button').click();
    await page.waitForURL('**/#/devices?sort=-id');
    await page.reload();
    await page.getByRole('columnheader', { name: 'Device' }).and(page.locator('[aria-sort=descending]')).waitFor();
    await page.goto(`${hub.api}/#/devices/ghost`);
    await page.getByRole('heading', { name: 'There is no device “ghost”' }).waitFor();
    await page.getByRole('link', { name: 'Go to the list of devices' }).click();
    await page.getByRole('link', { name: 'room-0001' }).waitFor();
    expect(watched.problems()).toEqual(['404 /v1/devices/ghost']);
  });

  it('zooms into a chart by dragging, and comes back to what is live', async () => {
    await page.goto(`${hub.api}/#/devices/room-0002`);
    const chart = page.locator('.plot .u-over').first();
    await chart.waitFor();
    await page.getByText('live. Drag over a chart to zoom.').waitFor();
    await page.getByText('every reading', { exact: true }).waitFor();
    const [request] = await Promise.all([
      page.waitForRequest((request) => request.url().includes('/telemetry?')),
      // The live edge flows in under the hand.
      drag(page, chart, [0.6, 0.9], () => changes('.value strong')),
    ]);
    const asked = new URL(request.url()).searchParams;
    expect(Number(asked.get('to')) - Number(asked.get('from'))).toBeLessThan(300_000 * 0.4);
    const live = page.getByRole('button', { name: 'Live', exact: true });
    expect(await live.isEnabled()).toBe(true);
    await live.click();
    await page.getByText('live. Drag over a chart to zoom.').waitFor();
  });

  it('chooses how fine a chart is: windows of a length, every reading, or as the hub does', async () => {
    await page.goto(`${hub.api}/#/devices/room-0002`);
    const detail = page.getByLabel('Detail');
    const stream = page.getByRole('region', { name: 'Environment' });
    await stream.getByText('every reading').waitFor();
    await expect.poll(() => detail.getByRole('option', { name: '1 h' }).isDisabled()).toBe(true);
    const asked = page.waitForRequest((request) => request.url().includes('every=10s&fn=envelope'));
    await detail.selectOption({ label: '10 s' });
    await asked;
    await stream.getByText('one point for 10 s').waitFor();
    await page.getByRole('button', { name: '30 d' }).click();
    await stream.getByText('every reading').waitFor();
    expect(await detail.inputValue()).toBe('auto');
    await detail.selectOption({ label: '1 h' });
    await stream.getByText('one point for 1 h').waitFor();
  });

  it('is told when there are too many readings to draw each', async () => {
    await many('crowded');
    await page.goto(`${hub.api}/#/devices/crowded`);
    await page.getByRole('button', { name: '1 h', exact: true }).click();
    await page.getByLabel('Detail').selectOption({ label: 'Every reading' });
    await page.getByText('more than 10,000 readings: one point for').waitFor();
    await page.locator('.plot .u-over').first().waitFor();
  });

  it('sends a command by a form made of its schema, and sees it succeed', async () => {
    await page.goto(`${hub.api}/#/devices/room-0001/commands`);
    await page.getByLabel('Command').selectOption({ label: 'Identify' });
    await page.getByLabel('For').fill('2');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.sent').getByText('succeeded').first().waitFor();
    await page.getByLabel('Command', { exact: true }).selectOption({ label: 'Reboot' });
    await page
      .locator('.sent')
      .getByRole('heading', { name: /Identify.*succeeded/ })
      .waitFor();
    const { commands } = await hub.call<{ commands: object[] }>('GET', '/v1/devices/room-0001/commands');
    expect(commands).toMatchObject([{ name: 'identify', params: { seconds: 2 }, actor: 'operator:admin' }]);
    await page.getByRole('link', { name: 'Commands', exact: true }).first().click();
    await page.getByRole('row', { name: /succeeded.*Identify.*room-0001/ }).waitFor();
  });

  it('is asked before a reboot, and no is no', async () => {
    await page.goto(`${hub.api}/#/devices/room-0002/commands`);
    await page.getByLabel('Command').selectOption({ label: 'Reboot' });
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    const { commands } = await hub.call<{ commands: object[] }>('GET', '/v1/devices/room-0002/commands');
    expect(commands).toEqual([]);
  });

  it('adds a device, is shown its token once, and the token opens the door', async () => {
    await page.goto(`${hub.api}/#/devices`);
    await page.getByRole('button', { name: 'Add device' }).click();
    await page.getByLabel('Id').fill('new-1');
    await page.getByLabel('Tags').fill('floor=1, room=12');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const token = await tokenShown();
    await page.getByRole('button', { name: 'I have kept the token' }).click();
    const device = await connectRaw(hub, { token });
    device.close();
    expect(await hub.call('GET', '/v1/devices/new-1')).toMatchObject({ tags: { floor: '1', room: '12' } });
    expect(await page.getByText(token).count()).toBe(0);
  });

  it('rotates a token: the next one is shown once, and works', async () => {
    await hub.addDevice('rotated');
    await page.goto(`${hub.api}/#/devices/rotated/settings`);
    await page.getByRole('button', { name: 'Rotate' }).click();
    const token = await tokenShown();
    await page.getByRole('button', { name: 'I have kept the token' }).click();
    const device = await connectRaw(hub, { token });
    device.close();
  });

  it('finds a refused reading with its reason', async () => {
    const device = await connectRaw(hub, { token: await hub.addDevice('broken') });
    device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 'much' }] });
    await device.next();
    device.close();
    await page.goto(`${hub.api}/#/quarantine?device=broken`);
    await page.getByRole('row', { name: /must be number/ }).click();
    await page.getByRole('dialog').getByText('"power": "much"').waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByRole('dialog').count()).toBe(0);
  });
});

/** More readings in the last half hour than a browser draws. */
async function many(id: string): Promise<void> {
  const device = await connectRaw(hub, { token: await hub.addDevice(id) });
  const from = Date.now() - 1_200_000;
  for (let seq = 1; seq <= 110; seq++) {
    const readings = Array.from({ length: 100 }, (_, at) => ({ ts: from + (seq * 100 + at) * 100, light: at }));
    device.say({ type: 'telemetry', seq, stream: 'environment', readings });
    let answer = await device.next();
    while (answer.type !== 'ack') answer = await device.next();
  }
  device.close();
  const path = `/v1/devices/${id}/telemetry?stream=environment&from=-1h&limit=20000`;
  const stored = async () => (await hub.call<{ rows: object[] }>('GET', path)).rows.length;
  await expect.poll(stored).toBe(11_000);
}

async function tokenShown(): Promise<string> {
  const text = await page
    .getByRole('dialog')
    .getByText(/^thd_\w+$/)
    .innerText();
  return text.trim();
}

it('says that the hub is lost, comes back by itself still signed in, and goes on', async () => {
  await signedIn();
  await page.goto(`${hub.api}/#/devices/room-0003`);
  await changes('.value strong');
  await hub.kill();
  await page.getByRole('alert').getByText('The hub does not answer').waitFor();
  await page.getByText('Connection lost').waitFor();
  await hub.start();
  await page.getByRole('status').getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });
  await expect.poll(() => page.getByText('The hub does not answer').count()).toBe(0);
  // What a browser writes of a server that does not answer cannot be kept from its console; anything else could.
  const meanwhile = watched.problems();
  expect(meanwhile.filter((problem) => !/ERR_CONNECTION|ERR_EMPTY|ERR_NETWORK/.test(problem))).toEqual([]);
  await changes('.value strong');
  expect(watched.problems()).toEqual([]);
});
