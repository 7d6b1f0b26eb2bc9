/** The dashboard's files as the hub sends them: compressed, cached by name, under a strict policy, and nothing else of the disk. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../helpers/api.ts';

let dir: string;
let hub: TestApi;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hub-page-'));
});
afterEach(async () => {
  await hub.close();
  await rm(dir, { recursive: true });
});

async function build() {
  await mkdir(join(dir, 'dist/assets'), { recursive: true });
  await writeFile(join(dir, 'secret.txt'), 'not for you');
  const files = { 'index.html': '<p>page</p>', 'assets/index-AbCd1234.js': 'plain', 'assets/logo.svg': '<svg/>' };
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, 'dist', name), text);
  await writeFile(join(dir, 'dist/assets/index-AbCd1234.js.br'), 'brotli');
  await writeFile(join(dir, 'dist/assets/index-AbCd1234.js.gz'), 'gzip');
  hub = await startApi({}, { dashboardDir: join(dir, 'dist') });
}

/** Asked as it is written: neither the path nor the encoding is touched. */
function ask(path: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }>((resolve, reject) => {
    request(hub.api.url, { path, headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode!, text, headers: response.headers });
    })
      .on('error', reject)
      .end();
  });
}

const SCRIPT = '/assets/index-AbCd1234.js';

describe('the page', () => {
  beforeEach(build);

  it('is at /, needs no token, and is asked for anew each time', async () => {
    const { status, text, headers } = await ask('/');
    expect([status, text, headers['content-type']]).toEqual([200, '<p>page</p>', 'text/html; charset=utf-8']);
    expect(headers['cache-control']).toBe('no-cache');
    expect(await ask('/', { 'if-none-match': String(headers.etag) })).toMatchObject({ status: 304, text: '' });
  });

  it('may load nothing from elsewhere, run nothing inline, and be framed by nobody', async () => {
    const { headers } = await ask('/');
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|data:|\*/);
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  });

  it('has a policy of its own: the answers of the API may do nothing at all, and plain HTTP demands no TLS', async () => {
    for (const path of ['/healthz', '/v1/devices', '/nowhere']) {
      const { headers } = await ask(path);
      expect(headers['content-security-policy']).toBe("default-src 'none';frame-ancestors 'none'");
      expect(headers).toMatchObject({ 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' });
      expect(headers).not.toHaveProperty('strict-transport-security');
    }
    expect((await ask('/')).headers).not.toHaveProperty('strict-transport-security');
  });

  it.each([
    ['br, gzip', 'br', 'brotli'],
    ['gzip, deflate', 'gzip', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip', 'gzip'],
    ['identity', undefined, 'plain'],
    ['', undefined, 'plain'],
  ])('comes compressed as the browser likes it: %s', async (accepted, encoding, text) => {
    const answer = await ask(SCRIPT, { 'accept-encoding': accepted });
    expect([answer.text, answer.headers['content-encoding']]).toEqual([text, encoding]);
    expect(answer.headers).toMatchObject({ vary: 'accept-encoding', 'content-type': 'text/javascript; charset=utf-8' });
  });

  it('keeps what is named by its content for ever, and nothing else', async () => {
    expect((await ask(SCRIPT)).headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect((await ask('/assets/logo.svg')).headers['cache-control']).toBe('no-cache');
  });

  it.each([
    '/secret.txt',
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    `${SCRIPT}.br`,
    '/assets/',
  ])('is all there is: %s is not found', async (path) => {
    const { status, text } = await ask(path);
    expect([status, text.includes('not for you')]).toEqual([404, false]);
  });
});

it('says how it is built when it is not', async () => {
  hub = await startApi({}, { dashboardDir: join(dir, 'nothing') });
  const { status, text } = await ask('/');
  expect([status, text]).toEqual([503, expect.stringMatching(/^The dashboard is not built: run "npm ci"/)]);
});
