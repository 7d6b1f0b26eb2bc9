/** Notices over real HTTP: what a receiver gets, and what each of its answers means. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Notice } from '../../hub/alerts/alert.ts';
import { NeverTaken } from '../../hub/alerts/channel.ts';
import { createWebhook } from '../../hub/alerts/webhook.http.ts';
import { Unavailable } from '../../hub/kit/errors.ts';

const NOTICE: Notice = {
  ...{ notice: 'n1', id: 'i', rule: 'hot', kind: 'field', severity: 'warning', state: 'firing', device: 'a' },
  ...{ since: 1, summary: 'a: too hot', description: 'open a window' },
};

let server: Server;
let got: { method: string; headers: IncomingHttpHeaders; body: string }[];
let answer: (response: ServerResponse) => void;
let url: string;

beforeEach(async () => {
  got = [];
  answer = (response) => response.end();
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      got.push({ method: request.method ?? '', headers: request.headers, body });
      answer(response);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const send = (timeoutMs = 5_000) => createWebhook({ name: 'x', url, token: 't0', timeoutMs }).send(NOTICE);
const failure = (timeoutMs?: number) =>
  send(timeoutMs).then(
    () => undefined,
    (error: Error) => error,
  );

describe('the webhook', () => {
  it('posts the notice as JSON, with its token and a key that stays the same', async () => {
    await send();
    await send();
    expect(got).toHaveLength(2);
    expect(got[1]).toMatchObject({
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer t0', 'idempotency-key': 'n1' },
    });
    expect(JSON.parse(got[0]!.body)).toEqual(NOTICE);
  });

  it.each([500, 503, 429, 408, 401, 403, 404, 302])('is tried again after %i', async (status) => {
    answer = (response) => response.writeHead(status, { location: '/elsewhere' }).end('no');
    expect(await failure()).toBeInstanceOf(Unavailable);
    expect(got).toHaveLength(1);
  });

  it.each([400, 413, 415, 422])('gives the notice up after %i', async (status) => {
    answer = (response) => response.writeHead(status).end();
    expect(await failure()).toBeInstanceOf(NeverTaken);
  });

  it('waits as long as the receiver asks', async () => {
    answer = (response) => response.writeHead(503, { 'retry-after': '7' }).end();
    expect(await failure()).toMatchObject({ retryAfterMs: 7_000 });
  });

  it('does not wait for ever, and never says the address', async () => {
    answer = () => {};
    expect((await failure(100))?.message).toBe('no answer within 100 ms');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const refused = await failure();
    expect(refused).toBeInstanceOf(Unavailable);
    expect(refused?.message).toBe('no answer: ECONNREFUSED');
  });

  it('says why it was not even tried, and neither address nor token', async () => {
    url = 'http://127.0.0.1:9/secret';
    expect((await failure())?.message).toBe(
      'no answer: its port is one that no web client asks (bad port); take another',
    );
    const odd = createWebhook({ name: 'x', url, token: 'hush\nhush', timeoutMs: 1_000 }).send(NOTICE);
    await expect(odd).rejects.toThrow(
      /^no answer: the request cannot be made; is there something odd in its address or its token$/,
    );
  });
});
