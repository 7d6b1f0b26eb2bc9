/** Starting and stopping the program as a person does. */
import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw, refusal } from '../helpers/raw-device.ts';

let hub: TestHub | undefined;
const folders: string[] = [];

afterEach(async () => {
  await hub?.dispose();
  hub = undefined;
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'hub-start-'));
  folders.push(made);
  return made;
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['hub/main.ts', ...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code as unknown as number) : 0, stdout, stderr }),
    );
  });
}

describe('hub start', () => {
  it('is ready when it says so, keeps its secrets to itself, and drains on SIGTERM with exit 0', async () => {
    hub = await startTestHub();
    expect(await (await fetch(`${hub.api}/readyz`)).json()).toEqual({ ready: true });
    const secret = ['admin.token', 'tls/key.pem', 'hub.db', 'audit.db', 'quarantine.db', 'telemetry.db'];
    for (const file of secret) expect([file, statSync(join(hub.dataDir, file)).mode & 0o777]).toEqual([file, 0o600]);
    const device = await connectRaw(hub, { token: await hub.addDevice('d1') });
    device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 5 }] });
    const stopped = hub.stop();
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    expect(await device.closed).toBe(1001);
    expect(await stopped).toBe(0);
  });

  it('keeps devices, tokens, certificate and telemetry over a restart', async () => {
    hub = await startTestHub();
    const token = await hub.addDevice('d1');
    const before = { admin: hub.adminToken, ca: hub.ca };
    const device = await connectRaw(hub, { token });
    device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 5 }] });
    await device.next();
    await hub.stop();
    await hub.start();
    expect({ admin: hub.adminToken, ca: hub.ca }).toEqual(before);
    (await connectRaw(hub, { token })).close();
    const { rows } = await hub.call<{ rows: unknown[] }>('GET', '/v1/devices/d1/telemetry?stream=power&from=-1h');
    expect(rows).toMatchObject([{ power: 5 }]);
  });

  it('knows nothing of a removed device after a restart, when it is added anew', async () => {
    hub = await startTestHub();
    const greet = async (id: string) => {
      const device = await connectRaw(hub!, { token: await hub!.addDevice(id) });
      device.say({ type: 'hello', epoch: 'boot-1' });
      return { device, resume: (await device.next()).resume };
    };
    const { device } = await greet('d1');
    device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 5 }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    await hub.call('DELETE', '/v1/devices/d1');
    await hub.stop();
    await hub.start();
    const anew = await greet('d1');
    expect(anew.resume).toBe(0);
    anew.device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 6 }] });
    expect(await anew.device.next()).toEqual({ type: 'ack', seq: 1 });
  });

  it('exits at once at the second signal', async () => {
    hub = await startTestHub();
    const gone = new Promise((resolve) => {
      const timer = setInterval(() => {
        try {
          process.kill(hub!.pid, 0);
        } catch {
          clearInterval(timer);
          resolve(true);
        }
      }, 20);
    });
    process.kill(hub.pid, 'SIGTERM');
    process.kill(hub.pid, 'SIGINT');
    expect(await gone).toBe(true);
  });

  it('says by which option a taken port can be moved, and exits 1', async () => {
    hub = await startTestHub();
    const { port } = new URL(hub.api);
    const second = await run(['start', '--data', folder()], { HUB_API__PORT: port, HUB_GATEWAY__PORT: '0' });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(
      `Port ${port} is taken by another program. Choose another with api.port or HUB_API__PORT.`,
    );
    expect(second.stderr).not.toContain('    at ');
  });

  it('refuses a data folder that another hub is using', async () => {
    hub = await startTestHub();
    const second = await run(['start', '--data', hub.dataDir], { HUB_API__PORT: '0', HUB_GATEWAY__PORT: '0' });
    expect(second.code).toBe(75);
    expect(second.stderr).toContain(String(hub.pid));
    expect(second.stderr).not.toContain('    at ');
  });

  it('makes a stream of each file in the user’s own folder', async () => {
    const dir = folder();
    mkdirSync(join(dir, 'telemetry'));
    const schema = {
      type: 'object',
      additionalProperties: false,
      properties: { rain: { type: 'number', unit: 'mm' } },
    };
    writeFileSync(join(dir, 'telemetry/weather.json'), JSON.stringify(schema));
    hub = await startTestHub({ HUB_SCHEMAS__DIR: dir });
    const device = await connectRaw(hub, { token: await hub.addDevice('d1') });
    device.say({ type: 'telemetry', seq: 1, stream: 'weather', readings: [{ rain: 2 }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    device.close();
  });

  it('refuses a schema that InfluxDB could not hold, by file, path and reason, with exit 78', async () => {
    const dir = folder();
    mkdirSync(join(dir, 'telemetry'));
    writeFileSync(
      join(dir, 'telemetry/bad.json'),
      '{"type":"object","additionalProperties":false,"properties":{"time":{"type":"array"}}}',
    );
    const ended = await run(['start', '--data', folder()], { HUB_SCHEMAS__DIR: dir });
    expect(ended.code).toBe(78);
    expect(ended.stderr).toContain('telemetry/bad.json: /properties/time: "time" is a reserved word');
    expect(ended.stderr).toContain('telemetry/bad.json: /properties/time/type: must be one of number');
  });
});

describe('a file of a secret', () => {
  it('that everybody can read is warned of at the start, by its path; another is not', async () => {
    const [open, closed] = ['open', 'closed'].map((name) => join(folder(), name)) as [string, string];
    writeFileSync(open, 'hunter2');
    writeFileSync(closed, 'hunter3');
    chmodSync(open, 0o644);
    chmodSync(closed, 0o640);
    hub = await startTestHub({ HUB_STORE__PASSWORD_FILE: open, HUB_STORE__TOKEN_FILE: closed });
    const warnings = hub
      .log()
      .split('\n')
      .filter((line) => line.includes('can read a secret'));
    expect(warnings.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, file: open, msg: expect.stringContaining(`chmod 600 ${open}`) },
    ]);
  });
});

