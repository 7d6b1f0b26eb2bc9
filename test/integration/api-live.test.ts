/** The live stream of the operator API: server-sent events, slow readers, and ends. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventsIn } from '../../hub/cli/client.http.ts';
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';
import { startApi, type TestApi } from '../helpers/api.ts';

let hub: TestApi;
beforeEach(async () => {
  hub = await startApi({ liveHeartbeatMs: 20 });
});
afterEach(() => hub.close());

function frame(device: string, stream: string, ...readings: Reading[]): Frame {
  return { device, stream, epoch: 'e', seq: 1, receivedAt: 0, readings };
}

async function watch(query = '', token = hub.tokens.viewer) {
  const abort = new AbortController();
  const response = await fetch(`${hub.api.url}/v1/live${query}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: abort.signal,
  });
  return { response, abort };
}

describe('the live stream', () => {
  it('carries readings as they become durable, by device and stream', async () => {
    await hub.devices.add('a');
    const { response, abort } = await watch('?device=a&stream=power');
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    hub.live.update([
      frame('b', 'power', { ts: 1, power: 1 }),
      frame('a', 'machine', { ts: 2, rpm: 1 }),
      frame('a', 'power', { ts: 3, power: 5, voltage: 230 }),
    ]);
    const { value } = await eventsIn(response.body!).next();
    expect(value).toEqual({ event: 'reading', data: '{"device":"a","stream":"power","ts":3,"power":5,"voltage":230}' });
    abort.abort();
  });

  it('begins with what is known, and leaves that out for who asks for changes only', async () => {
    await hub.devices.add('a');
    hub.live.update([frame('a', 'power', { ts: 1 })]);
    const whole = await watch('?stream=power');
    expect((await eventsIn(whole.response.body!).next()).value).toMatchObject({
      data: expect.stringContaining('"ts":1'),
    });
    const changes = await watch('?stream=power&snapshot=false');
    hub.live.update([frame('a', 'power', { ts: 2 })]);
    expect((await eventsIn(changes.response.body!).next()).value).toMatchObject({
      data: expect.stringContaining('"ts":2'),
    });
    whole.abort.abort();
    changes.abort.abort();
  });

  it.each([
    ['?device=nosuch', 'There is no device "nosuch".'],
    ['?stream=nosuch', 'There is no stream "nosuch". There are the streams '],
  ])('does not let anybody wait for what nobody has: %s', async (query, words) => {
    const { response, abort } = await watch(query);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain(words.replaceAll('"', '\\"'));
    abort.abort();
  });

  it('gives signs of life when nothing happens', async () => {
    const { response, abort } = await watch();
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes(': alive')) break;
    }
    expect(text).toMatch(/^: live\n\n(: alive\n\n)+$/);
    abort.abort();
  });

  it('is forgotten when its reader goes away', async () => {
    const { abort } = await watch();
    await expect.poll(() => hub.live.subscribers).toBe(1);
    abort.abort();
    await expect.poll(() => hub.live.subscribers).toBe(0);
  });

  it('ends when the server closes', async () => {
    const { response } = await watch();
    const rest = response.text();
    await hub.api.close();
    expect(await rest).toContain(': live');
    expect(hub.live.subscribers).toBe(0);
  });

  it.each([
    ['its token is replaced', () => hub.call('POST', '/v1/operators/vera/tokens')],
    ['its operator is removed', () => hub.call('DELETE', '/v1/operators/vera')],
  ])('ends when %s, and others go on', async (_, change) => {
    const { response } = await watch();
    const other = await watch('', hub.tokens.operator);
    const rest = response.text();
    expect((await change()).status).toBeLessThan(300);
    expect(await rest).toContain(': live');
    await expect.poll(() => hub.live.subscribers).toBe(1);
    other.abort.abort();
  });

  it('ends when its token expires', async () => {
    const { token } = await hub.operators.add('brief', 'viewer', Date.now() + 300);
    const { response } = await watch('', token);
    expect(response.status).toBe(200);
    expect(await response.text()).toContain(': live');
    expect(hub.live.subscribers).toBe(0);
  });

  it('is cut off when its token is gone, also from a reader who does not read', async () => {
    const asked = request(`${hub.api.url}/v1/live`, { headers: { authorization: `Bearer ${hub.tokens.viewer}` } });
    asked.on('error', () => {});
    const [response] = (await once(asked.end(), 'response')) as [IncomingMessage];
    const readings = Array.from({ length: 1_000 }, (_, ts) => ({ ts: ts + 1 }));
    for (let turn = 0; turn < 200; turn++) hub.live.update([frame('a', 'power', ...readings)]);
    const socketGone = once(response.socket, 'close');
    await hub.call('DELETE', '/v1/operators/vera');
    await expect.poll(() => hub.live.subscribers).toBe(0);
    response.on('error', () => {}).resume();
    await socketGone;
  });

  it('tells a reader who was too slow how many readings it missed, and holds no more than the bound', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const asked = request(`${hub.api.url}/v1/live`, { headers: { authorization: `Bearer ${hub.tokens.viewer}` } });
      asked.on('error', reject);
      asked.on('response', (response) => {
        // Nobody reads until far more was sent than sockets and buffers hold.
        for (let ts = 1; ts <= 400; ts += 1) {
          hub.live.update([
            frame('a', 'power', ...Array.from({ length: 1_000 }, (_, index) => ({ ts: ts + index / 1_000 }))),
          ]);
        }
        let read = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          read += chunk;
          if (read.includes('event: merged')) {
            asked.destroy();
            resolve(read);
          }
        });
      });
      asked.end();
    });
    const events = text.match(/event: reading/g)!.length;
    const merged = Number(/event: merged\ndata: \{"count":(\d+)\}/.exec(text)![1]);
    expect(merged).toBeGreaterThan(300_000);
    expect(events + merged).toBeLessThanOrEqual(400_000);
  });

  it('refuses one watcher too many with 503', async () => {
    const ends = Array.from({ length: 200 }, () => hub.live.subscribe({}, () => {}));
    const { response } = await watch();
    expect([response.status, await response.json()]).toMatchObject([503, { code: 'full' }]);
    for (const end of ends) end();
  });
});
