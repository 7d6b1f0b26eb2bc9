/** A client that is not ours: docs/examples/device.py on python3-websockets. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';

/** Debian's own Python, for that is the one Debian's python3-websockets belongs to. */
const PYTHON = '/usr/bin/python3';

let hub: TestHub;
let folder: string;
let token: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  hub = await startTestHub();
  folder = mkdtempSync(join(tmpdir(), 'python-'));
  token = await hub.addDevice('py-1');
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await hub.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function device(...args: string[]) {
  const given = ['--url', hub.gateway, '--token', token, '--cafile', join(hub.dataDir, 'tls/cert.pem')];
  const child = spawn(PYTHON, ['docs/examples/device.py', ...given, '--state', join(folder, 'state.json'), ...args]);
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { output: () => output, code };
}

const storedCount = async () =>
  (await hub.call<{ rows: unknown[] }>('GET', '/v1/devices/py-1/telemetry?stream=environment&from=-1h&limit=1000')).rows
    .length;

it('connects, gets acks, and a reject with the right path', async () => {
  const good = device('--count', '3', '--interval', '0.05');
  expect(await good.code, good.output()).toBe(0);
  expect(good.output()).toContain('ack 3');
  const bad = device('--count', '1', '--interval', '0', '--fields', '{"temperature": 999}');
  expect(await bad.code, bad.output()).toBe(0);
  expect(bad.output()).toContain('reject 4 /temperature maximum must be <= 85');
  expect(bad.output()).toContain('ack 4');
  await expect.poll(storedCount).toBe(3);
});

it('reconnects when the hub is killed, resumes where it was, and everything is stored once', async () => {
  const before = await storedCount();
  const going = device('--count', '40', '--interval', '0.05');
  await expect.poll(() => going.output()).toContain('ack 10');
  await hub.kill();
  await hub.start();
  expect(await going.code, going.output()).toBe(0);
  expect(going.output()).toContain('disconnected');
  expect(going.output().match(/resume \d+/g)!.length).toBeGreaterThan(1);
  await expect.poll(storedCount).toBe(before + 40);
});
