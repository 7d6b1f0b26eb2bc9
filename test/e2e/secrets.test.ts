/** No secret leaves the hub (I15): markers in everything that is secret, everything exercised, then every output searched. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BARE_ENV } from '../helpers/cli.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { connectRaw, type RawDevice, refusal } from '../helpers/raw-device.ts';

/** Where a secret is at home. */
const HOMES = new Set(['admin.token', 'tls/key.pem']);
/** A device id is no secret: that it is found everywhere shows that the search finds. */
const PUBLIC = 'public-marker-4711';

const password = `markerpw${randomUUID().replaceAll('-', '')}`;
const storeToken = `markertoken${randomUUID().replaceAll('-', '')}`;
const folder = mkdtempSync(join(tmpdir(), 'hub-secrets-'));
const passwordFile = join(folder, 'password');
const tokenFile = join(folder, 'token');

/** What is secret, by name; more come while the hub makes them. */
const secrets = new Map<string, string>([
  ['InfluxDB password', password],
  ['InfluxDB token', storeToken],
]);
/** Everything that was said to somebody, by where. */
const said = new Map<string, string[]>();
const note = (where: string, text: string) => void said.set(where, [...(said.get(where) ?? []), text]);

let influxd: Influxd;
let hub: TestHub;
/** A hub whose InfluxDB tells the credentials it was sent in its errors. */
let badlyServed: TestHub;
let indiscreet: ReturnType<typeof createServer>;

/** Every form in which a secret could stand somewhere: as it is, its secret half, in base64 at each alignment. */
function formsOf(secret: string): string[] {
  const [prefix, keyId, half = ''] = secret.split('_');
  const core = prefix === 'thd' || prefix === 'tho' ? half.slice(0, 20) : secret;
  if (keyId === undefined && secret.length < 16)
    throw new Error('a marker must be long enough to be found by no chance');
  const base64 = [0, 1, 2].map((lead) =>
    Buffer.from('x'.repeat(lead) + core)
      .toString('base64')
      .slice(4, -4),
  );
  return [core, ...base64];
}

/** The names of the secrets in a text or in bytes. */
function foundIn(content: string | Buffer): string[] {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content);
  return [...secrets]
    .filter(([, secret]) => formsOf(secret).some((form) => bytes.includes(form)))
    .map(([name]) => name);
}

