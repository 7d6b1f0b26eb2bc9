/** The system's Chromium on a hub's page: what a person does there, and everything that goes wrong behind their back. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** Set to docs/images it renews the pictures there; without it they are made all the same, and thrown away. */
const PICTURES = process.env.HUB_SCREENSHOTS ?? join(tmpdir(), 'hub-screenshots');

/** A page that is being watched. */
export interface WatchedPage {
  page: Page;
  /**
   * What went wrong since the last call: errors on the console and in scripts, requests to another host, and requests that failed.
   * An answer that refuses is an error on the console: `401 /v1/devices`. Empty: all was well.
   */
  problems(): string[];
  close(): Promise<void>;
}

/** Runs without a window; a test machine is often root in a container, where Chromium's own sandbox cannot be. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = PROGRAMS.find((program) => existsSync(program));
  if (!executablePath) throw new Error('There is no Chromium: run scripts/install-test-tools.');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** A window of its own: no cookie of another is in it. */
export async function openPage(
  browser: Browser,
  api: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const { host } = new URL(api);
  let problems: string[] = [];
  const note = (problem: string) => void problems.push(problem);
  page.on('console', (message) => {
    const refused = /^Failed to load resource: .* a status of (\d+)/.exec(message.text());
    if (message.type() === 'error') note(refused ? `${refused[1]} ${pathOf(message.location().url)}` : message.text());
  });
  page.on('pageerror', (error) => note(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) note(`a request to another host: ${request.url()}`);
  });
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? '';
    // A page that goes elsewhere gives up what it was loading.
    if (why !== 'net::ERR_ABORTED') note(`${why} ${pathOf(request.url())}`);
  });
  return {
    page,
    problems() {
      const found = problems;
      problems = [];
      return found;
    },
    close: () => context.close(),
  };
}

const pathOf = (url: string) => new URL(url).pathname;

/** Signs in by hand and waits for the first page. */
export async function signIn(page: Page, api: string, token: string): Promise<void> {
  await page.goto(api);
  await page.getByLabel('Operator token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

/** Presses on one side of an element, does something meanwhile, and lets go on the other. */
export async function drag(
  page: Page,
  element: Locator,
  [from, to]: [from: number, to: number],
  meanwhile: () => Promise<void> = async () => {},
): Promise<void> {
  // Brings it into the window.
  await element.hover();
  const box = (await element.boundingBox())!;
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await meanwhile();
  await page.mouse.move(box.x + box.width * to, y, { steps: 8 });
  await page.mouse.up();
}

/** What stands in the way of people who see, hear or move otherwise: findings that are serious or critical, with where. */
export async function barriersOn(page: Page): Promise<string[]> {
  // Evaluated by the debugger, since the page's policy lets no foreign script in.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`,
    );
}

/** Those that the manual shows. */
const PICTURED = [
  ...['overview-light', 'overview-dark', 'overview-phone', 'devices-light', 'device-light', 'device-dark'],
  ...['device-phone', 'device-commands-light', 'quarantine-light', 'status-dark'],
];

/** Takes a picture of what is in the window; without HUB_SCREENSHOTS of everything, for whoever looks what went wrong. */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env.HUB_SCREENSHOTS && !PICTURED.includes(name)) return;
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), animations: 'disabled' });
}
