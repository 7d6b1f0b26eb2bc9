/** The connection over the package `mqtt` against brokers that are not ours: Mosquitto, and aedes for MQTT 3.1.1 alone. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { Aedes } from 'aedes';
import { afterEach, describe, expect, it } from 'vitest';
import { createLink } from '../../hub/bridge/link/bridge.mqtt.ts';
import type { Incoming, LinkOptions, NewLink } from '../../hub/bridge/link/link-port.ts';
import { quiet } from '../helpers/log.ts';
import { type Mosquitto, startMosquitto } from '../helpers/mosquitto.ts';
import { makeAuthority } from '../helpers/pki.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startBroker(config?: string): Promise<Mosquitto> {
  const mosquitto = await startMosquitto(config === undefined ? {} : { config });
  cleanups.push(() => mosquitto.remove());
  return mosquitto;
}

function link(url: string, options: Partial<LinkOptions> = {}): NewLink {
  const made = createLink(
    { name: 'b', url, clientId: 'hub-test', version: 5, windowMessages: 50, timeoutMs: 2_000, ...options },
    quiet,
  );
  cleanups.push(() => made.close());
  return made;
}

/** Opens it and waits until it is connected. */
async function open(made: NewLink): Promise<void> {
  made.open();
  await expect.poll(() => made.status().state).toBe('connected');
}

async function startServer(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a link to Mosquitto', () => {
  it('acknowledges a message when its handler is done, and gets it again when it failed', async () => {
    const broker = await startBroker();
    const heard: Incoming[] = [];
    const made = link(broker.url);
    made.subscribe('in/+', async (message) => {
      heard.push(message);
      if (heard.length < 3) throw new Error('not yet');
    });
    await open(made);
    await broker.publish('in/a', 'hello');
    await expect.poll(() => heard.length).toBe(3);
    expect(heard.map(({ payload }) => String(payload))).toEqual(['hello', 'hello', 'hello']);
    expect(heard.at(-1)!.dup).toBe(true);
    await broker.publish('in/b', 'next');
    await expect.poll(() => heard.at(-1)!.topic).toBe('in/b');
    expect(heard).toHaveLength(4);
  });

  it('gets what was published while it was away, once', async () => {
    const broker = await startBroker();
    const first = link(broker.url);
    first.subscribe('in/#', async () => {});
    await open(first);
    await first.close();
    await broker.publish('in/a', 'meanwhile');
    const heard: string[] = [];
    const second = link(broker.url);
    second.subscribe('in/#', async ({ payload }) => void heard.push(String(payload)));
    await open(second);
    await expect.poll(() => heard).toEqual(['meanwhile']);
  });

  it('never hears itself, and each of two overlapping subscriptions hears a message once', async () => {
    const broker = await startBroker();
    const heard: string[] = [];
    const made = link(broker.url);
    made.subscribe('in/+', async ({ payload }) => void heard.push(`+ ${payload}`));
    made.subscribe('in/#', async ({ payload }) => void heard.push(`# ${payload}`));
    await open(made);
    await made.publish({ topic: 'in/a', payload: 'own' });
    await broker.publish('in/a', 'other');
    await expect.poll(() => heard.sort()).toEqual(['# other', '+ other']);
  });

  it('carries the properties of MQTT 5 both ways', async () => {
    const broker = await startBroker();
    const heard: Incoming[] = [];
    const made = link(broker.url);
    const other = link(broker.url, { clientId: 'other' });
    made.subscribe('in', async (message) => void heard.push(message));
    await open(made);
    await open(other);
    const properties = {
      ...{ responseTopic: 'back', correlationData: Buffer.from([1, 2]), messageExpiryInterval: 60 },
      ...{ contentType: 'application/json', userProperties: { hub: ['a', 'b'], x: 'y' } },
    };
    await other.publish({ topic: 'in', payload: Buffer.from([0, 255]), properties });
    await expect.poll(() => heard.length).toBe(1);
    expect(heard[0]!.payload).toEqual(Buffer.from([0, 255]));
    expect(heard[0]!.properties).toMatchObject({ ...properties, messageExpiryInterval: expect.any(Number) });
  });

  it('refuses a message that is larger than the broker takes, and goes on', async () => {
    const broker = await startBroker('allow_anonymous true\nmax_packet_size 2000');
    const made = link(broker.url);
    await open(made);
    await expect(made.publish({ topic: 'a', payload: 'x'.repeat(3_000) })).rejects.toThrow('the broker takes 2000');
    await made.publish({ topic: 'a', payload: 'x' });
    expect(made.status()).toMatchObject({ state: 'connected', published: 1 });
  });

  it('is told, and stalls, when an access list forbids to publish', async () => {
    const broker = await startMosquitto({
      config: 'allow_anonymous true\nacl_file {dir}/acl',
      files: { acl: 'topic readwrite open/#\n' },
    });
    cleanups.push(() => broker.remove());
    const made = link(broker.url);
    await open(made);
    await made.publish({ topic: 'open/a', payload: '' });
    await expect(made.publish({ topic: 'shut/a', payload: '' })).rejects.toMatchObject({ stalled: true });
  });

  it('says goodbye within its time, also with messages in flight to a broker that stands still', async () => {
    const broker = await startBroker();
    const made = link(broker.url, { timeoutMs: 60_000 });
    await open(made);
    broker.pause();
    const sends = Array.from({ length: 100 }, () => made.publish({ topic: 'a', payload: '' }).catch(() => 'given up'));
    await made.close();
    expect(new Set(await Promise.all(sends))).toEqual(new Set(['given up']));
    broker.resume();
  });

  it('answers every call while the broker is killed again and again', async () => {
    const broker = await startBroker();
    const made = link(broker.url);
    await open(made);
    let isOver = false;
    let acknowledged = 0;
    const publishing = (async () => {
      while (!isOver) {
        await made.publish({ topic: 'a', payload: 'x' }).then(
          () => acknowledged++,
          () => new Promise((resolve) => setTimeout(resolve, 20)),
        );
      }
    })();
    for (let at = 0; at < 3; at++) {
      const before = acknowledged;
      await expect.poll(() => acknowledged).toBeGreaterThan(before + 50);
      await broker.kill();
      await broker.start();
    }
    await expect.poll(() => made.status().state).toBe('connected');
    isOver = true;
    await publishing;
    expect(made.status().published).toBe(acknowledged);
  });
});

