/** The page when a session or the hub ends at the wrong moment: what a person is told, and what is not lost. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openBrowser, openPage, picture, signIn, type WatchedPage } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

let hub: TestHub;
let browser: Browser;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  hub = await startTestHub();
  browser = await openBrowser();
});
afterAll(async () => {
  await browser.close();
  await hub.dispose();
});
beforeEach(async () => {
  watched = await openPage(browser, hub.api);
  page = watched.page;
});
afterEach(() => watched.close());

const operator = async (name: string, role: string) =>
  (await hub.call<{ token: string }>('POST', '/v1/operators', { name, role })).token;
const atTheDoor = () => page.getByLabel('Operator token').waitFor();

it('a session that ends while the page looks on leads to the sign-in, and says why', async () => {
  await hub.addDevice('meter-1');
  await signIn(page, hub.api, await operator('vera', 'viewer'));
  await page.goto(`${hub.api}/#/devices/meter-1/settings`);
  await page.getByText('Silent after').waitFor();
  await page.getByRole('status').getByText('Live', { exact: true }).waitFor();
  await hub.call('DELETE', '/v1/operators/vera');
  await atTheDoor();
  await page.getByRole('alert').getByText('Your session has ended').waitFor();
  await expect.poll(() => page.getByText('The hub does not answer').count()).toBe(0);
  expect(watched.problems()).toEqual([]);
});

it('a session that ended while the hub was away leads there, too', async () => {
  await signIn(page, hub.api, await operator('walter', 'viewer'));
  await page.goto(`${hub.api}/#/devices/meter-1/settings`);
  await page.getByText('Silent after').waitFor();
  await page.getByRole('status').getByText('Live', { exact: true }).waitFor();
  await hub.kill();
  await page.getByText('Connection lost').waitFor();
  await hub.start();
  await hub.call('DELETE', '/v1/operators/walter');
  await atTheDoor();
});

it('signing out while the hub is away is made up for, also after the page was closed', async () => {
  await signIn(page, hub.api, hub.adminToken);
  const [cookie] = await page.context().cookies();
  const opens = async () => {
    const headers = { cookie: `${cookie!.name}=${cookie!.value}` };
    return (await fetch(`${hub.api}/v1/devices`, { headers })).status;
  };
  expect(await opens()).toBe(200);
  await hub.kill();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('alert').getByText('You are not signed out yet').waitFor();
  await picture(page, 'not-signed-out-yet');
  await page.close();
  await hub.start();
  expect(await opens()).toBe(200);
  page = await watched.page.context().newPage();
  await page.goto(hub.api);
  await atTheDoor();
  expect(await opens()).toBe(401);
  await page.getByLabel('Operator token').fill(hub.adminToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
});

it('signing out while the hub is away is done as soon as it is back, where the page stays', async () => {
  await signIn(page, hub.api, hub.adminToken);
  await hub.kill();
  await page.getByRole('button', { name: 'Sign out' }).click();
  const notice = page.getByRole('alert').getByText('You are not signed out yet');
  await notice.waitFor();
  await hub.start();
  await notice.waitFor({ state: 'detached', timeout: 30_000 });
  expect(await page.context().cookies()).toEqual([]);
});

it('a command that ends between the list and the first news is not shown as under way', async () => {
  const device = await connectRaw(hub, { token: await hub.addDevice('slow-1') });
  device.say({ type: 'hello', epoch: 'e' });
  const { id: group } = await hub.call<{ id: string }>('POST', '/v1/commands', {
    name: 'identify',
    selector: { devices: ['slow-1'] },
  });
  let frame = await device.next();
  while (frame.type !== 'command') frame = await device.next();
  await signIn(page, hub.api, hub.adminToken);
  const held: (() => void)[] = [];
  await page.routeWebSocket('**/v1/live', (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((text) => void held.push(() => server.send(text)));
  });
  await page.goto(`${hub.api}/?again#/groups/${group}`);
  await page.getByRole('row', { name: /sent.*slow-1/ }).waitFor();
  await expect.poll(() => held.length).toBeGreaterThan(0);
  device.say({ type: 'result', id: frame.id, ok: true });
  const ended = async () => (await hub.call<{ finished: boolean }>('GET', `/v1/groups/${group}`)).finished;
  await expect.poll(ended).toBe(true);
  for (const send of held) send();
  await page.getByRole('row', { name: /succeeded.*slow-1/ }).waitFor();
  device.close();
});

it('nothing is said to be empty that the hub did not say', async () => {
  await signIn(page, hub.api, hub.adminToken);
  await page.route('**/v1/alerts/*', (route) => route.abort());
  await page.goto(`${hub.api}/#/alerts`);
  await expect.poll(() => page.getByText('The hub does not answer.', { exact: true }).count()).toBe(2);
  for (const text of ['No rules yet', 'Nobody is told']) expect(await page.getByText(text).count()).toBe(0);
  await page.unroute('**/v1/alerts/*');
  await page.getByText('alerts.webhooks').waitFor();
});

it('a token that is shown once stays until it is said to be kept, even when it ends the session', async () => {
  await signIn(page, hub.api, await operator('anna', 'admin'));
  await page.goto(`${hub.api}/#/operators`);
  await page
    .getByRole('row', { name: /anna \(you\)/ })
    .getByRole('button', { name: 'New token' })
    .click();
  await page.getByRole('dialog').getByRole('button', { name: 'Make it' }).click();
  const dialog = page.getByRole('dialog', { name: 'Token of anna' });
  await dialog.waitFor();
  for (let press = 0; press < 3; press++) await page.keyboard.press('Escape');
  await page.mouse.click(5, 5);
  await page.goto(`${hub.api}/#/status`);
  expect(await dialog.getByRole('button', { name: 'Close' }).count()).toBe(0);
  const token = (await dialog.getByText(/^tho_\w+$/).innerText()).trim();
  await picture(page, 'token-kept');
  await dialog.getByRole('button', { name: 'I have kept the token' }).click();
  await expect.poll(() => page.getByRole('dialog').count()).toBe(0);
  await page.getByRole('alert').getByText('Your session has ended').waitFor();
  await page.getByLabel('Operator token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
});
