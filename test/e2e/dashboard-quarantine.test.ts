/** A refused reading is mended and tried again by hand, in the dashboard. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBrowser, openPage, signIn } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

let schemas: string;
let hub: TestHub;
let browser: Browser;

beforeAll(async () => {
  schemas = mkdtempSync(join(tmpdir(), 'schemas-'));
  mkdirSync(join(schemas, 'telemetry'));
  writeSchema(10);
  hub = await startTestHub({ HUB_SCHEMAS__DIR: schemas });
  browser = await openBrowser();
});
afterAll(async () => {
  await browser.close();
  await hub.dispose();
  rmSync(schemas, { recursive: true });
});

/** Rain may be so much. */
function writeSchema(maximum: number): void {
  const weather = { type: 'object', additionalProperties: false, properties: { rain: { type: 'number', maximum } } };
  writeFileSync(join(schemas, 'telemetry/weather.json'), JSON.stringify(weather));
}

it('is refused again while its schema is as it was, and stored with its time when that was mended', async () => {
  const device = await connectRaw(hub, { token: await hub.addDevice('roof') });
  const ts = Date.now() - 60_000;
  device.say({ type: 'telemetry', seq: 1, stream: 'weather', readings: [{ ts, rain: 50 }] });
  await device.next();
  device.close();
  const { page, problems, close } = await openPage(browser, hub.api);
  await signIn(page, hub.api, hub.adminToken);
  const tryAgain = async () => {
    await page.goto(`${hub.api}/#/quarantine`);
    await page.getByRole('row', { name: /roof.*must be <= 10/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Try again' }).click();
  };
  await tryAgain();
  await page.getByText('1 reading still refused').waitFor();

  await hub.stop();
  writeSchema(100);
  await hub.start();
  await page.getByRole('status').getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });
  problems();
  await tryAgain();
  await page.getByText('1 reading stored.').waitFor();
  await page.getByText('Nothing was refused').waitFor();
  const stored = () => hub.call<{ rows: object[] }>('GET', '/v1/devices/roof/telemetry?stream=weather');
  await expect.poll(async () => (await stored()).rows).toEqual([{ ts, rain: 50 }]);
  expect(problems()).toEqual([]);
  await close();
});
