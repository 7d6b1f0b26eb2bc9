/** How the page stays joined to the hub: coming back, being shown the door, and news that begin while something is loaded. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { keep } from '../../../dashboard/src/commands/command-news.ts';
import type { Command } from '../../../dashboard/src/hub/commands.ts';
import { join, joined, leave, type OpenWire, watch } from '../../../dashboard/src/hub/live.ts';
import { openSocket } from '../../../dashboard/src/hub/live.ws.ts';

afterEach(leave);

/** Connections that do what the test says; `asked` counts how often somebody asked whether there is a session. */
function scripted(mayEnter: () => Promise<boolean>) {
  const events: Parameters<OpenWire>[0][] = [];
  let asked = 0;
  join(
    (own) => {
      events.push(own);
      return { want() {}, close() {} };
    },
    async () => {
      asked += 1;
      return mayEnter();
    },
  );
  return { events, asked: () => asked };
}

describe('a connection', () => {
  it('that ends because the session did is not tried again', async () => {
    const { events, asked } = scripted(async () => false);
    events[0]!.onOpen();
    events[0]!.onEnd(true);
    await expect.poll(asked).toBe(1);
    expect([joined.value, events.length]).toEqual(['live', 1]);
  });

  it('that is lost asks whether there is a session before it is made again', async () => {
    let answers = 0;
    const { events, asked } = scripted(async () => {
      answers += 1;
      if (answers === 1) throw new Error('nobody answers');
      return true;
    });
    events[0]!.onOpen();
    events[0]!.onEnd(false);
    expect(joined.value).toBe('lost');
    await expect.poll(() => events.length).toBe(2);
    expect(asked()).toBe(2);
    events[1]!.onOpen();
    expect(joined.value).toBe('live');
  });

  it('that was lost meanwhile is not made again when the session has ended', async () => {
    const { events, asked } = scripted(async () => false);
    events[0]!.onEnd(false);
    await expect.poll(asked).toBe(1);
    expect(events).toHaveLength(1);
  });
});

describe('somebody who lists commands', () => {
  it('is told when their news begin, also when they had begun before', () => {
    const { events } = scripted(async () => true);
    const begun: string[] = [];
    const listener = (name: string) => ({ want: { commands: true }, hear() {}, begin: () => void begun.push(name) });
    const stops = [watch(listener('early')), watch({ ...listener('other'), want: { presence: true } })];
    expect(begun).toEqual([]);
    events[0]!.onCommands();
    expect(begun).toEqual(['early']);
    stops.push(watch(listener('late')));
    expect(begun).toEqual(['early', 'late']);
    for (const stop of stops) stop();
  });

  it('remembers the newest of each, and no more than it has room for', () => {
    const heard = new Map<string, Command>();
    const command = (id: string, state: string) => ({ id, state }) as Command;
    keep(heard, [command('a', 'sent'), command('b', 'sent'), command('a', 'succeeded')]);
    expect([...heard.values()].map(({ id, state }) => `${id} ${state}`)).toEqual(['b sent', 'a succeeded']);
    keep(
      heard,
      Array.from({ length: 1_000 }, (_, n) => command(`c${n}`, 'sent')),
    );
    expect([heard.size, heard.has('a'), heard.has('c0')]).toEqual([1_000, false, true]);
  });
});

describe('the WebSocket', () => {
  it('asks again without the devices that the hub does not have', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/v1/live' });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    Object.assign(globalThis, { location: { href: `http://127.0.0.1:${port}/` } });
    const told: string[][] = [];
    server.on('connection', (socket) => {
      socket.on('message', (data) => {
        const { id, devices } = JSON.parse(String(data));
        told.push(devices);
        const error = { type: 'error', id, code: 'not-found', detail: 'There is no device "gone".', unknown: ['gone'] };
        if (devices.includes('gone')) socket.send(JSON.stringify(error));
        else socket.close(4502);
      });
    });
    const isExpelled = await new Promise((resolve) => {
      const wire = openSocket({
        onOpen: () => wire.want({ readings: ['a', 'gone'], presence: false, commands: false }),
        ...{ onNews() {}, onMerged() {}, onCommands() {}, onEnd: resolve },
      });
    });
    expect([told, isExpelled]).toEqual([[['a', 'gone'], ['a']], true]);
    server.close();
  });
});