describe('a mistake of a person', () => {
  const file = (name: string, text: string) => {
    const path = join(folder(), name);
    writeFileSync(path, text);
    return path;
  };
  const started = (env: Record<string, string>, data = folder()) =>
    run(['start', '--data', data], { HUB_API__PORT: '0', HUB_GATEWAY__PORT: '0', ...env });

  it.each([
    ['a data folder in /proc', () => started({}, '/proc/x/y'), 1, 'the data folder cannot be made: ENOENT'],
    ['a data folder that is a file', () => started({}, file('data', '')), 1, 'The hub cannot start: '],
    [
      'a damaged database',
      () => {
        const data = folder();
        writeFileSync(
          join(data, 'telemetry.db'),
          'this is no database, and long enough to be taken for none'.repeat(100),
        );
        return started({}, data);
      },
      1,
      'telemetry.db',
    ],
    [
      'a certificate that is none',
      () =>
        started({
          HUB_GATEWAY__TLS__CERT_FILE: file('cert.pem', 'x'),
          HUB_GATEWAY__TLS__KEY_FILE: file('key.pem', 'x'),
        }),
      78,
      'gateway.tls.certFile holds no PEM',
    ],
    [
      'a certificate that is cut off',
      () =>
        started({
          HUB_GATEWAY__TLS__CERT_FILE: file('cert.pem', '-----BEGIN CERTIFICATE-----'),
          HUB_GATEWAY__TLS__KEY_FILE: file('key.pem', '-----BEGIN PRIVATE KEY-----'),
        }),
      1,
      'cert.pem with the key',
    ],
    ['a host that is not of this machine', () => started({ HUB_GATEWAY__HOST: '192.0.2.1' }), 1, 'cannot listen'],
    [
      'a password in an address',
      () => started({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: 'http://u:hunter2@h:99999/' }),
      78,
      'store.url',
    ],
    [
      'a schema folder without schemas',
      () => started({ HUB_SCHEMAS__DIR: folder() }),
      78,
      'has no folder telemetry/ or commands/',
    ],
    ['an address of the hub that is none', () => run(['status'], { HUB_URL: 'garbage' }), 2, 'HUB_URL is "garbage"'],
    [
      'an empty token',
      () => run(['status'], { HUB_URL: 'http://127.0.0.1:1', HUB_TOKEN: '' }),
      2,
      'HUB_TOKEN is empty',
    ],
    ['a hub that is not running', () => run(['status', '--data', folder()]), 3, 'No hub is running'],
  ])('%s is told in words, without a stack trace or a secret', async (_, attempt, code, words) => {
    const ended = await attempt();
    expect(ended.stderr).toContain(words);
    expect(ended.stderr).not.toMatch(/^ {4}at |hunter2/m);
    expect(ended.code).toBe(code);
  });
});

