/** The hub's own broker, with clients that are not ours: mosquitto_sub, mosquitto_pub and Eclipse Paho. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from '../../hub/audit/audit.ts';
import type { Command } from '../../hub/commands/command.ts';
import { selfSignedCertificate } from '../../hub/gateway/certificate.selfsigned.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { startPaho } from '../helpers/paho.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(env: Record<string, string> = {}): Promise<TestHub> {
  const hub = await startTestHub({ HUB_MQTT__EMBEDDED: 'true', ...env });
  cleanups.push(() => hub.dispose());
  return hub;
}

interface Person {
  user: string;
  password: string;
}

async function person(hub: TestHub, user: string, role: 'viewer' | 'operator'): Promise<Person> {
  const { token } = await hub.call<{ token: string }>('POST', '/v1/operators', { name: user, role });
  return { user, password: token };
}

const portOf = (hub: TestHub) => new URL(hub.mqtt).port;
const asPerson = (hub: TestHub, { user, password }: Person) => ['-p', portOf(hub), '-u', user, '-P', password];

interface Subscriber {
  lines: string[];
  readonly ended: Promise<number | null>;
}

/** mosquitto_sub; resolves when the broker has taken the subscription. Prints topic and payload of each message. */
async function subscribe(hub: TestHub, who: Person, filter: string, more: string[] = []): Promise<Subscriber> {
  const args = [...asPerson(hub, who), '-q', '1', '-t', filter, '-d', '-F', '> %t %p', ...more];
  const program: ChildProcess = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...args]);
  const ended = once(program, 'exit').then(([code]) => code as number | null);
  cleanups.push(() => program.kill('SIGKILL'));
  const lines: string[] = [];
  let text = '';
  program.stdout!.on('data', (chunk) => {
    text += chunk;
    lines.splice(0, lines.length, ...text.split('\n').flatMap((line) => (line.startsWith('> ') ? line.slice(2) : [])));
  });
  await expect.poll(() => text, { interval: 20 }).toContain('Subscribed');
  return { lines, ended };
}

/** mosquitto_pub with QoS 1; resolves to its exit code and words: 0 when the broker has acknowledged. */
function publish(hub: TestHub, who: Person, topic: string, payload: string, more: string[] = []) {
  const args = [...asPerson(hub, who), '-q', '1', '-t', topic, '-m', payload, ...more];
  return new Promise<{ code: number; stderr: string }>((resolve) => {
    const settings = { timeout: 20_000 };
    execFile('mosquitto_pub', args, settings, (error, _, stderr) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, stderr }),
    );
  });
}

const audit = async (hub: TestHub, query: string) =>
  (await hub.call<{ entries: AuditEntry[] }>('GET', `/v1/audit?${query}`)).entries;

const soon = <T>(look: () => T | Promise<T>) => expect.poll(look, { interval: 20 });

