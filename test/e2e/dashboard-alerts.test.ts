/** Rules of alerts by hand, in the dashboard: added, changed, seen to fire and to be over. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Rule } from '../../hub/alerts/rule.ts';
import { openBrowser, openPage, signIn, type WatchedPage } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const FIXED = { id: 'late', kind: 'lag', lagMs: 60_000 };

let hub: TestHub;
let browser: Browser;
let watched: WatchedPage;
let token: string;

beforeAll(async () => {
  hub = await startTestHub({ HUB_ALERTS__RULES: JSON.stringify([FIXED]) });
  token = await hub.addDevice('oven');
  browser = await openBrowser();
  watched = await openPage(browser, hub.api);
  await signIn(watched.page, hub.api, hub.adminToken);
  watched.problems();
});
afterAll(async () => {
  await browser.close();
  await hub.dispose();
});

async function isNow(temperature: number): Promise<void> {
  const device = await connectRaw(hub, { token });
  device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ temperature }] });
  await device.next();
  device.close();
}

const ruleCalled = (id: string) => hub.call<Rule>('GET', `/v1/alerts/rules/${id}`);

it('is added, changed, fires by its new limit, and is over', async () => {
  const { page } = watched;
  const rule = page.getByRole('row', { name: /too-warm/ }).last();
  await page.goto(`${hub.api}/#/alerts`);
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.getByLabel('Name').fill('too-warm');
  await page.getByLabel('Limit').fill('80');
  await page.getByLabel('For at least').fill('0');
  await page.getByLabel('What to do').fill('open the door');
  await page.getByRole('button', { name: 'With tags' }).click();
  await page.getByLabel('Tags').fill('floor=1');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await rule.getByText('Temperature above 80').waitFor();
  expect(await ruleCalled('too-warm')).toMatchObject({ above: 80, forMs: 0, selector: { tags: { floor: '1' } } });

  await isNow(50);
  await page.getByRole('button', { name: 'Change too-warm' }).click();
  const form = page.getByRole('dialog', { name: 'Change too-warm' });
  await expect.poll(() => form.getByLabel('What to do').inputValue()).toBe('open the door');
  await expect.poll(() => form.getByLabel('Tags').inputValue()).toBe('floor=1');
  await form.getByLabel('Limit').fill('40');
  await form.getByLabel('Over at').fill('35');
  await form.getByRole('button', { name: 'Every device' }).click();
  await form.getByLabel('Severity').selectOption('critical');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.waitFor({ state: 'detached' });
  await rule.getByText('Temperature above 40 °C (over at 35 °C), every device').waitFor();
  const changed = await ruleCalled('too-warm');
  expect(changed).toMatchObject({ above: 40, clear: 35, severity: 'critical', description: 'open the door' });
  expect(changed).not.toHaveProperty('selector');

  const alert = page.getByRole('region', { name: 'Alerts' }).getByRole('row', { name: /oven/ });
  await isNow(51);
  await alert.getByText('firing').waitFor();
  await alert.getByText('is 51, above 40').first().waitFor();
  await isNow(38);
  await isNow(30);
  await alert.getByText('resolved').waitFor();
  expect(watched.problems()).toEqual([]);
});

it('says of what is not wrong for long enough that it is so now, and after how long it fires', async () => {
  const { page } = watched;
  const cold = { id: 'cold', kind: 'field', stream: 'environment', field: 'temperature', below: 5, forMs: 3_600_000 };
  await hub.call('POST', '/v1/alerts/rules', cold);
  await isNow(4);
  await page.reload();
  await page.getByText('oven: Temperature below 5 °C now (4 °C), fires when that has lasted 1 h').waitFor();
  expect(watched.problems()).toEqual([]);
});

it('says at its field what is wrong with a change, and keeps the form', async () => {
  const { page } = watched;
  await page.getByRole('button', { name: 'Change too-warm' }).click();
  const form = page.getByRole('dialog');
  await form.getByLabel('Limit').fill('warm');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.mistake').getByText('must be a number').waitFor();
  expect(watched.problems()).toEqual([]);
  await page.keyboard.press('Escape');
  expect(await ruleCalled('too-warm')).toMatchObject({ above: 40 });
});

it('of the configuration says that it is changed there', async () => {
  const row = watched.page.getByRole('row', { name: /late/ });
  await row.getByText('in the configuration').waitFor();
  expect(await row.getByRole('button').count()).toBe(0);
});
