/** Commands through the real hub: devices that are away, die, stay silent, repeat themselves, or answer for others. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, type Fleet } from '../../device-sim/fleet.ts';
import { PacedFeed } from '../../device-sim/paced.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { Command } from '../../hub/commands/command.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Answer, connectRaw, type RawDevice, refusal } from '../helpers/raw-device.ts';

const ROOT = join(import.meta.dirname, '../..');

let hub: TestHub;
let count = 0;
let id: string;
let token: string;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub.dispose());
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function newDevice() {
  id = `c${++count}`;
  token = await hub.addDevice(id);
  return id;
}

async function connect(as = token): Promise<RawDevice> {
  const device = await connectRaw(hub, { token: as });
  closing.push(() => device.close());
  device.say({ type: 'hello', epoch: 'e' });
  expect((await device.next()).type).toBe('welcome');
  return device;
}

const send = (name = 'identify', more: object = {}, device = id) =>
  hub.call<Command>('POST', `/v1/devices/${device}/commands`, { name, ...more });
const look = (command: Command, wait = '0ms') =>
  hub.call<Command>('GET', `/v1/commands/${command.id}?wait=${encodeURIComponent(wait)}`);

async function nextCommand(device: RawDevice): Promise<Answer> {
  const frame = await device.next();
  expect(frame.type).toBe('command');
  return frame;
}

async function problem(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const authorization = `Bearer ${hub.adminToken}`;
  const init = body && { headers: { authorization, 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(hub.api + path, { method, headers: { authorization }, ...init });
  return { ...((await response.json()) as object), status: response.status };
}

describe('a device that is away', () => {
  it('gets its commands in order once it connects', async () => {
    await newDevice();
    const sent = [];
    for (let i = 0; i < 10; i++) sent.push((await send('set-interval', { params: { seconds: i + 1 } })).id);
    const device = await connect();
    const got = [];
    for (let i = 0; i < 10; i++) got.push((await nextCommand(device)).id);
    expect(got).toEqual(sent);
  });

  it('gets them without saying a word, and over a restart of the hub', async () => {
    await newDevice();
    const command = await send();
    await hub.kill();
    await hub.start();
    const device = await connectRaw(hub, { token });
    closing.push(() => device.close());
    expect(await nextCommand(device)).toMatchObject({ id: command.id, name: 'identify', params: {}, attempt: 1 });
  });

  it('finds 50 at most; the next is refused, and room comes with a cancelled one', async () => {
    await newDevice();
    const first = await send();
    for (let i = 1; i < 50; i++) await send();
    expect(await problem('POST', `/v1/devices/${id}/commands`, { name: 'identify' })).toMatchObject({
      ...{ status: 429, code: 'queue-full' },
    });
    expect(await hub.call('POST', `/v1/commands/${first.id}/cancel`)).toMatchObject({ state: 'cancelled' });
    await send();
    expect(await problem('POST', `/v1/commands/${first.id}/cancel`)).toMatchObject({
      status: 409,
      code: 'already-ended',
    });
  });
});

describe('a device that answers', () => {
  it('ends the command, and who waits for it has the result in the answer', async () => {
    await newDevice();
    const device = await connect();
    const path = `/v1/devices/${id}/commands?wait=10s`;
    const waiting = hub.call<Command>('POST', path, { name: 'set-interval', params: { seconds: 5 } });
    const { id: command } = await nextCommand(device);
    device.say({ type: 'progress', id: command, state: 'running', progress: 0.5 });
    await expect.poll(() => look({ id: command } as Command)).toMatchObject({ state: 'accepted', progress: 0.5 });
    device.say({ type: 'result', id: command, ok: true, value: { seconds: 5 } });
    expect(await device.next()).toEqual({ type: 'result-ack', id: command });
    expect(await waiting).toMatchObject({ state: 'succeeded', value: { seconds: 5 }, attempt: 1 });
  });

  it('twice gets its acknowledgement twice, and changes nothing', async () => {
    await newDevice();
    const device = await connect();
    const command = await send();
    await nextCommand(device);
    for (const value of [{ first: 1 }, { second: 2 }]) {
      device.say({ type: 'result', id: command.id, ok: true, value });
      expect(await device.next()).toEqual({ type: 'result-ack', id: command.id });
    }
    expect(await look(command)).toMatchObject({ state: 'succeeded', value: { first: 1 } });
  });

  it('with something that does not fit has it kept, marked and shown', async () => {
    await newDevice();
    const device = await connect();
    const command = await send('set-interval', { params: { seconds: 5 } });
    await nextCommand(device);
    device.say({ type: 'result', id: command.id, ok: true, value: { seconds: 'five' } });
    await device.next();
    expect(await look(command)).toMatchObject({ value: { seconds: 'five' }, misfit: '/seconds must be number' });
  });

  it('with a refusal ends it as rejected, with a failure as failed', async () => {
    await newDevice();
    const device = await connect();
    for (const [code, state] of [
      ['unknown-command', 'rejected'],
      ['broken', 'failed'],
    ]) {
      const command = await send();
      await nextCommand(device);
      device.say({ type: 'result', id: command.id, ok: false, error: { code, message: 'no' } });
      await device.next();
      expect(await look(command)).toMatchObject({ state, error: { code, message: 'no' } });
    }
  });

  it("another device's command is refused, and that is written down", async () => {
    await newDevice();
    const command = await send();
    await newDevice();
    const other = await connect();
    other.say({ type: 'result', id: command.id, ok: true });
    expect(await other.next()).toMatchObject({ type: 'error', code: 'unknown-command' });
    expect(await look(command)).toMatchObject({ state: 'queued' });
    await expect
      .poll(() => hub.call('GET', `/v1/audit?target=${command.id}`))
      .toMatchObject({ entries: [{ actor: `device:${id}`, action: 'command.result', result: 'unknown-command' }] });
  });
});

describe('a device that does not answer', () => {
  it('leaves the command unknown; dead after accepting it, its late result is the truth', async () => {
    await newDevice();
    const device = await connect();
    const command = await send('identify', { timeoutMs: 500 });
    await nextCommand(device);
    device.say({ type: 'progress', id: command.id, state: 'accepted' });
    await expect.poll(() => look(command)).toMatchObject({ state: 'accepted' });
    device.ws.terminate();
    expect(await look(command, '10s')).toMatchObject({ state: 'unknown' });
    const again = await connect();
    again.say({ type: 'result', id: command.id, ok: true, value: { late: true } });
    // It had accepted it, so it is not sent again; the acknowledgement is the next thing that comes.
    expect(await again.next()).toEqual({ type: 'result-ack', id: command.id });
    expect(await look(command)).toMatchObject({ state: 'succeeded', value: { late: true }, attempt: 1 });
  });

  it('is asked again at each connection until it does, with the attempt counted', async () => {
    await newDevice();
    const command = await send('identify', { timeoutMs: 500 });
    for (const attempt of [1, 2, 3]) {
      const device = await connect();
      expect(await nextCommand(device)).toMatchObject({ id: command.id, attempt });
      device.ws.terminate();
      await device.closed;
    }
    expect(await look(command, '10s')).toMatchObject({ state: 'unknown', attempt: 3 });
  });
});

describe('operators', () => {
  it('are told what is wrong with a request, and where', async () => {
    await newDevice();
    const path = `/v1/devices/${id}/commands`;
    expect(await problem('POST', path, { name: 'dance' })).toMatchObject({
      ...{ status: 404, code: 'unknown-command' },
      detail: expect.stringContaining('identify, read-now, reboot, set-config, set-interval'),
    });
    expect(await problem('POST', path, { name: 'set-interval', params: { seconds: 0 } })).toMatchObject({
      ...{
        status: 400,
        code: 'invalid',
        errors: [{ in: 'body', path: '/params/seconds', message: 'must be >= 0.01' }],
      },
    });
    expect(await problem('POST', path, { name: 'identify', ttlMs: 1 })).toMatchObject({ status: 400 });
    expect(await problem('POST', '/v1/devices/nobody/commands', { name: 'identify' })).toMatchObject({ status: 404 });
    expect(await problem('POST', `${path}?wait=2h`, { name: 'identify' })).toMatchObject({
      ...{ status: 400, errors: [{ in: 'query', path: '/wait' }] },
    });
    expect(await hub.call(`GET`, path)).toEqual({ commands: [] });
  });

  it('see lists by device and state, page by page, and numbers in the metrics', async () => {
    await newDevice();
    const ids = [];
    for (let i = 0; i < 3; i++) ids.unshift((await send()).id);
    const first = await hub.call<{ commands: Command[]; next: string }>('GET', `/v1/devices/${id}/commands?limit=2`);
    const rest = await hub.call<{ commands: Command[] }>('GET', `/v1/commands?device=${id}&cursor=${first.next}`);
    expect([...first.commands, ...rest.commands].map((command) => command.id)).toEqual(ids);
    expect(await hub.call('GET', `/v1/commands?device=${id}&state=sent`)).toEqual({ commands: [] });
    const headers = { authorization: `Bearer ${hub.adminToken}` };
    const metrics = await (await fetch(`${hub.api}/metrics`, { headers })).text();
    expect(metrics).toMatch(/^hub_commands_total\{state="queued"\} [1-9]/m);
    expect(metrics).toMatch(/^hub_commands_queued [1-9]/m);
  });
});

describe('two clients with one token', () => {
  it('may not take the device from each other for ever; the log says it once, and commands reach the one inside', async () => {
    await newDevice();
    for (let i = 0; i < 6; i++) await connect();
    const inside = await connect().catch((error: unknown) => error);
    expect(inside).toMatchObject({ status: 429, problem: { code: 'takeover' } });
    const refused = await refusal(hub, { token });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    await expect
      .poll(() => hub.log().match(new RegExp(`"device":"${id}".*take it from each other`, 'g')))
      .toHaveLength(1);
    const command = await send();
    await expect.poll(() => look(command)).toMatchObject({ state: 'sent', attempt: 1 });
  });
});

describe('simulated devices', () => {
  let fleet: Fleet;
  const notices: string[] = [];

  it('obey every command that is shipped', async () => {
    await newDevice();
    const feed = new PacedFeed(() => ({ temperature: 20 }), { intervalMs: 50, batch: 1, phase: 0 });
    const connectTo = createConnect({ url: hub.gateway, ca: hub.ca });
    fleet = createFleet(connectTo, [{ id, token, stream: 'environment', feed }], {
      ...{ ack: 'journaled', rebootMs: 50, onNotice: (text) => notices.push(text) },
    });
    closing.push(() => fleet.close());
    fleet.start();
    const orders: Record<string, object> = {
      'set-interval': { seconds: 0.02 },
      'set-config': { settings: { mode: 'eco', limit: 3 } },
      'read-now': {},
      identify: { seconds: 2 },
      reboot: {},
    };
    const { commands } = await hub.call<{ commands: { name: string }[] }>('GET', '/v1/schemas');
    expect(commands.map(({ name }) => name).sort()).toEqual(Object.keys(orders).sort());
    for (const [name, params] of Object.entries(orders)) {
      const command = await hub.call<Command>('POST', `/v1/devices/${id}/commands?wait=20s`, { name, params });
      expect(command, name).toMatchObject({ state: 'succeeded' });
      expect(command, name).not.toHaveProperty('misfit');
    }
    expect(notices).toEqual([
      `${id} measures every 0.02 s now`,
      `${id} has the settings {"mode":"eco","limit":3} now`,
      `${id} measures now`,
      `${id} blinks`,
      `${id} reboots`,
    ]);
  });
});

describe('programs', () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'python-'));
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  function start(program: string, args: string[]) {
    const child = spawn(program, args, { cwd: ROOT, env: { ...process.env, HUB_DATA: hub.dataDir } });
    children.push(child);
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += chunk));
    child.stderr.on('data', (chunk) => (output.stderr += chunk));
    const code = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { child, output, ended: async () => ({ code: await code, ...output }) };
  }

  const cli = (...args: string[]) => start(process.execPath, ['hub/main.ts', ...args]).ended();

  function python() {
    const given = ['--url', hub.gateway, '--token', token, '--cafile', join(hub.dataDir, 'tls/cert.pem')];
    const rest = ['--state', join(folder, `${id}.json`), '--count', '0', '--interval', '0.2'];
    return start('/usr/bin/python3', ['docs/examples/device.py', ...given, ...rest]);
  }

  it('in Python: obeys a command, reports progress, and answers until it is acknowledged', async () => {
    await newDevice();
    const device = python();
    const command = await send('set-interval', { params: { seconds: 0.05 } });
    expect(await look(command, '20s')).toMatchObject({ state: 'succeeded', progress: 0.5, value: { seconds: 0.05 } });
    await expect.poll(() => device.output.stdout).toContain(`result-ack ${command.id}`);
    const unknown = await send('reboot');
    expect(await look(unknown, '20s')).toMatchObject({ state: 'rejected', error: { code: 'unknown-command' } });
    expect(device.output.stdout.match(/runs set-interval/g)).toHaveLength(1);
    device.child.kill('SIGKILL');
  });

  it('in Python: killed with a command that it took, it says so when it is back, and runs it no second time', async () => {
    await newDevice();
    const device = python();
    const command = await send('set-interval', { params: { seconds: 0.05 } });
    await expect.poll(() => device.output.stdout).toContain('runs set-interval');
    device.child.kill('SIGKILL');
    const again = python();
    expect(await look(command, '20s')).toMatchObject({ state: expect.stringMatching(/succeeded|failed/) });
    await expect.poll(() => again.output.stdout).toContain('resume');
    expect(again.output.stdout).not.toContain('runs');
    again.child.kill('SIGKILL');
  });

  it('the CLI sends, waits, lists, shows and cancels, and its exit code tells the end', async () => {
    await newDevice();
    const queued = await cli('send', id, 'set-interval', 'seconds=5');
    expect(queued).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\S+\n$/) });
    const first = queued.stdout.trim();
    expect(await cli('commands', 'cancel', first)).toMatchObject({ code: 0, stderr: `${first} is cancelled.\n` });
    expect(await cli('commands', 'show', first, '--wait', '1s')).toMatchObject({ code: 6 });
    expect(await cli('send', id, 'identify', '--wait', '50ms')).toMatchObject({ code: 8 });
    const device = await connect();
    await nextCommand(device);
    const answer = async (frame: object) => {
      const { id: command } = await nextCommand(device);
      device.say({ type: 'result', id: command, ...frame });
      await device.next();
    };
    const [ok] = await Promise.all([
      cli('send', id, 'set-config', 'settings.mode=eco', 'settings.limit=3', '--wait', '20s', '--json'),
      answer({ ok: true, value: {} }),
    ]);
    expect(ok.code).toBe(0);
    expect(JSON.parse(ok.stdout)).toMatchObject({
      state: 'succeeded',
      params: { settings: { mode: 'eco', limit: 3 } },
    });
    const [failed] = await Promise.all([
      cli('send', id, 'identify', '--wait', '20s'),
      answer({ ok: false, error: { code: 'lamp', message: 'it is broken' } }),
    ]);
    expect(failed).toMatchObject({ code: 4, stdout: expect.stringMatching(/^answer +lamp: it is broken$/m) });
    const [rejected] = await Promise.all([
      cli('send', id, 'identify', '--wait', '20s'),
      answer({ ok: false, error: { code: 'rejected', message: '' } }),
    ]);
    expect(rejected.code).toBe(5);
    expect(await cli('send', id, 'identify', '--timeout', '200ms', '--wait', '20s')).toMatchObject({ code: 7 });
    const { stdout } = await cli('commands', 'ls', '--device', id);
    expect(stdout).toMatch(/^CREATED +ID +DEVICE +COMMAND +STATE +ANSWER$/m);
    expect(stdout.trim().split('\n')).toHaveLength(7);
  });

  it('the CLI says what is wrong', async () => {
    await newDevice();
    expect(await cli('send', id, 'dance')).toMatchObject({ code: 1, stderr: expect.stringContaining('set-interval') });
    expect(await cli('send', id, 'set-interval', 'seconds=often')).toMatchObject({
      ...{ code: 2, stderr: 'seconds is "often", but shall be of type number.\n' },
    });
    expect(await cli('send', id, 'set-interval', 'seconds')).toMatchObject({ code: 2 });
    expect(await cli('send', id, 'set-interval', '--params', '[]')).toMatchObject({ code: 2 });
    expect(await cli('send', id, 'identify', '--wait', 'long')).toMatchObject({ code: 2 });
  });
});
