/** The live WebSocket: who may open it, subscriptions with snapshot and changes, slow readers, and every way it ends. */
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';
import { startApi, type TestApi } from '../helpers/api.ts';

type Told = Record<string, unknown> & { type: string; readings?: unknown[]; merged?: number };

let hub: TestApi;
const open: WebSocket[] = [];
beforeEach(async () => {
  hub = await startApi();
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.terminate();
  await hub.close();
});

function frame(device: string, stream: string, ...readings: Reading[]): Frame {
  return { device, stream, epoch: 'e', seq: 1, receivedAt: 0, readings };
}

function knock(headers: Record<string, string> = { authorization: `Bearer ${hub.tokens.viewer}` }) {
  const socket = new WebSocket(`${hub.api.url.replace(/^http/, 'ws')}/v1/live`, { headers });
  socket.on('error', () => {});
  open.push(socket);
  return socket;
}

/** A reader that has been let in. */
async function watch(headers?: Record<string, string>) {
  const socket = knock(headers);
  const told: Told[] = [];
  socket.on('message', (data) => told.push(JSON.parse(String(data))));
  const closed = once(socket, 'close').then(([code]) => code as number);
  await once(socket, 'open');
  return {
    socket,
    told,
    closed,
    say: (message: object | string) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    /** Resolves to the first message of this type that comes or came. */
    async hear(type: string): Promise<Told> {
      await expect.poll(() => told.some((each) => each.type === type)).toBe(true);
      return told.splice(0, told.findIndex((each) => each.type === type) + 1).at(-1)!;
    },
  };
}

