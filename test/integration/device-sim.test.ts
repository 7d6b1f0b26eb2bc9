/** The simulator and the Python example as whole programs, and the fleet in between, against a scripted hub. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { generate } from 'selfsigned';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Closed } from '../../device-sim/connection.ts';
import type { Reading } from '../../device-sim/device.ts';
import { createFleet, type Fleet, type FleetOptions, type Member } from '../../device-sim/fleet.ts';
import { PacedFeed } from '../../device-sim/paced.ts';
import { RecordedFeed } from '../../device-sim/replay.ts';
import { createConnect, type SocketOptions } from '../../device-sim/socket.ws.ts';
import type { Command } from '../../schemas/types.gen.ts';
import { type ScriptedHub, type ScriptedSession, startScriptedHub } from '../helpers/scripted-hub.ts';

const ROOT = join(import.meta.dirname, '../..');
const closing: (() => unknown)[] = [];
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sim-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(dir, { recursive: true });
});

async function startHub(onSession?: (session: ScriptedSession) => void): Promise<ScriptedHub> {
  const hub = await startScriptedHub(onSession);
  closing.push(() => hub.close());
  return hub;
}

/** Welcomes every device and acknowledges every frame; hands each telemetry frame over first. */
const startKindHub = (seen: (frame: { seq?: number; readings: unknown[] }) => unknown = () => {}) =>
  startHub((session) => {
    session.ackAll((frame) => void seen(frame));
    void session.welcome();
  });

function recordingOf(count: number): RecordedFeed {
  const readings: Reading[] = Array.from({ length: count }, (_, n) => ({ ts: n, temperature: 20 }));
  return new RecordedFeed(readings, Number.POSITIVE_INFINITY, 1);
}

const measuring = (intervalMs: number) =>
  new PacedFeed((ts) => ({ temperature: ts % 30 }), { intervalMs, batch: 1, phase: 0 });

function startFleet(hub: ScriptedHub, feeds: Member['feed'][], options: Partial<FleetOptions> = {}): Fleet {
  const members = feeds.map((feed, n) => ({ id: `d${n}`, token: `token-${n}`, stream: 'environment', feed }));
  const fleet = createFleet(createConnect({ url: hub.url }), members, { ack: 'journaled', ...options });
  closing.push(() => fleet.close());
  fleet.start();
  return fleet;
}