describe('a link to a broker that', () => {
  it('speaks MQTT 3.1.1 alone falls back to it', async () => {
    const broker = await Aedes.createBroker();
    cleanups.push(() => new Promise<void>((resolve) => broker.close(resolve)));
    const made = link(await startServer(createServer((socket) => broker.handle(socket))));
    const heard: string[] = [];
    made.subscribe('in', async ({ payload }) => void heard.push(String(payload)));
    await open(made);
    expect(made.status().version).toBe(4);
    await made.publish({ topic: 'a', payload: 'x', properties: { userProperties: { hub: 'a' } } });
    broker.publish({ cmd: 'publish', topic: 'in', payload: 'hello', qos: 1, retain: false, dup: false }, () => {});
    await expect.poll(() => heard).toEqual(['hello']);
  });

  it('is none does no harm', async () => {
    const url = await startServer(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const made = link(url);
    made.open();
    await expect.poll(() => made.status().lastError).toBeDefined();
    expect(made.status().state).toBe('connecting');
  });

  it('never answers is given up', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => {})));
    const url = await startServer(server);
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
    });
    const made = link(url, { timeoutMs: 500 });
    made.open();
    await expect.poll(() => made.status().lastError).toContain('connack timeout');
  });

  it('is not there is told in words', async () => {
    const server = createServer();
    const url = await startServer(server);
    server.close();
    const made = link(url);
    made.open();
    await expect.poll(() => made.status().lastError).toBe(`${url}: nothing listens there (ECONNREFUSED)`);
  });
});

describe('a url that means something else', () => {
  const toldOf = async (url: string, version: 4 | 5) => {
    const made = link(url, { version });
    made.open();
    await expect.poll(() => made.status().lastError).toBeDefined();
    return made.status().lastError;
  };

  describe.each([5, 4] as const)('by MQTT of version %i', (version) => {
    it('a web server', async () => {
      const url = await startServer(createHttpServer((_, response) => response.end('hello')));
      expect(await toldOf(url, version)).toContain('what answers there does not speak MQTT (');
      const secure = await toldOf(url.replace('mqtt:', 'mqtts:'), version);
      expect(secure).toMatch(/what answers there does not speak TLS; without it the url begins with mqtt:\/\/$/);
      expect(await toldOf(url.replace('mqtt:', 'ws:'), version)).toContain('is it the address of MQTT over WebSocket?');
    });

    it('TLS where there is none, and none where there is TLS', async () => {
      const plain = await startBroker();
      const authority = makeAuthority('authority');
      cleanups.push(() => authority.dispose());
      const { certFile, keyFile } = authority.issue('broker');
      const broker = await startBroker(`certfile ${certFile}\nkeyfile ${keyFile}\nallow_anonymous true`);
      expect(await toldOf(broker.url, version)).toMatch(/; if it expects TLS, the url begins with mqtts:\/\/$/);
      const secure = await toldOf(plain.url.replace('mqtt:', 'mqtts:'), version);
      expect(secure).toMatch(/; if it speaks no TLS, the url begins with mqtt:\/\/$/);
    });
  });
});

describe('certificates that cannot be used', () => {
  it('are a mistake at the start', () => {
    expect(() => link('mqtts://b', { ca: 'junk', cert: 'junk', key: 'junk' })).toThrow('cannot be used');
  });
});
