/** The doors as people set them up: certificates that are renewed, certificates of devices, an API on the network, a Unix socket. */
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { runHub } from '../helpers/cli.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { until } from '../helpers/journals.ts';
import { makeAuthority, type TestAuthority, type TestCertificate } from '../helpers/pki.ts';
import { connectRaw, refusal } from '../helpers/raw-device.ts';

let authority: TestAuthority;
let dir: string;
let hub: TestHub;

beforeAll(() => {
  authority = makeAuthority('Plant');
});
afterAll(() => authority.dispose());
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hub-doors-'));
});
afterEach(async () => {
  await hub?.dispose();
  rmSync(dir, { recursive: true });
});

/** Puts a certificate where the hub looks for it. */
function install({ certFile, keyFile }: TestCertificate) {
  copyFileSync(certFile, join(dir, 'cert.pem'));
  copyFileSync(keyFile, join(dir, 'key.pem'));
  return { CERT_FILE: join(dir, 'cert.pem'), KEY_FILE: join(dir, 'key.pem') };
}

function prefixed(prefix: string, options: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [`${prefix}${name}`, value]));
}

/** The certificate that a server shows. */
function shownBy(url: string, options: object = {}): Promise<string> {
  const { hostname: host, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ...options }, () => {
      resolve(socket.getPeerX509Certificate()!.toString().trim());
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('a certificate that is renewed', () => {
  it('is shown from the next handshake on, while devices stay connected; SIGHUP makes it so at once', async () => {
    const [first, second, third] = [1, 2, 3].map(() => authority.issue('hub'));
    hub = await startTestHub(prefixed('HUB_GATEWAY__TLS__', install(first!)));
    const device = await connectRaw(hub, { token: await hub.addDevice('d1'), ca: authority.ca });
    expect(await shownBy(hub.gateway)).toBe(first!.cert.trim());
    install(second!);
    await until(() => hub.log().includes('a certificate was read again'));
    expect(await shownBy(hub.gateway)).toBe(second!.cert.trim());
    install(third!);
    process.kill(hub.pid, 'SIGHUP');
    await until(() => hub.log().split('a certificate was read again').length > 2);
    expect(await shownBy(hub.gateway)).toBe(third!.cert.trim());
    device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 5 }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    device.close();
  });

  it('is left alone when it cannot be used: the one before stays, and the log says why', async () => {
    const good = authority.issue('hub');
    hub = await startTestHub(prefixed('HUB_GATEWAY__TLS__', install(good)));
    writeFileSync(join(dir, 'key.pem'), 'rubbish');
    process.kill(hub.pid, 'SIGHUP');
    await until(() => hub.log().includes('a changed certificate cannot be used; the one before stays in use'));
    expect(await shownBy(hub.gateway)).toBe(good.cert.trim());
    expect((await hub.call<{ ready: boolean }>('GET', '/v1/status')).ready).toBe(true);
  });

  it('is the only thing that an old client is refused by, when TLS 1.3 is asked for', async () => {
    hub = await startTestHub({ HUB_GATEWAY__TLS__MIN_VERSION: 'TLSv1.3' });
    await expect(shownBy(hub.gateway, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/i);
    expect(await shownBy(hub.gateway)).toContain('BEGIN CERTIFICATE');
  });
});

describe('a device with a certificate', () => {
  const start = () =>
    startTestHub({
      HUB_GATEWAY__TLS__CLIENT_CA_FILE: authority.caFile,
      HUB_GATEWAY__TLS__CLIENT_CRL_FILE: authority.crlFile,
    });

  it('needs no token: its common name is its id', async () => {
    hub = await start();
    await hub.addDevice('d1');
    const device = await connectRaw(hub, { client: authority.issue('d1') });
    device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 5 }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    await hub.call('PATCH', '/v1/devices/d1', { description: 'changed' });
    device.say({ type: 'telemetry', seq: 2, stream: 'environment', readings: [{ light: 6 }] });
    expect(await device.next()).toEqual({ type: 'ack', seq: 2 });
    await hub.call('PATCH', '/v1/devices/d1', { enabled: false });
    expect(await device.closed).toBe(4503);
    expect((await refusal(hub, { client: authority.issue('d1') })).problem.code).toBe('device-disabled');
  });

  it('may use its token all the same, and another that has none needs one', async () => {
    hub = await start();
    const token = await hub.addDevice('d1');
    (await connectRaw(hub, { token, client: authority.issue('d1') })).close();
    (await connectRaw(hub, { token })).close();
    expect((await refusal(hub, {})).problem.code).toBe('token-missing');
  });

  it('is sent away when its certificate ends, and stays outside', async () => {
    hub = await startTestHub({
      HUB_GATEWAY__TLS__CLIENT_CA_FILE: authority.caFile,
      HUB_GATEWAY__HEARTBEAT_MS: '1000',
    });
    await hub.addDevice('d1');
    const client = authority.issue('d1', { endsInSeconds: 4 });
    const device = await connectRaw(hub, { client });
    expect(await device.closed).toBe(4502);
    expect((await refusal(hub, { client })).problem).toMatchObject({ detail: 'CERT_HAS_EXPIRED' });
  });

  it('is refused when nobody knows it, when another signed it, and with the token of another', async () => {
    hub = await start();
    const token = await hub.addDevice('d1');
    const other = makeAuthority('Plant');
    expect((await refusal(hub, { client: authority.issue('d2') })).problem).toMatchObject({
      code: 'certificate-invalid',
      detail: 'There is no device "d2".',
    });
    expect((await refusal(hub, { client: other.issue('d1') })).problem.code).toBe('certificate-invalid');
    expect((await refusal(hub, { token, client: authority.issue('d2') })).problem.code).toBe('certificate-invalid');
    other.dispose();
  });

  it('is sent away to show it again when the list of the revoked changes, and stays outside when it is on it', async () => {
    hub = await start();
    for (const id of ['good', 'bad']) await hub.addDevice(id);
    const [good, bad] = [authority.issue('good'), authority.issue('bad')];
    const inside = await Promise.all([good, bad].map((client) => connectRaw(hub, { client })));
    authority.revoke(bad);
    expect(await Promise.all(inside.map(({ closed }) => closed))).toEqual([1001, 1001]);
    (await connectRaw(hub, { client: good })).close();
    expect((await refusal(hub, { client: bad })).problem).toMatchObject({
      code: 'certificate-invalid',
      detail: 'CERT_REVOKED',
    });
  });
});

describe('the operator API with TLS', () => {
  it('shows the certificate of the devices, and the command line of the data folder trusts it', async () => {
    hub = await startTestHub({ HUB_API__TLS__ENABLED: 'true' });
    expect(hub.api).toMatch(/^https:/);
    expect(await shownBy(hub.api)).toBe(hub.ca.trim());
    const listed = await runHub(['devices', 'ls', '--data', hub.dataDir]);
    expect(listed).toMatchObject({ code: 0 });
    const stranger = await runHub(['devices', 'ls', '--data', hub.dataDir], {
      HUB_URL: hub.api,
      HUB_TOKEN: hub.adminToken,
    });
    expect(stranger.code).toBe(3);
    expect(stranger.stderr).toContain('is not trusted');
  });

  it('shows its own when it has one, and renews it at SIGHUP', async () => {
    const [first, second] = [authority.issue('api'), authority.issue('api')];
    hub = await startTestHub({ HUB_API__TLS__ENABLED: 'true', ...prefixed('HUB_API__TLS__', install(first)) });
    expect(await shownBy(hub.api)).toBe(first.cert.trim());
    expect(await shownBy(hub.gateway)).toBe(hub.ca.trim());
    install(second);
    process.kill(hub.pid, 'SIGHUP');
    await until(() => hub.log().includes(join(dir, 'cert.pem')));
    await until(() => hub.log().includes('a certificate was read again'));
    expect(await shownBy(hub.api)).toBe(second.cert.trim());
  });

  it('may listen beyond this machine, and answers with the headers that browsers want', async () => {
    hub = await startTestHub({ HUB_API__TLS__ENABLED: 'true', HUB_API__HOST: '0.0.0.0' });
    const headers = await headersOf(`${hub.api}/readyz`, hub.ca);
    expect(headers).toMatchObject({
      'strict-transport-security': expect.stringContaining('max-age='),
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cache-control': 'no-store',
    });
  });
});

function headersOf(url: string, ca: string): Promise<object> {
  return new Promise((resolve, reject) => {
    request(url, { ca }, (response) => resolve(response.resume().headers))
      .on('error', reject)
      .end();
  });
}

describe('a Unix socket', () => {
  it('lets in whoever may open it, with the address that the proxy tells', async () => {
    const socketPath = join(dir, 'hub.sock');
    hub = await startTestHub({ HUB_GATEWAY__SOCKET_PATH: socketPath, HUB_GATEWAY__TLS__ENABLED: 'false' });
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
    const headers = { authorization: `Bearer ${await hub.addDevice('d1')}`, 'x-forwarded-for': '192.0.2.7' };
    const ws = new WebSocket(hub.gateway, ['telemetry-hub.v1'], { headers });
    await new Promise((resolve) => ws.once('open', resolve));
    await expect.poll(hub.log).toMatch(/"address":"192\.0\.2\.7".*a device connected/);
    ws.close();
    await hub.kill();
    await hub.start();
    expect(await hub.stop()).toBe(0);
  });

  it('never takes the place of a file that is none', async () => {
    const socketPath = join(dir, 'precious.txt');
    writeFileSync(socketPath, 'precious');
    const env = { HUB_GATEWAY__SOCKET_PATH: socketPath, HUB_GATEWAY__TLS__ENABLED: 'false', HUB_API__PORT: '0' };
    const { code, stderr } = await runHub(['start', '--data', join(dir, 'data')], env);
    expect(code).toBe(1);
    expect(stderr).toContain('gateway.socketPath');
    expect(statSync(socketPath).isFile()).toBe(true);
  });
});

describe('the configuration', () => {
  it.each([
    ['a plain door to the network', { HUB_GATEWAY__HOST: '0.0.0.0', HUB_GATEWAY__TLS__ENABLED: 'false' }, 'loopback'],
    ['a plain API to the network', { HUB_API__HOST: '0.0.0.0' }, 'api.host must be a loopback address'],
    ['trust in everybody', { HUB_GATEWAY__TRUSTED_PROXIES: '0.0.0.0/0' }, '"0.0.0.0/0" is everybody'],
    ['a PROXY header of nobody', { HUB_GATEWAY__PROXY_PROTOCOL: 'true' }, 'needs gateway.trustedProxies'],
    ['TLS on a Unix socket', { HUB_GATEWAY__SOCKET_PATH: '/tmp/x' }, 'TLS ends in the proxy'],
    [
      'a list of revoked without an authority',
      { HUB_GATEWAY__TLS__CLIENT_CRL_FILE: 'x' },
      'needs gateway.tls.clientCaFile',
    ],
  ])('does not allow %s', async (_, env, reason) => {
    const { code, stderr } = await runHub(['config', 'check'], env);
    expect(code).toBe(78);
    expect(stderr).toContain(reason);
  });
});