describe('a fleet', () => {
  it('delivers everything and counts it', async () => {
    const hub = await startKindHub();
    const fleet = startFleet(
      hub,
      Array.from({ length: 20 }, () => recordingOf(50)),
    );
    await expect.poll(() => fleet.finished).toBe(true);
    expect(await fleet.settled(10_000)).toBe(true);
    expect(fleet.report()).toMatchObject({
      devices: 20,
      online: 20,
      sent: 1_000,
      acked: 1_000,
      pending: 0,
      rejected: 0,
    });
    expect(fleet.report().ackMs.max).toBeGreaterThan(0);
  });

  it('sends its token in the header and resumes after a cut', async () => {
    const hub = await startHub();
    const fleet = startFleet(hub, [recordingOf(5)]);
    const first = await hub.nextSession();
    expect(first.token).toBe('token-0');
    const { epoch } = await first.welcome();
    expect(await first.nextSeqs(5)).toEqual([1, 2, 3, 4, 5]);
    first.cut();
    const second = await hub.nextSession();
    expect((await second.welcome(3)).epoch).toBe(epoch);
    expect(await second.nextSeqs(2)).toEqual([4, 5]);
    second.send({ type: 'ack', seq: 5 });
    expect(await fleet.settled(10_000)).toBe(true);
    expect(fleet.report()).toMatchObject({ sent: 5, acked: 5, resent: 2, reconnects: 1 });
  });

  it('waits when told to, and begins again where told to', async () => {
    const hub = await startHub();
    const fleet = startFleet(hub, [recordingOf(4)]);
    const session = await hub.nextSession();
    await session.welcome();
    await session.nextSeqs(4);
    session.send({ type: 'flow', reason: 'rate', from: 2, retryAfterMs: 50 });
    expect(await session.nextSeqs(3)).toEqual([2, 3, 4]);
    session.send({ type: 'ack', seq: 4 });
    expect(await fleet.settled(10_000)).toBe(true);
    expect(fleet.report()).toMatchObject({ acked: 4, flows: 1 });
  });

  it('stays away after a takeover', async () => {
    const hub = await startHub();
    const fleet = startFleet(hub, [recordingOf(1)]);
    const session = await hub.nextSession();
    await session.welcome();
    session.close(4500, 'a newer connection took over');
    await expect.poll(() => fleet.report().refused === 1).toBe(true);
    expect(await fleet.settled(60_000)).toBe(false);
    expect(hub.attempts).toBe(1);
    expect(fleet.report().reasons).toEqual({ 'refused: a newer connection took over': 1 });
  });

  it('stays away after a 401, with the words of the hub', async () => {
    const hub = await startHub();
    hub.refuseNext({ status: 401, body: { title: 'The token is unknown, expired or revoked.' } });
    const fleet = startFleet(hub, [recordingOf(1)]);
    await expect.poll(() => fleet.report().refused === 1).toBe(true);
    expect(Object.keys(fleet.report().reasons)).toEqual([
      'refused: HTTP 401 The token is unknown, expired or revoked.',
    ]);
  });

  it('comes back after a 503', async () => {
    const hub = await startHub();
    hub.refuseNext({ status: 503, headers: { 'Retry-After': '0' } });
    startFleet(hub, [recordingOf(1)]);
    await (await hub.nextSession()).welcome();
    expect(hub.attempts).toBe(2);
  });

  it('comes back after a restart of the hub', async () => {
    const hub = await startHub();
    startFleet(hub, [recordingOf(1)]);
    const session = await hub.nextSession();
    session.close(1001);
    await (await hub.nextSession()).welcome();
    expect(hub.attempts).toBe(2);
  });

  it('counts rejected readings and why', async () => {
    const hub = await startHub();
    const fleet = startFleet(hub, [recordingOf(2)]);
    const session = await hub.nextSession();
    await session.welcome();
    await session.nextSeqs(2);
    const errors = [{ index: 0, path: '/temperature', code: 'maximum', message: 'must be <= 85' }];
    session.send({ type: 'reject', seq: 1, errors });
    session.send({ type: 'ack', seq: 2 });
    expect(await fleet.settled(10_000)).toBe(true);
    expect(fleet.report()).toMatchObject({ sent: 2, acked: 1, rejected: 1 });
    expect(fleet.report().reasons).toEqual({ 'rejected: /temperature must be <= 85': 1 });
  });
});