describe('the embedded broker', () => {
  it('shows mosquitto_sub every acknowledged reading of a stream, in order, and who is there', async () => {
    const hub = await start();
    const device = await connectRaw(hub, { token: await hub.addDevice('meter') });
    const vera = await person(hub, 'vera', 'viewer');
    const telemetry = await subscribe(hub, vera, 'hub/meter/telemetry/power');
    const status = await subscribe(hub, vera, 'hub/+/status');
    const numbers = Array.from({ length: 500 }, (_, at) => at);
    for (let seq = 1; seq <= 100; seq++) {
      const readings = numbers.slice(5 * seq - 5, 5 * seq).map((power) => ({ power }));
      device.say({ type: 'telemetry', seq, stream: 'power', readings });
    }
    for (let acked = 0; acked < 100; ) acked = Number((await device.next()).seq);
    await soon(() => telemetry.lines.length).toBe(500);
    expect(telemetry.lines.map((line) => JSON.parse(line.split(' ')[1]!).power)).toEqual(numbers);
    expect(status.lines).toEqual(['hub/meter/status online']);
    device.close();
    await soon(() => status.lines).toEqual(['hub/meter/status online', 'hub/meter/status offline']);
    const later = await subscribe(hub, vera, 'hub/#');
    await soon(() => [...later.lines].sort()).toEqual(['hub/$state online', 'hub/meter/status offline']);
  });

  it('takes a command of paho when it is durable, and the audit log says who sent it', async () => {
    const hub = await start();
    const device = await connectRaw(hub, { token: await hub.addDevice('meter') });
    const otto = await person(hub, 'otto', 'operator');
    const paho = await startPaho(Number(portOf(hub)), 4, 'app', otto);
    cleanups.push(() => paho.close());
    await paho.subscribe('hub/meter/result/+');
    await paho.publish({ topic: 'hub/meter/command/set-interval', payload: '{"seconds":5}' });
    const { commands } = await hub.call<{ commands: Command[] }>('GET', '/v1/devices/meter/commands');
    expect(commands).toMatchObject([{ name: 'set-interval', params: { seconds: 5 } }]);
    const { id } = await device.next();
    expect(id).toBe(commands[0]!.id);
    device.say({ type: 'result', id, ok: true, value: { seconds: 5 } });
    const { payload } = await paho.until(({ topic }) => topic === 'hub/meter/result/set-interval');
    expect(JSON.parse(payload)).toMatchObject({ id, state: 'succeeded' });
    expect(commands[0]!.actor).toBe('mqtt:embedded/otto');
    await soon(() => audit(hub, 'actor=mqtt:embedded/otto')).toMatchObject([
      {
        actor: 'mqtt:embedded/otto',
        action: 'command.send',
        target: 'meter',
        result: 'ok',
        detail: `set-interval ${id}`,
      },
    ]);
  });

  it('writes down once what a flood of commands came to that no device may have', async () => {
    const hub = await start();
    const otto = await person(hub, 'otto', 'operator');
    const paho = await startPaho(Number(portOf(hub)), 4, 'app', otto);
    cleanups.push(() => paho.close());
    for (let at = 0; at < 300; at++) await paho.publish({ topic: 'hub/ghost/command/identify', payload: '{}' });
    await soon(() => audit(hub, 'target=ghost')).toMatchObject([
      { actor: 'mqtt:embedded/otto', action: 'command.send', result: 'not-found', detail: 'identify' },
    ]);
  });

  it('has what it acknowledged by a rule in the store, even when it is killed at that moment', async () => {
    const rules = [{ topic: 'tele/{device}', stream: 'power', fields: { power: '$.W' } }];
    const hub = await start({ HUB_MQTT__RULES: JSON.stringify(rules) });
    await hub.addDevice('plug');
    const otto = await person(hub, 'otto', 'operator');
    expect(await publish(hub, otto, 'tele/plug', '{"W":42}')).toEqual({ code: 0, stderr: '' });
    await hub.kill();
    await hub.start();
    const query = () => hub.call<{ rows: object[] }>('GET', '/v1/devices/plug/telemetry?stream=power&from=-1h');
    await soon(async () => (await query()).rows).toMatchObject([{ power: 42 }]);
  });

  it('lets a viewer look and say nothing, and nobody speak for the hub', async () => {
    const hub = await start();
    await hub.addDevice('meter');
    const [vera, otto] = [await person(hub, 'vera', 'viewer'), await person(hub, 'otto', 'operator')];
    const all = await subscribe(hub, vera, '#');
    expect((await publish(hub, vera, 'anything', 'x')).code).not.toBe(0);
    expect((await publish(hub, vera, 'hub/meter/command/identify', '{}')).code).not.toBe(0);
    for (const topic of ['hub/meter/telemetry/power', 'hub/meter/status', 'hub/meter/result/identify', 'hub/$state'])
      expect((await publish(hub, otto, topic, 'lie', ['-r'])).code).not.toBe(0);
    expect((await publish(hub, otto, 'anything', 'true')).code).toBe(0);
    await soon(() => all.lines.filter((line) => !line.startsWith('hub/'))).toEqual(['anything true']);
    expect(all.lines.join()).not.toContain('lie');
    await soon(() => audit(hub, 'actor=vera')).toMatchObject([
      { action: 'mqtt.publish', target: 'hub/meter/command/identify', result: 'forbidden' },
      { action: 'mqtt.publish', target: 'anything', result: 'forbidden' },
    ]);
    const { embedded } = await hub.call<{ embedded: object }>('GET', '/v1/bridge');
    expect(embedded).toMatchObject({ refusedPublishes: 6, refusedSignIns: 0 });
  });

  it('refuses who cannot sign in, without keeping what they tried', async () => {
    const hub = await start();
    const otto = await person(hub, 'otto', 'operator');
    const token = await hub.addDevice('meter');
    const tries = [
      { user: 'otto', password: `${otto.password.slice(0, -1)}x` },
      { user: 'vera', password: otto.password },
      { user: otto.password, password: otto.password },
      { user: 'meter', password: token },
    ];
    for (const who of tries) expect((await publish(hub, who, 'a', 'x')).stderr).toContain('bad user name or password');
    const refused = () => audit(hub, 'actor=unknown');
    await soon(refused).toMatchObject(tries.map(() => ({ action: 'mqtt.connect', result: 'unauthorized' })));
    const entries = await refused();
    const secrets = [otto.password, token].map((text) => text.split('_')[2]!.slice(0, 20));
    for (const secret of secrets) expect(hub.log() + JSON.stringify(entries)).not.toContain(secret);
  });

  it('cuts off whose token is revoked, and leaves the others', async () => {
    const hub = await start();
    const [vera, otto] = [await person(hub, 'vera', 'viewer'), await person(hub, 'otto', 'operator')];
    const gone = await subscribe(hub, vera, 'a', ['-C', '1']);
    const stays = await subscribe(hub, otto, 'a', ['-C', '1']);
    await hub.call('DELETE', '/v1/operators/vera');
    // It connects again by itself, is refused, and gives up.
    expect(await gone.ended).not.toBe(0);
    expect(gone.lines).toEqual([]);
    await publish(hub, otto, 'a', 'x');
    expect(await stays.ended).toBe(0);
  });

  it('speaks TLS with the certificate it is given, and nothing else then', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'hub-mqtt-tls-'));
    cleanups.push(() => rmSync(dir, { recursive: true }));
    await selfSignedCertificate(dir);
    const files = {
      HUB_MQTT__LISTENER__CERT_FILE: join(dir, 'cert.pem'),
      HUB_MQTT__LISTENER__KEY_FILE: join(dir, 'key.pem'),
    };
    const hub = await start({ HUB_MQTT__LISTENER__HOST: '0.0.0.0', ...files });
    expect(hub.mqtt).toMatch(/^mqtts:\/\/0\.0\.0\.0:\d+$/);
    const otto = await person(hub, 'otto', 'operator');
    const tls = ['-h', 'localhost', '--cafile', join(dir, 'cert.pem')];
    const listening = await subscribe(hub, otto, 'a', tls);
    expect((await publish(hub, otto, 'a', 'by TLS', tls)).code).toBe(0);
    await soon(() => listening.lines).toEqual(['a by TLS']);
    expect((await publish(hub, otto, 'a', 'plain')).code).not.toBe(0);
    expect(
      (await publish(hub, otto, 'a', 'untrusted', ['-h', 'localhost', '--capath', '/etc/ssl/certs'])).code,
    ).not.toBe(0);
    expect(listening.lines).toEqual(['a by TLS']);
  });
});