function filesOf(dir: string): string[] {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Asks the API as somebody would by hand, and notes the answer and its headers. */
async function ask(
  of: TestHub,
  method: string,
  path: string,
  { body, token = of.adminToken, headers = {} }: Asked = {},
) {
  const response = await fetch(of.api + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  note('API answers', `${JSON.stringify([...response.headers])}\n${text}`);
  return { status: response.status, text };
}

interface Asked {
  body?: unknown;
  token?: string;
  headers?: Record<string, string>;
}

/** An answer whose purpose it is to show a token, once: it is not noted. */
async function tokenFrom(name: string, path: string, body: unknown): Promise<string> {
  const { token } = await hub.call<{ token: string }>('POST', path, body);
  secrets.set(name, token);
  return token;
}

function cli(args: string[], env: Record<string, string> = {}): Promise<void> {
  const environment = { ...BARE_ENV, HUB_DATA: hub.dataDir, ...env };
  return new Promise((resolve) => {
    execFile(process.execPath, ['hub/main.ts', ...args], { env: environment }, (_error, stdout, stderr) => {
      note('CLI output', `${stdout}\n${stderr}`);
      resolve();
    });
  });
}

async function knock(token: string): Promise<void> {
  const wrong = token.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
  const attempts = [
    { path: `/v1/device?token=${token}`, token },
    { path: `/v1/device?access_token=${token}` },
    { path: `/v1/${token}`, token },
    { token: wrong },
    { token: token.slice(0, -10) },
    { token: hub.adminToken },
    { protocols: ['telemetry-hub.v1', `bearer.${wrong}`] },
    { protocols: [`bearer.${token}`] },
    { token, headers: { origin: `https://${token}.example` } },
  ];
  for (const attempt of attempts) note('refused upgrades', JSON.stringify((await refusal(hub, attempt)).problem));
  (await connectRaw(hub, { protocols: ['telemetry-hub.v1', `bearer.${token}`] })).close();
}

/** The next frame of that type, whatever comes before it. */
async function nextOf(device: RawDevice, type: string) {
  for (;;) {
    const frame = await device.next();
    if (frame.type === type) return frame;
  }
}

/** Reads the live stream and notes what it says, until `end`. */
async function watchLive() {
  const abort = new AbortController();
  const headers = { authorization: `Bearer ${hub.adminToken}` };
  const { body } = await fetch(`${hub.api}/v1/live`, { headers, signal: abort.signal });
  const read = async () => {
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) note('live stream', chunk);
  };
  const done = read().catch(() => {});
  return {
    async end() {
      abort.abort();
      await done;
    },
  };
}

/** Answers to commands, each with the device's own token where a device may write what it likes. */
async function answerBadly(id: string, token: string): Promise<void> {
  const device = await connectRaw(hub, { token });
  device.say({ type: 'hello', epoch: 'e' });
  const answers = [
    { ok: true, value: { token, [token]: [token] } },
    { ok: true, value: token },
    { ok: false, error: { code: token.slice(0, 60), message: `no: ${token}` } },
  ];
  const heard: unknown[] = [];
  for (const answer of answers) {
    const { id: command } = await hub.call<{ id: string }>('POST', `/v1/devices/${id}/commands`, { name: 'read-now' });
    const sent = await nextOf(device, 'command');
    device.say({ type: 'progress', id: command, state: 'running', progress: 0.5, text: token });
    device.say({ type: 'result', id: command, ...answer });
    heard.push(sent, await nextOf(device, 'result-ack'));
    await ask(hub, 'GET', `/v1/commands/${command}`);
    await cli(['commands', 'show', command]);
  }
  note('frames to devices', JSON.stringify(heard));
  device.close();
}

/** A device that says its own token where it does not belong. */
async function chatter(token: string): Promise<void> {
  const device = await connectRaw(hub, { token });
  for (const frame of [
    { type: token },
    { type: 'hello', epoch: token.slice(0, 30), [token]: 1 },
    { type: 'telemetry', seq: 'x', stream: token, readings: [] },
    { type: 'result', id: token, ok: 1 },
    { type: 'result', id: token.slice(0, 60), ok: true },
    { type: 'telemetry', stream: token.slice(0, 60), readings: [{ power: 1 }] },
    token,
  ]) {
    device.say(frame);
    note('frames to devices', JSON.stringify(await device.next()));
  }
  device.close();
}

async function askWrongly(token: string): Promise<void> {
  const path = encodeURIComponent(token);
  const requests: [string, string, unknown?][] = [
    ['GET', `/v1/devices/${token}`],
    ['GET', `/v1/devices/${path.replaceAll('_', '%5F')}`],
    ['GET', `/v1/devices/${token}%E0%A4%A`],
    ['DELETE', `/v1/devices/%E0%A4%A${token}`],
    ['POST', `/v1/${token}/%`],
    ['GET', `/v1/devices/${'x'.repeat(60)}${token}${'y'.repeat(60)}`],
    ['DELETE', `/v1/devices/${`${token}.`.repeat(100)}`],
    ['PATCH', `/v1/devices/${token}`, { enabled: false }],
    ['DELETE', `/v1/devices/${token}`],
    ['DELETE', `/v1/devices/${PUBLIC}/tokens/${token}`],
    ['GET', `/v1/devices/${token}/sessions`],
    ['GET', `/v1/devices/${PUBLIC}/telemetry?stream=${token}`],
    ['GET', `/v1/devices/${PUBLIC}/telemetry?stream=power&fields=${token}`],
    ['GET', `/v1/devices?token=${token}`],
    ['GET', `/v1/devices?tag=${token}`],
    ['GET', `/v1/devices?presence=${token}`],
    ['GET', `/v1/${token}?${token}`],
    ['POST', '/v1/devices', { id: token }],
    ['POST', '/v1/devices', { id: 'noted', description: token }],
    ['POST', '/v1/devices', { id: 'tagged', tags: { token } }],
    ['POST', '/v1/devices', { id: 'known', [token]: 1 }],
    ['POST', `/v1/devices/${PUBLIC}/commands`, { name: token }],
    ['POST', `/v1/devices/${PUBLIC}/commands`, { name: 'set-config', params: { settings: { token } } }],
    ['POST', '/v1/commands', { selector: { devices: [token] }, name: 'identify' }],
    ['GET', `/v1/commands/${token}`],
    ['POST', `/v1/commands/${token}/cancel`],
    ['GET', `/v1/groups/${token.slice(0, 60)}`],
    ['POST', '/v1/schedules', { id: token.slice(0, 60), cron: '@daily', device: PUBLIC, name: 'identify' }],
    ['POST', '/v1/schedules', { id: 's', cron: token, device: PUBLIC, name: 'identify' }],
    ['DELETE', `/v1/schedules/${token.slice(0, 60)}`],
    ['POST', '/v1/operators', { name: token.slice(0, 60), role: 'viewer' }],
    ['DELETE', `/v1/operators/${token}`],
    ['GET', `/v1/audit?actor=${token}&target=${token}`],
    ['GET', `/v1/quarantine?cursor=${token}`],
    ['POST', '/v1/session', { token: `${token}x` }],
    ['POST', '/v1/session', { link: token }],
    ['POST', '/v1/session', { token, [token]: token }],
  ];
  for (const [method, at, body] of requests) await ask(hub, method, at, { body });
  const idempotent = { 'idempotency-key': token };
  for (const id of ['once', 'twice'])
    await ask(hub, 'POST', '/v1/devices', { body: { id: '!', [id]: 1 }, headers: idempotent });
  for (const path of [`/v1/devices/${token}%E0%A4%A`, `/v1/devices/${token.repeat(3)}`, `/${token}`])
    for (const method of ['GET', 'DELETE', 'OPTIONS']) await ask(hub, method, path, { token: '' });
  await ask(hub, 'GET', '/v1/devices', { token: `${token}x` });
  await ask(hub, 'GET', '/v1/devices', { token, headers: { 'x-request-id': token } });
}

/** A browser that signs in by a token and by a link, and shows its cookie where it opens nothing. */
async function browse(token: string): Promise<void> {
  const json = { 'content-type': 'application/json' };
  const signIn = (body: object) =>
    fetch(`${hub.api}/v1/session`, { method: 'POST', headers: json, body: JSON.stringify(body) });
  const { link } = await hub.call<{ link: string }>('POST', '/v1/session/links');
  secrets.set('one-time link', link);
  for (const [how, body] of Object.entries({ token: { token }, link: { link } })) {
    const answer = await signIn(body);
    const cookie = answer.headers.get('set-cookie')!.split(';')[0]!;
    secrets.set(`cookie by ${how}`, cookie.split('=')[1]!);
    secrets.set(`csrf by ${how}`, ((await answer.json()) as { csrf: string }).csrf);
    for (const [method, csrf] of Object.entries({ GET: '', POST: 'wrong', PATCH: secrets.get(`cookie by ${how}`)! })) {
      const headers = { ...json, cookie, 'x-csrf-token': csrf };
      const init = method === 'GET' ? { headers } : { method, headers, body: JSON.stringify({ id: cookie }) };
      const path = method === 'PATCH' ? `/v1/devices/${PUBLIC}` : '/v1/devices';
      note('API answers', await (await fetch(hub.api + path, init)).text());
    }
  }
  note('API answers', await (await signIn({ link })).text());
  await ask(hub, 'GET', '/v1/devices', { headers: { cookie: `hub_session=${link}` } });
}

async function lookEverywhere(of: TestHub): Promise<void> {
  const paths = ['/metrics', '/openapi.json', '/asyncapi.json', '/v1/status', '/v1/schemas', '/v1/jobs', '/v1/devices'];
  const more = [
    '/v1/operators',
    '/v1/audit?limit=1000',
    '/v1/quarantine',
    '/v1/commands',
    '/v1/groups',
    '/v1/schedules',
  ];
  for (const path of [...paths, ...more]) await ask(of, 'GET', path);
  await ask(of, 'GET', `/v1/devices/${PUBLIC}`);
  await ask(of, 'GET', `/v1/devices/${PUBLIC}/sessions`);
}

async function useCli(token: string): Promise<void> {
  const store = { HUB_STORE__KIND: 'influx', HUB_STORE__USERNAME: 'u' };
  await cli(['config', 'show'], { ...store, HUB_STORE__PASSWORD: password });
  await cli(['config', 'show', '--json'], { ...store, HUB_STORE__TOKEN_FILE: tokenFile });
  await cli(['config', 'check'], { ...store, HUB_STORE__PASSWORD_FILE: passwordFile, HUB_STORE__URL: password });
  await cli(['config', 'check'], { HUB_STORE__KIND: storeToken });
  const verbs = [
    ['status'],
    ['status', '--json'],
    ['devices', 'ls'],
    ['devices', 'show', PUBLIC, '--json'],
    ['devices', 'show', token],
    ['devices', 'add', token],
    ['devices', 'rm', token],
    ['query', token, 'power'],
    ['send', token, 'identify'],
    ['send', PUBLIC, 'set-config', `settings.token=${token}`],
    ['commands', 'show', token],
    ['operators', 'ls'],
    ['audit'],
    ['audit', '--json'],
    ['quarantine', 'ls'],
    [token],
    ['devices', token],
    ['status', `--${token}`],
  ];
  for (const verb of verbs) await cli(verb);
  await cli(['status'], { HUB_TOKEN: `${token}x` });
}

beforeAll(async () => {
  writeFileSync(passwordFile, `${password}\n`);
  writeFileSync(tokenFile, `${storeToken}\n`);
  influxd = await startInfluxd({ auth: true });
  await influxd.query(`CREATE USER hub WITH PASSWORD '${password}' WITH ALL PRIVILEGES`);
  hub = await startTestHub({
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: influxd.url,
    HUB_STORE__USERNAME: 'hub',
    HUB_STORE__PASSWORD_FILE: passwordFile,
    HUB_LIMITS__FAILED_ATTEMPTS_PER_MINUTE: '1000',
  });
  indiscreet = createServer(({ headers: { authorization } }, response) => {
    response.writeHead(401, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: `not authorized: ${authorization}` }));
  }).listen(0, '127.0.0.1');
  await once(indiscreet, 'listening');
  badlyServed = await startTestHub({
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: `http://127.0.0.1:${(indiscreet.address() as AddressInfo).port}`,
    HUB_STORE__TOKEN_FILE: tokenFile,
  });
});

