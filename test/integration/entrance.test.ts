/** The operators' entrance: failed tokens are throttled by address, pages of others stay outside, nothing is cached. */
import { afterEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../helpers/api.ts';

let hub: TestApi;
afterEach(() => hub.close());

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });

describe('the entrance of the API', () => {
  it('throttles an address whose tokens fail, with a time to come back; good ones are never refused', async () => {
    hub = await startApi({}, { failedAttemptsPerMinute: 3 });
    const status = async (token?: string) =>
      (await hub.call('GET', '/v1/status', token === undefined ? {} : { token })).status;
    for (let attempt = 0; attempt < 3; attempt++) expect(await status('wrong')).toBe(401);
    const refused = await hub.call('GET', '/v1/status', { token: 'wrong' });
    expect([refused.status, refused.body.code]).toEqual([429, 'too-many-attempts']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
    expect(await status()).toBe(200);
    expect(await status('')).toBe(401);
  });

  it('tells operators behind a trusted proxy apart, and writes their address into the audit log', async () => {
    hub = await startApi({}, { failedAttemptsPerMinute: 1, trustedProxies: ['127.0.0.1'] });
    const knock = (address: string) =>
      hub.call('POST', '/v1/devices', { token: 'wrong', body: { id: 'x' }, ...from(address) });
    expect((await knock('192.0.2.1')).status).toBe(401);
    expect((await knock('203.0.113.9, 192.0.2.1')).status).toBe(429);
    expect((await knock('192.0.2.2')).status).toBe(401);
    // Of strangers nothing is waited for, so their lines may come a moment after the answer.
    await expect
      .poll(async () => (await hub.audit.list({ limit: 10 })).map((entry) => entry.from))
      .toEqual(['192.0.2.2', '192.0.2.1', '192.0.2.1']);
  });

  it('believes no such header from anybody else', async () => {
    hub = await startApi({}, { failedAttemptsPerMinute: 1 });
    const knock = (address: string) => hub.call('GET', '/v1/status', { token: 'wrong', ...from(address) });
    expect((await knock('192.0.2.1')).status).toBe(401);
    expect((await knock('192.0.2.2')).status).toBe(429);
  });

  it('refuses what a page of another address asks, and serves pages of its own', async () => {
    hub = await startApi();
    const ask = (origin: string) => hub.call('GET', '/v1/status', { headers: { origin } });
    expect((await ask(hub.api.url)).status).toBe(200);
    for (const foreign of ['https://evil.example', 'null', hub.api.url.replace('127.0.0.1', 'localhost')])
      expect([foreign, (await ask(foreign)).body.code]).toEqual([foreign, 'origin']);
  });

  it('lets nothing be cached', async () => {
    hub = await startApi();
    for (const path of ['/healthz', '/v1/status', '/nothing'])
      expect((await hub.call('GET', path)).headers.get('cache-control')).toBe('no-store');
  });
});
