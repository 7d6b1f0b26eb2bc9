/** The programs that "Add device" shows: taken from the page as they are, run, and heard by the hub. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { openBrowser, openPage, signIn } from '../helpers/browser.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

/** Debian's own Python, for that is the one Debian's python3-websockets belongs to. */
const PYTHON = '/usr/bin/python3';

let hub: TestHub;
let browser: Browser;
let folder: string;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  browser = await openBrowser();
  folder = mkdtempSync(join(tmpdir(), 'snippets-'));
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(folder, 'node_modules'));
});
afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startHub(env: Record<string, string> = {}): Promise<void> {
  hub = await startTestHub(env);
  cleanups.push(() => hub.dispose());
}

/** Adds a device by hand, and gives the programs as the page shows them. `host`: the name under which the page is opened. */
async function programsFor(id: string, host = '127.0.0.1'): Promise<Record<'Python' | 'Arduino' | 'Node', string>> {
  const api = hub.api.replace('127.0.0.1', host);
  const { page, close } = await openPage(browser, api);
  await signIn(page, api, hub.adminToken);
  await page.goto(`${api}/#/devices`);
  await page.getByRole('button', { name: 'Add device' }).click();
  await page.getByLabel('Id').fill(id);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const shown = {
    Python: await programIn(page, 'Python'),
    Arduino: await programIn(page, 'Arduino'),
    Node: await programIn(page, 'Node'),
  };
  await close();
  return shown;
}

async function programIn(page: Page, language: string): Promise<string> {
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: language }).click();
  return (await dialog.locator('pre').last().textContent())!;
}

/** Runs it as it is, in a folder with nothing else; ends it after the test. */
function run(program: string, args: string[]) {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const child: ChildProcess = spawn(program, args, { cwd: folder, env });
  cleanups.push(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk));
  return () => output;
}

async function isHeard(id: string, output: () => string): Promise<void> {
  await expect.poll(output).toContain('{"type":"ack","seq":1}');
  const path = `/v1/devices/${id}/telemetry?stream=environment`;
  const stored = async () => (await hub.call<{ rows: object[] }>('GET', path)).rows;
  await expect.poll(stored).toMatchObject([{ temperature: 21.5 }]);
  expect(output()).not.toContain('reject');
}

it.each([
  ['with the certificate of the hub', {}],
  ['under a name that is not in its certificate', { HUB_API__HOST: '127.0.0.2', HUB_GATEWAY__HOST: '127.0.0.2' }],
  ['without TLS, as before a proxy', { HUB_GATEWAY__TLS__ENABLED: 'false' }],
])('Python and Node connect, send and are acknowledged %s', async (_, env) => {
  await startHub(env);
  const python = await programsFor('py-1');
  writeFileSync(join(folder, 'device.py'), python.Python);
  await isHeard('py-1', run(PYTHON, ['device.py']));
  const node = await programsFor('node-1');
  writeFileSync(join(folder, 'device.mjs'), node.Node);
  await isHeard('node-1', run(process.execPath, ['device.mjs']));
});

it('Arduino names a door that opens, and says frames that are acknowledged', async () => {
  await startHub();
  const { Arduino: sketch } = await programsFor('esp-1');
  const [, host, port, path, protocol] = /beginSslWithCA\("(.+?)", (\d+), "(.+?)", CA_PEM, "(.+?)"\)/.exec(sketch)!;
  const [, name, value] = /setExtraHeaders\("(.+?): (.+?)"\)/.exec(sketch)!;
  const [, head] = /String frame = "(.+)" \+ String\(\+\+seq\) \+ ",";/.exec(sketch)!;
  const [, rest] = /frame \+= R"json\((.+)\)json";/.exec(sketch)!;
  const frame = (seq: number) => JSON.parse(`${head!.replaceAll('\\"', '"')}${seq},${rest}`);
  const [, pem] = /CA_PEM\[\] = R"pem\(\n([^)]+)\)pem"/.exec(sketch)!;
  expect(pem).toBe(readFileSync(join(hub.dataDir, 'tls/cert.pem'), 'utf8').trim().concat('\n'));
  const url = `wss://${host}:${port}${path}`;
  const device = await connectRaw(hub, { url, protocols: [protocol!], headers: { [name!]: value! } });
  for (const seq of [1, 2]) {
    device.say(frame(seq));
    expect(await device.next()).toEqual({ type: 'ack', seq });
  }
  device.close();
});

it('they name the host under which the page was opened', async () => {
  await startHub();
  const { port } = new URL(hub.gateway);
  const { Node, Arduino } = await programsFor('d', 'localhost');
  expect(Node).toContain(`new WebSocket("wss://localhost:${port}/v1/device"`);
  expect(Arduino).toContain(`beginSslWithCA("localhost", ${port}, "/v1/device"`);
});

it('they name the public address of a hub that says one', async () => {
  await startHub({ HUB_GATEWAY__PUBLIC_URL: 'wss://hub.example/devices/v1/device' });
  const { Python, Node, Arduino } = await programsFor('d');
  for (const program of [Python, Node]) expect(program).toContain('"wss://hub.example/devices/v1/device"');
  expect(Arduino).toContain('beginSslWithCA("hub.example", 443, "/devices/v1/device"');
  // Whoever answers there has a certificate of its own.
  expect(Python).toContain('tls = ssl.create_default_context()\n');
});