describe('hub config', () => {
  it('checks, shows with masked secrets, and documents every option', async () => {
    const file = join(folder(), 'hub.yaml');
    writeFileSync(file, 'store:\n  kind: influx\n  password: hunter2\n');
    expect(await run(['config', 'check', '--config', file])).toMatchObject({ code: 0 });
    const shown = await run(['config', 'show', '--config', file], { HUB_GATEWAY__PORT: '9000' });
    expect(shown.stdout).toContain('port: 9000');
    expect(shown.stdout).not.toContain('hunter2');
    expect((await run(['config', 'docs'])).stdout).toContain('HUB_GATEWAY__TLS__CERT_FILE');
  });

  it('exits 78 and lists the mistakes with file and line', async () => {
    const file = join(folder(), 'hub.yaml');
    writeFileSync(file, 'gateway:\n  prot: 1\n');
    const ended = await run(['start', '--config', file, '--data', folder()]);
    expect(ended).toMatchObject({ code: 78 });
    expect(ended.stderr).toContain(`${file}:2:3: gateway.prot is not a known field`);
    expect((await run(['start', '--config', '/nowhere.yaml'])).code).toBe(78);
  });

  it('tells what only the schemas can tell with file and line too', async () => {
    const file = join(folder(), 'hub.yaml');
    writeFileSync(
      file,
      'mqtt:\n  rules:\n    - topic: a/{device}\n      stream: weather\n      fields: { power: $ }\n' +
        "  payload: '{fields.colour}'\n" +
        'alerts:\n  mqttTopic: alerts/{rule}\n  webhooks:\n' +
        "    - { name: on-call, url: 'http://h/' }\n    - { name: on-call, url: 'http://h/' }\n" +
        '  rules:\n    - id: quiet\n      kind: no-reading\n    - id: hot\n      kind: field\n      stream: power\n' +
        '      field: power\n      above: 3\n      clear: 4\n    - { id: hot, kind: offline }\n',
    );
    const mistakes = [
      ...['4:7: mqtt.rules.0.stream is "weather", but the streams are ', '6:3: mqtt.payload has {fields.colour}'],
      ...['8:3: alerts.mqttTopic needs a connection', '11:9: alerts.webhooks.1.name is "on-call"'],
      ...['13:7: alerts.rules.0.forMs is missing', '20:7: alerts.rules.1.clear must not be above the limit 3'],
      '21:9: alerts.rules.2.id is "hot" again',
    ];
    for (const verb of [
      ['config', 'check'],
      ['start', '--data', folder()],
    ]) {
      const { code, stderr } = await run([...verb, '--config', file]);
      expect([code, stderr]).toEqual([78, expect.stringContaining(`has ${mistakes.length} mistakes`)]);
      for (const mistake of mistakes) expect(stderr).toContain(`${file}:${mistake}`);
    }
  });
});

describe('npm run demo', () => {
  it('ends by itself with a summary, and everything acknowledged', async () => {
    // With CI set some libraries take any output for a terminal: there must be no colour in a pipe all the same.
    const env = { ...process.env, CI: 'true' };
    const demo = spawn(process.execPath, ['demo/main.ts', '--for', '5s'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [demo.stdout, demo.stderr]) stream.on('data', (chunk) => (output += chunk));
    const code = await new Promise((resolve) => demo.once('exit', resolve));
    const [, sent] = /20 devices sent ([\d,]+) readings/.exec(output) ?? [];
    // The day of the office is behind it from the start.
    expect(Number(sent?.replaceAll(',', ''))).toBeGreaterThan(1_440);
    expect(output).toContain('0 rejected, 0 pending');
    expect(code, output).toBe(0);
  });
});

it('the throttle of failed tokens never locks out a good one', async () => {
  hub = await startTestHub({ HUB_LIMITS__FAILED_ATTEMPTS_PER_MINUTE: '5' });
  const token = await hub.addDevice('d1');
  for (let attempt = 0; attempt < 5; attempt++) expect((await refusal(hub, { token: 'bad' })).status).toBe(401);
  const refused = await refusal(hub, { token: 'bad' });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  (await connectRaw(hub, { token })).close();
});
