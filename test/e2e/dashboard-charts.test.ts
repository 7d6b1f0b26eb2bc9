/** Charts and long texts in Chromium: what is there is seen, nothing is cut, and a link brings the same view back. */
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openBrowser, openPage, signIn, type WatchedPage } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const HOT = { id: 'hot', kind: 'field', stream: 'environment', field: 'temperature', above: 60, severity: 'critical' };
const HOUR_MS = 3_600_000;

let hub: TestHub;
let browser: Browser;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  hub = await startTestHub({ HUB_ALERTS__RULES: JSON.stringify([HOT]) });
  browser = await openBrowser();
});
afterAll(async () => {
  await browser.close();
  await hub.dispose();
});
beforeEach(async () => {
  watched = await openPage(browser, hub.api, { colorScheme: 'light' });
  page = watched.page;
  await signIn(page, hub.api, hub.adminToken);
  watched.problems();
});
afterEach(async () => {
  expect(watched.problems()).toEqual([]);
  await watched.close();
});

/** A device that said this once. */
async function device(id: string, stream: string, readings: object[]): Promise<void> {
  const raw = await connectRaw(hub, { token: await hub.addDevice(id) });
  raw.say({ type: 'telemetry', seq: 1, stream, readings });
  let answer = await raw.next();
  while (answer.type !== 'ack') answer = await raw.next();
  raw.close();
}

const goTo = (address: string) => page.goto(`${hub.api}/#/devices/${address}`);

/** As much of the browser's own as is asked of it here. */
interface Canvas {
  width: number;
  height: number;
  getContext(kind: '2d'): { getImageData(...box: number[]): { data: Uint8ClampedArray } };
}

/** How high what is drawn in the colour of the first line is, in pixels; 0: nothing is. */
async function drawnHeight(plot: Locator): Promise<number> {
  return plot.locator('canvas').evaluate((element) => {
    const canvas = element as unknown as Canvas;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    const rows = new Set<number>();
    for (let at = 0; at < data.length; at += 4) {
      // --series-1 is #0f766e; what is half transparent is rounded.
      const near = [0x0f, 0x76, 0x6e].every((part, index) => Math.abs(data[at + index]! - part) < 6);
      if (near && data[at + 3]! > 60) rows.add(Math.floor(at / 4 / canvas.width));
    }
    return rows.size;
  });
}

it('a reading that stands alone is drawn in every range', async () => {
  await device('once', 'environment', [{ temperature: 21 }]);
  for (const range of ['5m', '30d']) {
    await goTo(`once?range=${range}`);
    const plot = page.getByRole('img', { name: /Temperature over time/ });
    await plot.waitFor();
    await expect.poll(() => drawnHeight(plot)).toBeGreaterThan(3);
  }
});

it('a window that stands alone shows its least and its most', async () => {
  const ts = Date.now() - 2 * HOUR_MS;
  await device('twice', 'environment', [
    { ts, temperature: 10 },
    { ts: ts + 1, temperature: 30 },
  ]);
  await goTo('twice?range=30d&detail=1d');
  await page.getByText('one point for 1 d').waitFor();
  const plot = page.getByRole('img', { name: /Temperature over time/ });
  await expect.poll(() => drawnHeight(plot)).toBeGreaterThan(60);
});

it('an empty range says when the last reading was, and leads there; a reload stays there', async () => {
  await device('yesterday', 'environment', [
    { ts: Date.now() - 22 * HOUR_MS - 5_000, temperature: 20 },
    { ts: Date.now() - 22 * HOUR_MS, temperature: 21 },
  ]);
  await goTo('yesterday');
  await page.getByText('The last one was taken 22 h ago.').waitFor();
  await page.getByRole('button', { name: 'Go there' }).click();
  const plot = page.getByRole('img', { name: /Temperature over time; 21 °C/ });
  await plot.waitFor();
  const shown = page.locator('.timeline [role=status]');
  const before = await shown.innerText();
  expect(page.url()).toMatch(/from=\d+&to=\d+/);
  await page.reload();
  await plot.waitFor();
  expect(await shown.innerText()).toBe(before);
});

