/** The hub behind the real nginx and HAProxy, with the configurations of docs/proxy/: it sees devices, not the proxy. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { makeAuthority, type TestAuthority } from '../helpers/pki.ts';
import { type ProxyConfig, startProxy, type TestProxy } from '../helpers/proxies.ts';
import { connectRaw, refusal } from '../helpers/raw-device.ts';
import { asHttp, upgradeRequest } from '../helpers/raw-socket.ts';

/** Devices call from here, so that they are not taken for the proxy, which is 127.0.0.1. */
const DEVICE = '127.0.0.2';
const OTHER = '127.0.0.3';
/** More than may be at the door of one address, and fewer than the hub has room for. */
const CROWD = 600;
const PLAIN = { HUB_GATEWAY__TLS__ENABLED: 'false', HUB_GATEWAY__TRUSTED_PROXIES: '127.0.0.1' };
const PROXIED = { HUB_GATEWAY__PROXY_PROTOCOL: 'true', HUB_GATEWAY__TRUSTED_PROXIES: '127.0.0.1' };

let authority: TestAuthority;
let dir: string;
let hub: TestHub;
let proxy: TestProxy | undefined;

beforeAll(() => {
  authority = makeAuthority('Plant');
});
afterAll(() => authority.dispose());
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hub-proxied-'));
});
afterEach(async () => {
  await proxy?.dispose();
  await hub.dispose();
  proxy = undefined;
  rmSync(dir, { recursive: true });
});

/** What the configurations of docs/proxy/ name, and where it is here. */
function places(file: ProxyConfig): Record<string, string> {
  const upstream = { '127.0.0.1:8444': `127.0.0.1:${new URL(hub.gateway).port}` };
  const { certFile, keyFile, cert, key } = authority.issue('hub');
  if (file === 'nginx.conf')
    return {
      ...(hub.gateway.startsWith('ws:') && upstream),
      '/etc/telemetry-hub/tls/cert.pem': certFile,
      '/etc/telemetry-hub/tls/key.pem': keyFile,
    };
  if (file !== 'haproxy.cfg') return upstream;
  writeFileSync(join(dir, 'both.pem'), `${cert}${key}`);
  return { ...upstream, '/etc/haproxy/telemetry-hub.pem': join(dir, 'both.pem') };
}

interface From {
  from?: string;
  token?: string;
  forwarded?: string;
}

/** How a device at this address knocks at the proxy. */
function through({ from = DEVICE, token, forwarded }: From = {}) {
  const ca = hub.gateway.startsWith('wss:') ? hub.ca : authority.ca;
  const url = `wss://127.0.0.1:${proxy!.port}/v1/device`;
  const headers: Record<string, string> = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { url, ca, localAddress: from, headers, ...(token !== undefined && { token }) };
}

async function seesDevices(): Promise<void> {
  const token = await hub.addDevice('d1');
  const device = await connectRaw(hub, through({ token, forwarded: '203.0.113.9' }));
  device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 5 }] });
  expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
  await expect.poll(hub.log).toMatch(new RegExp(`"address":"${DEVICE}".*a device connected`));
  device.close();
  for (let attempt = 0; attempt < 3; attempt++)
    expect((await refusal(hub, through({ token: 'thd_bad' }))).status).toBe(401);
  const throttled = await refusal(hub, through({ token: 'thd_bad', forwarded: `203.0.113.${9}` }));
  expect(throttled).toMatchObject({ status: 429, headers: { 'retry-after': '60' } });
  expect((await refusal(hub, through({ token: 'thd_bad', from: OTHER }))).status).toBe(401);
  // Of strangers nothing is waited for, so their lines may come a moment after the answer.
  const strangers = async () => {
    const { entries } = await hub.call<{ entries: { action: string; from: string }[] }>('GET', '/v1/audit?limit=50');
    return new Set(entries.filter(({ action }) => action === 'device.connect').map(({ from }) => from));
  };
  await expect.poll(strangers).toEqual(new Set([DEVICE, OTHER]));
}

const LIMITS = { HUB_LIMITS__FAILED_ATTEMPTS_PER_MINUTE: '3' };