/** The status with which the door refuses. */
async function refusalOf(socket: WebSocket): Promise<[number, string]> {
  const [, response] = await once(socket, 'unexpected-response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return [response.statusCode, JSON.parse(text).code];
}

describe('the door', () => {
  it('lets a token in, and a session by its cookie', async () => {
    const { headers } = await hub.call('POST', '/v1/session', { token: '', body: { token: hub.tokens.viewer } });
    const cookie = headers.get('set-cookie')!.split(';')[0]!;
    for (const sent of [{ authorization: `Bearer ${hub.tokens.viewer}` }, { cookie, origin: hub.api.url }]) {
      const reader = await watch(sent);
      reader.say({ type: 'subscribe', id: 'x' });
      expect(await reader.hear('snapshot')).toMatchObject({ id: 'x', more: false });
    }
  });

  it.each([
    ['nobody', {}, 401, 'unauthorized'],
    ['a wrong token', { authorization: 'Bearer tho_wrong' }, 401, 'unauthorized'],
    ['a page of another address', { origin: 'https://evil.example' }, 403, 'origin'],
  ])('refuses %s in plain HTTP', async (_, headers, status, code) => {
    expect(await refusalOf(knock(headers))).toEqual([status, code]);
  });

  it('answers an upgrade elsewhere as the request it is', async () => {
    const socket = new WebSocket(`${hub.api.url.replace(/^http/, 'ws')}/healthz`);
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(200);
  });

  it('lets no more in than it has room for', async () => {
    await Promise.all(Array.from({ length: 200 }, () => watch()));
    expect(await refusalOf(knock())).toEqual([503, 'full']);
  });
});

describe('a subscription', () => {
  beforeEach(async () => {
    await hub.devices.add('a', { tags: { floor: '1' } });
    await hub.devices.add('b', { tags: { floor: '2' } });
    hub.live.update([
      frame('a', 'power', { ts: 1, power: 1 }),
      frame('a', 'machine', { ts: 2, rpm: 9 }),
      frame('b', 'power', { ts: 3, power: 3 }),
    ]);
    hub.presence.opened({ id: 's', device: 'a', address: '', connectedAt: 5 });
    await hub.commands.send({ device: 'b', name: 'identify', actor: 'test' });
  });

  it('begins with what is known, then tells what changes', async () => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'all', everyMs: 0 });
    expect(await hear('snapshot')).toEqual({
      ...{ type: 'snapshot', id: 'all', more: false },
      readings: [
        { device: 'a', stream: 'power', ts: 1, power: 1 },
        { device: 'a', stream: 'machine', ts: 2, rpm: 9 },
        { device: 'b', stream: 'power', ts: 3, power: 3 },
      ],
      presence: [{ device: 'a', state: 'online', since: 5, reason: 'connected' }],
      commands: [expect.objectContaining({ device: 'b', name: 'identify', state: 'queued' })],
    });
    hub.live.update([frame('b', 'power', { ts: 4, power: 4 }, { ts: 5, power: 5 })]);
    expect(await hear('changes')).toEqual({
      ...{ type: 'changes', id: 'all', merged: 0, presence: [], commands: [] },
      readings: [
        { device: 'b', stream: 'power', ts: 4, power: 4 },
        { device: 'b', stream: 'power', ts: 5, power: 5 },
      ],
    });
    hub.live.tell({ kind: 'presence', device: 'a', data: { device: 'a', state: 'silent' } });
    expect(await hear('changes')).toMatchObject({ presence: [{ device: 'a', state: 'silent' }] });
  });

  it.each([
    [{ devices: ['a'] }, ['a power', 'a machine'], ['a'], 0],
    [{ tags: { floor: '2' } }, ['b power'], [], 1],
    [{ streams: ['power'] }, ['a power', 'b power'], ['a'], 1],
    [{ kinds: ['presence'] }, [], ['a'], 0],
    [{ kinds: ['reading'], devices: ['b'] }, ['b power'], [], 0],
  ])('of %j begins with only that', async (filter, readings, presence, commands) => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'x', everyMs: 0, ...filter });
    const seriesOf = (told: Told) => (told.readings as Frame[]).map(({ device, stream }) => `${device} ${stream}`);
    const snapshot = await hear('snapshot');
    expect(seriesOf(snapshot)).toEqual(readings);
    expect((snapshot.presence as Frame[]).map(({ device }) => device)).toEqual(presence);
    expect(snapshot.commands).toHaveLength(commands);
  });

  it.each([
    [{ devices: ['a', 'nosuch', 'nor-this'] }, ['nosuch', 'nor-this'], 'There is no device "nosuch", "nor-this".'],
    [{ streams: ['power', 'weather'] }, ['weather'], 'There is no stream "weather". There are the streams '],
  ])('of %j is refused as events are, with the names that nobody has', async (filter, unknown, detail) => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'x', ...filter });
    const error = await hear('error');
    expect(error).toMatchObject({ id: 'x', code: 'not-found', unknown });
    expect(error.detail).toContain(detail);
    expect(hub.live.subscribers).toBe(0);
  });

  it('without a snapshot is told when it begins, and hears everything from then on', async () => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'x', everyMs: 0, snapshot: false });
    expect(await hear('subscribed')).toEqual({ type: 'subscribed', id: 'x' });
    hub.live.update([frame('a', 'power', { ts: 8 })]);
    expect(await hear('changes')).toMatchObject({ readings: [{ ts: 8 }] });
  });

  it('that is a greeting hears what there is to say', async () => {
    const { say, hear } = await watch();
    say({ type: 'hello' });
    expect(await hear('error')).toMatchObject({ detail: 'type must be subscribe or unsubscribe' });
  });

  it('hears a device that gets its tag meanwhile', async () => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'x', everyMs: 0, tags: { floor: '7' } });
    expect(await hear('snapshot')).toMatchObject({ readings: [] });
    await hub.devices.update('b', { tags: { floor: '7' } });
    hub.live.update([frame('a', 'power', { ts: 8 }), frame('b', 'power', { ts: 9 })]);
    expect(await hear('changes')).toMatchObject({ readings: [{ device: 'b', ts: 9 }] });
  });

  it('is replaced by another of the same id, and ended by unsubscribe', async () => {
    const { say, hear, told } = await watch();
    say({ type: 'subscribe', id: 'x', everyMs: 0 });
    await hear('snapshot');
    say({ type: 'subscribe', id: 'x', everyMs: 0, devices: ['b'], snapshot: false });
    await expect.poll(() => hub.live.subscribers).toBe(1);
    say({ type: 'subscribe', id: 'y', devices: [] });
    await hear('snapshot');
    hub.live.update([frame('a', 'power', { ts: 8 }), frame('b', 'power', { ts: 9 })]);
    expect((await hear('changes')).readings).toHaveLength(1);
    for (const id of ['x', 'y']) say({ type: 'unsubscribe', id });
    await expect.poll(() => hub.live.subscribers).toBe(0);
    expect(told).toEqual([]);
  });

  it.each([
    ['no JSON', 'invalid'],
    ['[]', 'invalid'],
    ['{"type":"subscribe"}', 'invalid'],
    ['{"type":"shout","id":"x"}', 'invalid'],
    ['{"type":"subscribe","id":"x","kinds":["weather"]}', 'invalid'],
    ['{"type":"subscribe","id":"x","devices":"a"}', 'invalid'],
    ['{"type":"subscribe","id":"x","everyMs":-1}', 'invalid'],
    ['{"type":"subscribe","id":"x","tags":{"floor":1}}', 'invalid'],
    ['{"type":"subscribe","id":"x","__proto__":1}', 'invalid'],
  ])('that is nonsense is refused, and the others go on: %s', async (text, code) => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'good', everyMs: 0 });
    await hear('snapshot');
    say(text);
    expect(await hear('error')).toMatchObject({ code, detail: expect.any(String) });
    hub.live.update([frame('a', 'power', { ts: 8 })]);
    expect(await hear('changes')).toMatchObject({ id: 'good' });
  });

  it('is one of sixteen on a socket', async () => {
    const { say, hear } = await watch();
    for (let n = 0; n < 17; n++) say({ type: 'subscribe', id: `s${n}`, devices: [] });
    expect(await hear('error')).toMatchObject({ id: 's16', code: 'full' });
  });

  it('tells a fleet in pieces, all of it as it was in one moment', async () => {
    for (let n = 0; n < 2_500; n++) hub.live.update([frame(`f${n}`, 'power', { ts: n })]);
    await Promise.all(Array.from({ length: 2_500 }, (_, n) => hub.devices.add(`f${n}`)));
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'fleet', kinds: ['reading'] });
    const pieces = [await hear('snapshot'), await hear('snapshot'), await hear('snapshot')];
    expect(pieces.map(({ more, readings }) => [more, readings!.length])).toEqual([
      [true, 1_000],
      [true, 1_000],
      [false, 503],
    ]);
  });
});