it('range and detail are in the address, by the name on their button', async () => {
  await device('linked', 'environment', [{ temperature: 21 }]);
  await goTo('linked');
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByLabel('Detail').selectOption({ label: '10 min' });
  await page.getByText('The last 24 h, live.').waitFor();
  expect(page.url()).toContain('#/devices/linked?range=24h&detail=10m');
  await page.reload();
  await page.getByText('The last 24 h, live.').waitFor();
  await expect.poll(() => page.getByLabel('Detail').inputValue()).toBe('10m');
  await goTo('linked?range=90m');
  await page.getByText('The last 1 h 30 min, live.').waitFor();
});

it('pointing at a chart tells the time in UTC, too', async () => {
  await device('pointed', 'environment', [{ ts: Date.UTC(2026, 0, 2, 3, 4, 5), temperature: 21 }]);
  await goTo('pointed');
  await page.getByRole('button', { name: 'Go there' }).click();
  await page.locator('.plot .u-over').first().hover();
  await page.getByText(/2026-01-02 03:04:05 UTC$/).waitFor();
  await page.locator('output').getByText('21 °C').waitFor();
});

it('a tile of the overview shows what its device speaks now, not what it spoke', async () => {
  const raw = await connectRaw(hub, { token: await hub.addDevice('turned') });
  raw.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ ts: Date.now() - HOUR_MS, power: 7 }] });
  while ((await raw.next()).type !== 'ack');
  await page.reload();
  const tile = page.getByRole('link', { name: /^turned/ });
  await tile.getByText('7 W').waitFor();
  raw.say({ type: 'telemetry', seq: 2, stream: 'environment', readings: [{ temperature: 21 }] });
  await tile.getByText('21 °C').waitFor();
  raw.close();
});

it('labels of an axis are not cut, and values have the digits that matter', async () => {
  const ts = Date.now() - 5_000;
  await device('fine', 'environment', [
    { ts, pressure: 1_006.4, temperature: 1 },
    { ts: ts + 1_000, pressure: 1_006.4004, temperature: 2 },
  ]);
  await device('van', 'position', [{ latitude: 47.651234, longitude: 9.471 }]);
  await goTo('fine');
  const axisWidth = (name: RegExp) =>
    expect.poll(() =>
      page
        .getByRole('img', { name })
        .locator('.u-over')
        .evaluate((over) => (over as unknown as { offsetLeft: number }).offsetLeft),
    );
  await page.getByText('1,006.4 hPa').waitFor();
  await axisWidth(/Temperature over time/).toBe(54);
  await axisWidth(/Air pressure over time/).toBeGreaterThan(60);
  await goTo('van');
  await page.getByText('47.65123 °').waitFor();
});

it('the bar of a group is empty while no device has answered', async () => {
  for (const id of ['away-1', 'away-2']) await hub.addDevice(id);
  const order = { selector: { devices: ['away-1', 'away-2'] }, name: 'identify', params: { seconds: 1 } };
  const { id: group } = await hub.call<{ id: string }>('POST', '/v1/commands', order);
  await page.goto(`${hub.api}/#/groups/${group}`);
  await page.getByText('0 of 2').waitFor();
  const widths = await page
    .locator('.progress .bar > span')
    .evaluateAll((parts) => parts.map((part) => part.clientWidth));
  expect(widths.filter((width) => width > 0)).toEqual([]);
});

it('an alert and an entry of the audit log open, and show what their rows have no room for', async () => {
  await device('stove', 'environment', [{ temperature: 70 }]);
  await page.goto(`${hub.api}/#/alerts`);
  await page.getByRole('row', { name: /firing.*stove/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('critical').waitFor();
  await dialog.getByRole('link', { name: 'stove' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('row', { name: /hot.*60/ }).click();
  await dialog.getByText('every channel').waitFor();
  await page.goto(`${hub.api}/#/audit`);
  await page.getByRole('row', { name: /stove/ }).click();
  await dialog.getByText('POST /v1/devices', { exact: true }).waitFor();
});

it('a token does not run under the button that copies it', async () => {
  await page.goto(`${hub.api}/#/operators`);
  await page.getByRole('button', { name: 'Add operator' }).click();
  await page.getByLabel('Name').fill('olga');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const text = (await page.getByRole('dialog').locator('pre').boundingBox())!;
  const button = (await page.getByRole('button', { name: 'Copy the token' }).boundingBox())!;
  expect(text.x + text.width).toBeLessThanOrEqual(button.x);
});