describe('the socket', () => {
  /** Connects and resolves to why the connection ended, or to `opened`. */
  const outcome = (options: SocketOptions) =>
    new Promise<Closed | 'opened'>((resolve) => {
      const opened = () => resolve('opened');
      const socket = createConnect(options)('t', { opened, received() {}, pinged() {}, closed: resolve });
      closing.push(() => socket.close());
    });

  it('tells with which status and words the hub refused, and when to come back', async () => {
    const hub = await startHub();
    const body = { title: 'The hub has no room.', detail: 'full' };
    hub.refuseNext({ status: 503, headers: { 'Retry-After': '7' }, body });
    expect(await outcome({ url: hub.url })).toEqual({
      code: 1006,
      status: 503,
      reason: 'HTTP 503 full',
      retryAfterMs: 7_000,
    });
    hub.refuseNext({ status: 429, headers: { 'Retry-After': new Date(Date.now() + 90_000).toUTCString() } });
    const { retryAfterMs } = (await outcome({ url: hub.url })) as Closed;
    expect(Math.round(retryAfterMs! / 60_000)).toBe(1);
  });

  it('tells when nobody listens', async () => {
    const hub = await startHub();
    await hub.close();
    closing.length = 0;
    expect(await outcome({ url: hub.url })).toMatchObject({
      code: 1006,
      reason: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('trusts the certificate it is given, or any when told so, and no other', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    const hub = await startScriptedHub(() => {}, { key, cert });
    closing.push(() => hub.close());
    expect(await outcome({ url: hub.url })).toMatchObject({ reason: expect.stringMatching(/self.signed/) });
    expect(await outcome({ url: hub.url, ca: cert })).toBe('opened');
    expect(await outcome({ url: hub.url, insecure: true })).toBe('opened');
  });

  it('is gone soon after close, even if the hub does not answer', async () => {
    const hub = await startHub((session) => session.freeze());
    const socket = createConnect({ url: hub.url })('t', { opened: () => {}, received() {}, pinged() {}, closed() {} });
    await expect.poll(() => hub.attempts === 1).toBe(true);
    await Promise.all([socket.close(), socket.close()]);
    await socket.close();
  });
});

describe('commands to a simulated device', () => {
  const command = (id: string, name: string, params = {}): Command => {
    return { type: 'command', id, name, params, expires: Date.now() + 60_000, attempt: 1 };
  };

  async function connected(options: Partial<FleetOptions> = {}) {
    const hub = await startHub();
    const fleet = startFleet(hub, [measuring(3_600_000)], options);
    const session = await hub.nextSession();
    const { epoch } = await session.welcome();
    await session.next('telemetry');
    return { hub, fleet, session, epoch };
  }

  it('set-interval changes its pace', async () => {
    const { session } = await connected();
    session.send(command('c1', 'set-interval', { seconds: 0.02 }));
    await session.next('progress');
    expect(await session.next('result')).toEqual({ type: 'result', id: 'c1', ok: true, value: { seconds: 0.02 } });
    expect(await session.nextSeqs(3)).toEqual([2, 3, 4]);
  });

  it('reboot drops the socket, and the result comes in a new epoch', async () => {
    const { hub, session, epoch } = await connected({ rebootMs: 20 });
    session.send(command('c1', 'reboot'));
    await session.next('progress');
    await session.closed;
    const after = await hub.nextSession();
    expect((await after.welcome()).epoch).not.toBe(epoch);
    expect(await after.next('result')).toEqual({ type: 'result', id: 'c1', ok: true, value: {} });
    expect(await after.nextSeqs(1)).toEqual([1]);
  });

  it('a repeated id is answered again and not run again', async () => {
    const { session, fleet } = await connected();
    session.send(command('c1', 'dance', { steps: 3 }));
    const result = { type: 'result', id: 'c1', ok: true, value: { command: 'dance', params: { steps: 3 } } };
    await session.next('progress');
    expect(await session.next('result')).toEqual(result);
    session.send(command('c1', 'dance', { steps: 3 }));
    expect(await session.next('result')).toEqual(result);
    expect(fleet.report().commands).toBe(1);
  });

  it('read-now sends a reading at once', async () => {
    const { session } = await connected();
    session.send(command('c1', 'read-now'));
    await session.next('progress');
    const { readings } = (await session.next('telemetry')) as unknown as { readings: { ts: number }[] };
    expect(await session.next('result')).toMatchObject({ ok: true, value: { readings: 1, ts: readings[0]!.ts } });
  });

  it('set-config keeps its settings, and shows them', async () => {
    const notices: string[] = [];
    const { session } = await connected({ onNotice: (notice) => notices.push(notice) });
    session.send(command('c1', 'set-config', { settings: { mode: 'eco' } }));
    await session.next('progress');
    expect(await session.next('result')).toMatchObject({ value: { settings: { mode: 'eco' } } });
    session.send(command('c2', 'set-config', { settings: { limit: 3 } }));
    await session.next('progress');
    expect(await session.next('result')).toMatchObject({ value: { settings: { mode: 'eco', limit: 3 } } });
    expect(notices).toHaveLength(2);
  });

  it('identify shows itself', async () => {
    const notices: string[] = [];
    const { session } = await connected({ onNotice: (notice) => notices.push(notice) });
    session.send(command('c1', 'identify'));
    await session.next('progress');
    await session.next('result');
    expect(notices).toEqual(['d0 blinks']);
  });
});

/** Runs a program of the project to its end. */
async function run(program: string, args: string[], interruptAfter?: Promise<unknown>) {
  const child = spawn(program, args, { cwd: ROOT, env: { ...process.env, HUB_DATA: dir } });
  closing.push(() => child.kill('SIGKILL'));
  void interruptAfter?.then(() => child.kill('SIGINT'));
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number, stdout, stderr };
}

const sim = (args: string[], interruptAfter?: Promise<unknown>) =>
  run(process.execPath, ['device-sim/main.ts', ...args], interruptAfter);

/** An operator API that makes and lists devices, as the hub's does; `existing` have the token `thd_<id>`, of the key `<id>`. */
async function startApi(existing: string[] = []) {
  const made: { id: string; authorization: string | undefined; tags: unknown }[] = [];
  const listed = () => {
    const ids = [...existing, ...made.map(({ id }) => id)];
    return { devices: ids.map((id) => ({ id, tokens: [{ keyId: id, createdAt: 0 }] })) };
  };
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') return void response.end(JSON.stringify(listed()));
    const { id, tags } = JSON.parse(await text(request));
    const exists = existing.includes(id);
    if (!exists) made.push({ id, authorization: request.headers.authorization, tags });
    const answer = exists ? { title: 'It exists already.' } : { id, token: `thd_${id}` };
    response.writeHead(exists ? 409 : 201, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return { made, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Writes what a running hub writes into its data folder. */
function pretendHub(hub: ScriptedHub, api: string): void {
  writeFileSync(join(dir, 'hub.json'), JSON.stringify({ pid: process.pid, api, gateway: hub.url }));
  writeFileSync(join(dir, 'admin.token'), 'tho_admin\n');
}

function giveTokens(...ids: string[]): void {
  const tokens = Object.fromEntries(ids.map((id) => [id, `thd_${id}`]));
  writeFileSync(join(dir, 'sim-tokens.json'), JSON.stringify(tokens));
}

describe('npm run sim', () => {
  it('finds the hub of this machine, makes its devices once, and keeps their tokens', async () => {
    const hub = await startKindHub();
    const api = await startApi();
    pretendHub(hub, api.url);
    const args = ['--devices', '3', '--rate', '20', '--for', '300ms', '--json'];
    const { code, stdout, stderr } = await sim(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
    expect(JSON.parse(stdout)).toMatchObject({ devices: 3, rejected: 0, pending: 0, stream: 'environment', seed: 1 });
    expect(api.made.map(({ id }) => id).sort()).toEqual(['sim-0001', 'sim-0002', 'sim-0003']);
    expect(api.made[0]).toMatchObject({ authorization: 'Bearer tho_admin', tags: { simulated: 'true' } });
    expect(statSync(join(dir, 'sim-tokens.json')).mode & 0o777).toBe(0o600);
    expect((await sim(args)).code).toBe(0);
    expect(api.made).toHaveLength(3);
  });

  it('says what to do when a device exists and its token is not known', async () => {
    const hub = await startKindHub();
    const api = await startApi(['sim-0002']);
    pretendHub(hub, api.url);
    const { code, stderr } = await sim(['--devices', '2', '--for', '1s']);
    expect(code).toBe(1);
    expect(stderr).toContain('hub -- devices rm sim-0002');
    expect(stderr).toContain('--prefix');
    expect(stderr).not.toContain('    at ');
    expect(JSON.parse(readFileSync(join(dir, 'sim-tokens.json'), 'utf8'))).toEqual({ 'sim-0001': 'thd_sim-0001' });
  });

  it('makes a device again that was removed, and keeps its new token', async () => {
    const hub = await startKindHub();
    const api = await startApi(['sim-0002']);
    pretendHub(hub, api.url);
    writeFileSync(
      join(dir, 'sim-tokens.json'),
      JSON.stringify({ 'sim-0001': 'thd_old_x', 'sim-0002': 'thd_sim-0002' }),
    );
    const { code, stderr } = await sim(['--devices', '2', '--rate', '20', '--for', '300ms']);
    expect(code).toBe(0);
    expect(stderr).toContain('the hub does not know sim-0001 any more');
    expect(api.made.map(({ id }) => id)).toEqual(['sim-0001']);
    expect(JSON.parse(readFileSync(join(dir, 'sim-tokens.json'), 'utf8'))).toMatchObject({
      'sim-0001': 'thd_sim-0001',
    });
  });

  it('says of a kept token that was revoked how to go on', async () => {
    const hub = await startKindHub();
    const api = await startApi(['sim-0001']);
    pretendHub(hub, api.url);
    writeFileSync(join(dir, 'sim-tokens.json'), JSON.stringify({ 'sim-0001': 'thd_old_x' }));
    hub.refuseNext({ status: 401 });
    const { code, stderr } = await sim(['--devices', '1', '--for', '1h']);
    expect(code).toBe(1);
    expect(stderr).toContain('the kept token of sim-0001 was revoked or has expired');
    expect(stderr).toContain('devices rm sim-0001');
    expect(api.made).toEqual([]);
  });

  it('asks only the hub that its devices connect to', async () => {
    const hub = await startKindHub();
    const api = await startApi();
    pretendHub(hub, api.url);
    giveTokens('sim-0001');
    const other = await startKindHub();
    const { code } = await sim(['--url', other.url, '--devices', '1', '--rate', '20', '--for', '300ms']);
    expect([code, api.made]).toEqual([0, []]);
  });

  it('replays the real day with its own times and values', async () => {
    const readings: unknown[] = [];
    const hub = await startKindHub((frame) => readings.push(...frame.readings));
    giveTokens('sim-0001');
    const map = 'temperature=temperature,humidity=humidity,co2=co2,light=light,occupied=occupancy:boolean';
    const file = 'device-sim/data/occupancy-2015-02-05.csv';
    const args = [
      '--url',
      hub.url,
      '--devices',
      '1',
      '--replay',
      file,
      '--map',
      map,
      '--speed',
      'max',
      '--batch',
      '10',
    ];
    const { code, stdout } = await sim(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/acknowledged.*1,440/);
    expect(readings).toHaveLength(1_440);
    const first = {
      ts: Date.UTC(2015, 1, 5),
      temperature: 21.245,
      humidity: 25.245,
      co2: 456.5,
      light: 0,
      occupied: false,
    };
    expect(readings[0]).toEqual(first);
  });

  it('ends on Ctrl-C after the last acks, with a summary', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const hub = await startKindHub(() => resolve());
    giveTokens('sim-0001');
    const { code, stdout } = await sim(['--url', hub.url, '--devices', '1', '--rate', '50'], promise);
    expect(code).toBe(0);
    expect(stdout).toContain('ack latency p50 / p99 / max');
  });

  it('fails when readings are rejected, unless they may be', async () => {
    const hub = await startHub((session) => {
      const errors = [{ index: 0, path: '/temperature', code: 'maximum', message: 'must be <= 85' }];
      session.ackAll(({ seq }) => void session.send({ type: 'reject', seq: seq!, errors }));
      void session.welcome();
    });
    giveTokens('sim-0001');
    const args = ['--url', hub.url, '--devices', '1', '--rate', '50', '--for', '200ms'];
    expect((await sim(args)).code).toBe(1);
    expect((await sim([...args, '--allow-rejects'])).code).toBe(0);
  });

  it('fails when every device is sent away, without waiting for the end', async () => {
    const hub = await startHub((session) => session.close(4502, 'revoked'));
    giveTokens('sim-0001');
    const { code, stderr } = await sim(['--url', hub.url, '--devices', '1', '--for', '1h']);
    expect(code).toBe(1);
    expect(stderr).toContain('sim-0001 was told to stay away: revoked');
    expect(stderr).toContain('devices rotate ID');
  });

  it.each([
    [['--devices', 'many'], 'whole number'],
    [['--rate', '0'], 'number between'],
    [['--for', '30'], 'such as 30s'],
    [['--ack', 'maybe'], 'journaled'],
    [['--replay', 'x.csv'], 'belong together'],
    [['--replay', 'x.csv', '--map', 'nonsense'], 'field=column'],
    [['--stream', 'poems'], '"poems"'],
    [['--nothing'], 'unknown option'],
  ])('refuses %j as wrong usage', async (args, message) => {
    const { code, stdout, stderr } = await sim(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describe('docs/examples/device.py', () => {
  const python = (hub: ScriptedHub, ...args: string[]) => {
    const common = ['--url', hub.url, '--token', 'thd_py', '--state', join(dir, 'state.json'), '--interval', '0'];
    return run('/usr/bin/python3', ['docs/examples/device.py', ...common, ...args]);
  };

  it('sends readings, prints acks and rejects, and ends when all are acknowledged', async () => {
    const hub = await startHub();
    const ended = python(hub, '--count', '2', '--fields', '{"temperature": 999}');
    const session = await hub.nextSession();
    expect(session.token).toBe('thd_py');
    await session.welcome();
    expect((await session.next('telemetry')).readings).toEqual([{ ts: expect.any(Number), temperature: 999 }]);
    const errors = [{ index: 0, path: '/temperature', code: 'maximum', message: 'must be <= 85' }];
    session.send({ type: 'reject', seq: 1, errors });
    await session.next('telemetry');
    session.send({ type: 'ack', seq: 2 });
    const { code, stdout } = await ended;
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual(['resume 0', 'reject 1 /temperature maximum must be <= 85', 'ack 2', '']);
  });

  it('reconnects after a cut, and after flow, and sends again what the hub does not hold', async () => {
    const hub = await startHub();
    const ended = python(hub, '--count', '3');
    const first = await hub.nextSession();
    const { epoch } = await first.welcome();
    expect(await first.nextSeqs(3)).toEqual([1, 2, 3]);
    first.cut();
    const second = await hub.nextSession();
    expect((await second.welcome(1)).epoch).toBe(epoch);
    expect(await second.nextSeqs(2)).toEqual([2, 3]);
    second.send({ type: 'flow', reason: 'rate', from: 3, retryAfterMs: 10 });
    const third = await hub.nextSession();
    await third.welcome(2);
    expect(await third.nextSeqs(1)).toEqual([3]);
    third.send({ type: 'ack', seq: 3 });
    expect((await ended).code).toBe(0);
  });

  it('keeps epoch, counter and unacknowledged frames over a restart', async () => {
    const hub = await startHub();
    const ended = python(hub, '--count', '2');
    const first = await hub.nextSession();
    const { epoch } = await first.welcome();
    await first.nextSeqs(2);
    first.close(4500);
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining('stay away') });
    expect(existsSync(join(dir, 'state.json'))).toBe(true);
    const again = python(hub, '--count', '1');
    const second = await hub.nextSession();
    expect((await second.welcome()).epoch).toBe(epoch);
    expect(await second.nextSeqs(3)).toEqual([1, 2, 3]);
    second.send({ type: 'ack', seq: 3 });
    expect((await again).code).toBe(0);
  });

  it('stays away after a 401', async () => {
    const hub = await startHub();
    hub.refuseNext({ status: 401 });
    expect((await python(hub)).code).toBe(1);
    expect(hub.attempts).toBe(1);
  });
});