describe('a slow reader', () => {
  it('gets answers no faster than it wants, and the newest of each series with the count of what was merged', async () => {
    const { say, hear } = await watch();
    say({ type: 'subscribe', id: 'x', everyMs: 200 });
    await hear('snapshot');
    hub.live.update([frame('a', 'power', { ts: 0 })]);
    await hear('changes');
    for (let ts = 1; ts <= 1_500; ts++) hub.live.update([frame('a', 'power', { ts }), frame('b', 'power', { ts })]);
    const { readings, merged } = await hear('changes');
    expect(readings).toEqual([
      { device: 'a', stream: 'power', ts: 1_500 },
      { device: 'b', stream: 'power', ts: 1_500 },
    ]);
    expect(merged).toBe(2_998);
  });

  it('that reads nothing makes nothing grow: what it missed is counted', async () => {
    const { say, hear, socket, told } = await watch();
    say({ type: 'subscribe', id: 'x', everyMs: 0 });
    await hear('snapshot');
    socket.pause();
    const many = Array.from({ length: 500 }, (_, at) => ({ ts: at, text: 'x'.repeat(100) }));
    for (let turn = 0; turn < 400; turn++) {
      hub.live.update([frame('a', 'power', ...many)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.resume();
    await expect.poll(() => told.some(({ merged = 0 }) => merged > 0)).toBe(true);
    const heard = told.reduce((sum, { readings, merged = 0 }) => sum + readings!.length + merged, 0);
    expect(heard).toBe(200_000);
  });

  it('that asks and does not read is disconnected', async () => {
    await Promise.all(Array.from({ length: 3_000 }, (_, n) => hub.devices.add(`f${n}`)));
    for (let n = 0; n < 3_000; n++) hub.live.update([frame(`f${n}`, 'power', { ts: 1, text: 'x'.repeat(500) })]);
    const { say, socket, closed } = await watch();
    socket.pause();
    for (let n = 0; n < 100; n++) say({ type: 'subscribe', id: 'x' });
    await expect.poll(() => hub.live.subscribers).toBe(0);
    socket.resume();
    expect([4003, 1006]).toContain(await closed);
  });
});

describe('it ends', () => {
  it('when the reader goes', async () => {
    const { say, hear, socket } = await watch();
    say({ type: 'subscribe', id: 'x' });
    await hear('snapshot');
    socket.terminate();
    await expect.poll(() => hub.live.subscribers).toBe(0);
  });

  it.each([
    ['its token is replaced', () => hub.operators.replaceToken('vera')],
    ['its operator is removed', () => hub.operators.remove('vera')],
  ])('with 4502 when %s', async (_, change) => {
    const { closed } = await watch();
    await change();
    expect(await closed).toBe(4502);
  });

  it('with 4502 when its browser signs out', async () => {
    const signedIn = await hub.call('POST', '/v1/session', { token: '', body: { token: hub.tokens.viewer } });
    const cookie = signedIn.headers.get('set-cookie')!.split(';')[0]!;
    const { closed } = await watch({ cookie });
    await hub.call('DELETE', '/v1/session', { token: '', headers: { cookie, 'x-csrf-token': signedIn.body.csrf } });
    expect(await closed).toBe(4502);
  });

  it('with 1001 when the hub stops', async () => {
    const { closed } = await watch();
    await hub.api.close();
    expect(await closed).toBe(1001);
  });

  it('with 1003 after a binary frame, and with 1009 after one that is too long', async () => {
    const binary = await watch();
    binary.socket.send(Buffer.from('x'));
    expect(await binary.closed).toBe(1003);
    const long = await watch();
    long.say('x'.repeat(70_000));
    expect(await long.closed).toBe(1009);
  });
});

it('gives signs of life when nothing happens', async () => {
  await hub.close();
  hub = await startApi({ liveHeartbeatMs: 20 });
  const { hear } = await watch();
  expect(await hear('alive')).toEqual({ type: 'alive' });
});

it('as events begins with what is known, and knows tags and several devices', async () => {
  await hub.devices.add('a', { tags: { floor: '1' } });
  await hub.devices.add('b', { tags: { floor: '1' } });
  await hub.devices.add('c', { tags: { floor: '1' } });
  hub.live.update(['a', 'b', 'c'].map((device) => frame(device, 'power', { ts: 1 })));
  const abort = new AbortController();
  const response = await fetch(`${hub.api.url}/v1/live?device=a,b&tag=floor=1&stream=power`, {
    headers: { authorization: `Bearer ${hub.tokens.viewer}` },
    signal: abort.signal,
  });
  const { value } = await response.body!.getReader().read();
  expect(Buffer.from(value!).toString()).toBe(
    ': live\n\n' +
      'event: reading\ndata: {"device":"a","stream":"power","ts":1}\n\n' +
      'event: reading\ndata: {"device":"b","stream":"power","ts":1}\n\n',
  );
  abort.abort();
});