describe.each(['nginx.conf', 'haproxy.cfg'] as const)('TLS ended by %s', (file) => {
  it('shows the hub the addresses of devices, whatever they write into the header themselves', async () => {
    hub = await startTestHub({ ...PLAIN, ...LIMITS });
    proxy = await startProxy(file, places(file));
    await seesDevices();
  });

  it('does not help those who come around it: their header is ignored', async () => {
    hub = await startTestHub({ ...PLAIN, ...LIMITS });
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    await refusal(hub, { token: 'thd_bad', localAddress: DEVICE, headers });
    await expect.poll(hub.log).toContain(`"address":"${DEVICE}"`);
    expect(hub.log()).not.toContain('203.0.113.9');
  });
});

describe('nginx with a Unix socket', () => {
  it('shows the hub the addresses of devices', async () => {
    const socket = join(dir, 'hub.sock');
    hub = await startTestHub({
      ...{ HUB_GATEWAY__TLS__ENABLED: 'false', HUB_GATEWAY__SOCKET_PATH: socket },
      ...LIMITS,
    });
    proxy = await startProxy('nginx.conf', {
      ...places('nginx.conf'),
      'server 127.0.0.1:8444;': `server unix:${socket};`,
    });
    await seesDevices();
  });
});

describe.each(['nginx-stream.conf', 'haproxy-tcp.cfg'] as const)('bytes passed on by %s', (file) => {
  it('show the hub the addresses of devices, by the PROXY protocol before its own TLS', async () => {
    hub = await startTestHub({ ...PROXIED, ...LIMITS });
    proxy = await startProxy(file, places(file));
    await seesDevices();
  });
});

describe('a door for the PROXY protocol', () => {
  /** Resolves when the hub has ended the connection. */
  const untilEnded = (localAddress: string, bytes: string) =>
    new Promise<void>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: Number(new URL(hub.gateway).port), localAddress });
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.write(bytes);
    });

  it('ends connections without the header, and those of strangers with it', async () => {
    hub = await startTestHub(PROXIED);
    await untilEnded('127.0.0.1', 'GET /v1/device HTTP/1.1\r\n\r\n');
    await untilEnded(DEVICE, 'PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n');
    const metrics = await (
      await fetch(`${hub.api}/metrics`, { headers: { authorization: `Bearer ${hub.adminToken}` } })
    ).text();
    expect(metrics).toContain('hub_knocks_total{outcome="proxy-header"} 2');
  });

  it('keeps a crowd of one address from being in the way of others', async () => {
    hub = await startTestHub({ ...PROXIED, HUB_GATEWAY__TLS__ENABLED: 'false' });
    const request = asHttp(upgradeRequest(await hub.addDevice('d1')));
    const dropped: Socket[] = [];
    const crowd = Array.from({ length: CROWD }, () => {
      const socket = connect({ host: '127.0.0.1', port: Number(new URL(hub.gateway).port) });
      socket.on('error', () => {});
      socket.on('close', () => dropped.push(socket));
      return socket.resume();
    });
    for (const socket of crowd) socket.write('PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n');
    await expect.poll(() => dropped).toHaveLength(CROWD - 256);
    const bytes = `PROXY TCP4 198.51.100.7 127.0.0.1 1 2\r\n${request}`;
    expect(await inPieces(bytes, bytes.length)).toMatch(/^HTTP\/1\.1 101 /);
    for (const socket of crowd) socket.destroy();
  });

  it('takes a header that comes in pieces, together with what follows it', async () => {
    hub = await startTestHub({ ...PROXIED, HUB_GATEWAY__TLS__ENABLED: 'false' });
    const token = await hub.addDevice('d1');
    const bytes = `PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n${asHttp(upgradeRequest(token))}`;
    for (const size of [7, 50, bytes.length]) {
      const answer = await inPieces(bytes, size);
      expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    }
    await expect.poll(hub.log).toMatch(/"address":"203\.0\.113\.9".*a device connected/);
  });

  /** What the hub answers to bytes that come in pieces of this size. */
  const inPieces = (bytes: string, size: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: Number(new URL(hub.gateway).port), noDelay: true });
      socket.on('error', reject);
      socket.once('data', (data) => {
        resolve(data.toString('latin1'));
        socket.destroy();
      });
      const send = (at: number) => {
        if (at >= bytes.length || socket.destroyed) return;
        socket.write(bytes.slice(at, at + size));
        setTimeout(send, 2, at + size);
      };
      send(0);
    });
});
