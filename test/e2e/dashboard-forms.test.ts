/** Forms of the dashboard with mistakes in them: each is told at its field in the words of the form, and nowhere twice. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openBrowser, openPage, picture, signIn, type WatchedPage } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';

let hub: TestHub;
let browser: Browser;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  hub = await startTestHub();
  await hub.addDevice('meter-7');
  browser = await openBrowser();
  watched = await openPage(browser, hub.api);
  page = watched.page;
  await signIn(page, hub.api, hub.adminToken);
});
afterAll(async () => {
  await browser.close();
  await hub.dispose();
});
beforeEach(() => void watched.problems());

async function open(address: string, button?: string): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${hub.api}/#/${address}`);
  if (button !== undefined) await page.getByRole('button', { name: button }).click();
}

const press = (name: string) => page.getByRole('button', { name, exact: true }).click();

/** The mistakes of the fields by their labels, once the first is shown; a banner would be one of `over`. */
async function told(): Promise<{ at: Record<string, string>; over: string[] }> {
  await page.locator('.mistake, .notice.bad').first().waitFor();
  const fields = await page.locator('.field:has(.mistake)').all();
  const pairs = await Promise.all(
    fields.map(async (field) => [
      await field.locator('label').innerText(),
      await field.locator('.mistake').innerText(),
    ]),
  );
  return { at: Object.fromEntries(pairs), over: await page.locator('.notice.bad').allInnerTexts() };
}

it('how long a device may be quiet is told in seconds, and the field has the focus', async () => {
  await open('devices/meter-7/settings');
  await page.getByText(/^never connected, added (now|\d+ s ago)$/).waitFor();
  await page.getByLabel('Silent after').fill('-5');
  await page.getByLabel('Tags').fill('floor=1');
  await press('Save');
  expect(await told()).toEqual({ at: { 'Silent after': 'must be at least 0.1 s' }, over: [] });
  await expect.poll(() => page.locator('[aria-invalid=true]:focus').count()).toBe(1);
  await picture(page, 'form-settings');
  await page.getByLabel('Silent after').fill('90');
  await press('Save');
  await page.getByText('Saved.').waitFor();
  const settings = { expectedIntervalMs: 90_000, tags: { floor: '1' } };
  expect(await hub.call('GET', '/v1/devices/meter-7')).toMatchObject(settings);
  expect(watched.problems()).toEqual([]);
});

it('names are told without regular expressions, and those that are taken at their field', async () => {
  await open('operators', 'Add operator');
  await page.getByLabel('Name').fill('Bad Name!');
  await press('Add');
  expect(await told()).toEqual({
    at: { Name: 'takes a letter or digit, then letters, digits or . _ @ -' },
    over: [],
  });
  await page.getByLabel('Name').fill('admin');
  await press('Add');
  await expect.poll(told).toEqual({ at: { Name: 'There is an operator "admin" already.' }, over: [] });
  await open('devices', 'Add device');
  await page.getByLabel('Id').fill('meter-7');
  await page.getByLabel('Tags').fill('floor');
  await press('Add');
  expect(await told()).toEqual({ at: { 'Tags (optional)': '“floor” is no tag: write name=value.' }, over: [] });
  await page.getByLabel('Tags').fill('');
  await press('Add');
  await expect.poll(told).toEqual({ at: { Id: 'There is a device "meter-7" already.' }, over: [] });
  await picture(page, 'form-add-device');
});

it('everything that is wrong with a rule is told at once', async () => {
  await open('alerts', 'Add rule');
  await page.getByLabel('Right again for').fill('-1');
  await page.getByRole('button', { name: 'With tags' }).click();
  await press('Add');
  expect(await told()).toEqual({
    at: {
      Name: 'is needed',
      Limit: 'is needed',
      'Right again for': 'must be at least 0 s',
      Tags: 'Write for which devices it is, or choose every device.',
    },
    over: [],
  });
  await picture(page, 'form-rule');
  expect(watched.problems()).toEqual([]);
});

it('a rule for a device that is not there is told so, and one for it may be changed after it is gone', async () => {
  await hub.addDevice('brief');
  await open('alerts', 'Add rule');
  await page.getByLabel('Name').fill('gone');
  await page.getByLabel('What is wrong').selectOption('offline');
  await page.getByRole('button', { name: 'These devices' }).click();
  await page.getByLabel('Devices', { exact: true }).fill('brief, nobody');
  await press('Add');
  expect(await told()).toEqual({ at: { Devices: 'There is no device "nobody".' }, over: [] });
  await page.getByLabel('Devices', { exact: true }).fill('brief');
  await press('Add');
  await page.getByRole('row', { name: /gone/ }).waitFor();
  await hub.call('DELETE', '/v1/devices/brief');
  await hub.call('PATCH', '/v1/alerts/rules/gone', { enabled: false });
});

it('a schedule is told at its field what only the hub can know', async () => {
  await open('schedules', 'Add schedule');
  await page.getByLabel('Name').fill('nightly');
  await page.getByLabel('When').fill('never');
  await page.getByLabel('Device', { exact: true }).fill('meter-8');
  await page.getByLabel('Command', { exact: true }).selectOption('identify');
  await press('Add');
  await expect.poll(told).toMatchObject({ at: { Device: 'There is no device "meter-8".' }, over: [] });
  await page.getByLabel('Device', { exact: true }).fill('meter-7');
  await press('Add');
  await expect.poll(told).toEqual({ at: { When: expect.stringContaining('"never" is no cron expression') }, over: [] });
  await page.getByLabel('When').fill('@daily');
  await page.getByLabel('Time zone').fill('Mars/Olympus');
  await press('Add');
  await expect.poll(told).toEqual({
    at: { 'Time zone': '"Mars/Olympus" is no time zone: write it like Europe/Berlin or UTC.' },
    over: [],
  });
});

it('a command to many says at its fields what is wrong', async () => {
  await open('groups', 'Send to many');
  await page.getByLabel('Tags').fill('floor=99');
  await page.getByLabel('Command', { exact: true }).selectOption('identify');
  await page.getByLabel('At a time').fill('0');
  await page.getByLabel('Stop at failed').fill('101');
  await press('Send');
  expect(await told()).toEqual({
    at: { 'At a time (optional)': 'must be at least 1', 'Stop at failed (optional)': 'must be at most 100 %' },
    over: [],
  });
  await page.getByLabel('At a time').fill('');
  await page.getByLabel('Stop at failed').fill('');
  await press('Send');
  await expect.poll(told).toEqual({ at: { Tags: 'The selector fits no device that is enabled.' }, over: [] });
});