afterAll(async () => {
  await Promise.all([hub?.dispose(), badlyServed?.dispose(), influxd?.remove()]);
  indiscreet?.close();
  rmSync(folder, { recursive: true });
});

describe('a hub full of secrets', () => {
  beforeAll(async () => {
    const keyLines = readFileSync(join(hub.dataDir, 'tls/key.pem'), 'utf8').split('\n').slice(1, -2);
    secrets.set('TLS key', keyLines[1]!);
    secrets.set('TLS key as bytes', Buffer.from(keyLines.join(''), 'base64').subarray(40, 64).toString('latin1'));
    secrets.set('admin token', hub.adminToken);
    const tokens = [];
    for (const id of [PUBLIC, 'd2', 'd3']) tokens.push(await tokenFrom(`token of ${id}`, '/v1/devices', { id }));
    const viewer = await tokenFrom('viewer token', '/v1/operators', { name: 'vera', role: 'viewer' });
    tokens.push(await tokenFrom('second token', '/v1/devices/d2/tokens', {}));
    const talker = await connectRaw(hub, { token: tokens[0]! });
    talker.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 5 }, { power: 'much' }] });
    await talker.next();
    for (const token of tokens.slice(0, 3)) await knock(token);
    await chatter(tokens[2]!);
    const live = await watchLive();
    await answerBadly('d3', tokens[2]!);
    await live.end();
    await browse(viewer);
    for (const token of [tokens[0]!, viewer, hub.adminToken]) await askWrongly(token);
    await useCli(tokens[1]!);
    await useCli(hub.adminToken);
    await lookEverywhere(hub);
    await hub.kill();
    await hub.start();
    await knock(tokens[0]!);
    await lookEverywhere(hub);
    // The other hub: a reading goes to a server that tells its credentials to everybody.
    const { token } = await badlyServed.call<{ token: string }>('POST', '/v1/devices', { id: PUBLIC });
    secrets.set('token at the other hub', token);
    const device = await connectRaw(badlyServed, { token });
    device.say({ type: 'telemetry', seq: 1, stream: 'power', readings: [{ power: 5 }] });
    await device.next();
    while (!JSON.stringify(await badlyServed.call('GET', '/v1/status')).includes('not authorized')) await sleep(50);
    await lookEverywhere(badlyServed);
    await ask(badlyServed, 'GET', `/v1/devices/${PUBLIC}/telemetry?stream=power`);
  });

  it('tells none of them in any log, metric, refusal, answer or output', () => {
    note('logs', hub.log());
    note('logs', badlyServed.log());
    const all = [...said].flatMap(([where, texts]) =>
      texts.flatMap((text) => text.split('\n').map((line) => ({ where, line, secrets: foundIn(line) }))),
    );
    expect(all.length).toBeGreaterThan(1_000);
    expect(all.filter(({ secrets: found }) => found.length > 0)).toEqual([]);
  });

  it('keeps none of them in a file, running or stopped, apart from the file that is its home', async () => {
    const search = (of: TestHub) =>
      filesOf(of.dataDir)
        .map((file) => ({ file: relative(of.dataDir, file), secrets: foundIn(readFileSync(file)) }))
        .filter(({ file, secrets: found }) => found.length > 0 && !HOMES.has(file));
    expect([search(hub), search(badlyServed)]).toEqual([[], []]);
    await hub.stop();
    expect(search(hub)).toEqual([]);
  });

  it('is searched by a search that finds: what is no secret, and each secret at its home', () => {
    for (const where of ['logs', 'API answers', 'CLI output'])
      expect(said.get(where)!.join(''), where).toContain(PUBLIC);
    expect(said.get('live stream')!.join('')).toContain('"succeeded"');
    const files = filesOf(hub.dataDir).map((file) => ({
      file: relative(hub.dataDir, file),
      bytes: readFileSync(file),
    }));
    const marked = files.filter(({ bytes }) => bytes.includes(PUBLIC)).map(({ file }) => file);
    expect(marked.some((file) => file.startsWith('hub.db'))).toBe(true);
    expect(marked.some((file) => file.startsWith('journal/'))).toBe(true);
    const homes = files.filter(({ file }) => HOMES.has(file)).flatMap(({ bytes }) => foundIn(bytes));
    expect(homes.sort()).toEqual(['TLS key', 'admin token']);
    const leaks = [...secrets].map(([name, secret]) => foundIn(`authorization: ${secret}`).includes(name));
    expect(leaks).toEqual(leaks.map(() => true));
    const basic = Buffer.from(`hub:${password}`).toString('base64');
    expect(foundIn(basic)).toEqual(['InfluxDB password']);
  });
});