/** Runs `hub start` to its end. */
function failedStart(env: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'hub-mqtt-start-'));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  const ports = {
    HUB_GATEWAY__PORT: '0',
    HUB_API__PORT: '0',
    HUB_MQTT__LISTENER__PORT: '0',
    HUB_MQTT__EMBEDDED: 'true',
  };
  const settings = { env: { ...process.env, ...ports, ...env }, timeout: 30_000 };
  return new Promise<{ code: number; stderr: string }>((resolve) => {
    execFile(process.execPath, ['hub/main.ts', 'start', '--data', dir], settings, (error, _, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stderr }),
    );
  });
}

describe('hub start with an embedded broker', () => {
  it.each([
    ['api.port', 'HUB_API__PORT'],
    ['gateway.port', 'HUB_GATEWAY__PORT'],
    ['mqtt.listener.port', 'HUB_MQTT__LISTENER__PORT'],
  ])('says that %s can be moved when its port is taken, and exits 1', async (option, variable) => {
    const other = createServer().listen(0, '127.0.0.1');
    cleanups.push(() => other.close());
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const { code, stderr } = await failedStart({ [variable]: String(port) });
    expect(code).toBe(1);
    expect(stderr).toContain(`Port ${port} is taken by another program. Choose another with ${option} or ${variable}.`);
    expect(stderr).not.toContain('    at ');
  });

  it('refuses to be seen by others without a certificate', async () => {
    const { code, stderr } = await failedStart({ HUB_MQTT__LISTENER__HOST: '0.0.0.0' });
    expect(code).toBe(78);
    expect(stderr).toContain('HUB_MQTT__LISTENER__HOST: mqtt.listener.host must be a loopback address');
  });

  it('says which certificate cannot be read', async () => {
    const files = {
      HUB_MQTT__LISTENER__CERT_FILE: '/nowhere/cert.pem',
      HUB_MQTT__LISTENER__KEY_FILE: '/nowhere/key.pem',
    };
    const { code, stderr } = await failedStart(files);
    expect(code).toBe(78);
    expect(stderr).toContain('HUB_MQTT__LISTENER__CERT_FILE: mqtt.listener.certFile cannot be read');
  });
});
