/** The embedded broker over real sockets: order, roles, bounds, hostile clients, and what the hub has to acknowledge first. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type IClientOptions, MqttClient, connectAsync as mqttConnect } from 'mqtt';
import { generate, type Packet } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BrokerRefusal, createEmbeddedBroker, type EmbeddedBroker } from '../../hub/bridge/broker/broker.aedes.ts';

let broker: EmbeddedBroker;
let port: number;
let hub: MqttClient;
let revoked: Set<string>;
let refused: BrokerRefusal[];
let isHubConnected: boolean;
const clients: MqttClient[] = [];
const sockets: Socket[] = [];

beforeEach(async () => {
  revoked = new Set();
  refused = [];
  isHubConnected = true;
  broker = await createEmbeddedBroker(
    {
      authenticate: (name, token) =>
        token === 'right' ? { name, keyId: name, mayPublish: name !== 'vera' } : undefined,
      isWelcome: ({ keyId }) => !revoked.has(keyId),
      isOwnTopic: (topic) => topic.startsWith('own/'),
      isHubConnected: () => isHubConnected,
      onRefused: (refusal) => refused.push(refusal),
      log: { debug() {}, error: (fields) => expect.unreachable(JSON.stringify(fields)) },
    },
    { maxConnections: 8, failedAttemptsPerMinute: 3 },
  );
  port = await broker.listen({ host: '127.0.0.1', port: 0 });
  hub = new MqttClient(() => broker.open() as MqttClient['stream'], {
    protocolVersion: 4,
    clientId: 'telemetry-hub',
    reconnectPeriod: 0,
  });
  await new Promise((resolve) => hub.once('connect', resolve));
});

afterEach(async () => {
  for (const client of [...clients.splice(0), hub]) client.end(true);
  for (const socket of sockets.splice(0)) socket.destroy();
  await broker.close();
});

async function signIn(username: string, options: IClientOptions = {}): Promise<MqttClient> {
  const address = `mqtt://127.0.0.1:${port}`;
  const credentials = { username, password: 'right', reconnectPeriod: 0, protocolVersion: 4 as const };
  const client = await mqttConnect(address, { ...credentials, ...options });
  clients.push(client);
  return client;
}

/** Everything that comes to a client, as topic and payload. */
function heard(client: MqttClient): string[] {
  const messages: string[] = [];
  client.on('message', (topic, payload) => messages.push(`${topic} ${payload}`));
  return messages;
}

/** A socket that speaks packet by packet; `hello` signs in. */
async function raw(hello = true): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (!hello) return socket;
  say(socket, { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'raw', username: 'otto', ...SECRET });
  await once(socket, 'data');
  return socket;
}

const SECRET = { password: Buffer.from('right'), clean: true, keepalive: 60 };

function say(socket: Socket, packet: Packet): void {
  socket.write(generate(packet, { protocolVersion: 4 }));
}

const closed = (client: MqttClient | Socket) =>
  new Promise<void>((resolve) => (client as Socket).once('close', () => resolve()));

describe('messages', () => {
  it('come all and in order, whatever their QoS and whether they are retained', async () => {
    const subscriber = await signIn('vera');
    const messages = heard(subscriber);
    await subscriber.subscribeAsync('#', { qos: 1 });
    const numbers = Array.from({ length: 2_000 }, (_, number) => number);
    await Promise.all(
      numbers.map((number) =>
        hub.publishAsync(`a/${number % 7}`, String(number), { qos: 1, retain: number % 3 === 0 }),
      ),
    );
    await expect.poll(() => messages).toHaveLength(2_000);
    expect(messages).toEqual(numbers.map((number) => `a/${number % 7} ${number}`));
  });

  it('of a client come all to another, QoS 0 among them', async () => {
    const [subscriber, publisher] = [await signIn('vera'), await signIn('otto')];
    const messages = heard(subscriber);
    await subscriber.subscribeAsync('a/#', { qos: 1 });
    const numbers = Array.from({ length: 1_000 }, (_, number) => number);
    const sent = numbers.map((number) =>
      publisher.publishAsync('a/b', String(number), {
        qos: [1, 0, 2][number % 3] as 0 | 1 | 2,
        retain: number % 5 === 0,
      }),
    );
    await Promise.all(sent);
    await expect.poll(() => messages).toHaveLength(1_000);
    expect(new Set(messages)).toEqual(new Set(numbers.map((number) => `a/b ${number}`)));
  });

  it('that are retained come to whoever subscribes later', async () => {
    await hub.publishAsync('own/a', 'online', { qos: 1, retain: true });
    const subscriber = await signIn('vera');
    const messages = heard(subscriber);
    await subscriber.subscribeAsync('own/+', { qos: 1 });
    await expect.poll(() => messages).toEqual(['own/a online']);
  });

  it('of the hub do not come back to it, and none comes on its own topics', async () => {
    const messages = heard(hub);
    await hub.publishAsync('own/a', 'mine', { qos: 1, retain: true });
    await hub.subscribeAsync('#', { qos: 1 });
    await hub.publishAsync('a/hub', 'mine', { qos: 1 });
    await (await signIn('otto')).publishAsync('a/otto', 'yours', { qos: 1 });
    await expect.poll(() => messages).toEqual(['$from/otto/a/otto yours']);
  });

  it('say to the hub who published them, whatever their QoS, wills among them, but not of what was retained before', async () => {
    const messages = heard(hub);
    const otto = await signIn('otto', { will: { topic: 'a/will', payload: Buffer.from('gone'), qos: 1 } });
    await otto.publishAsync('a/kept', 'x', { qos: 1, retain: true });
    await hub.subscribeAsync('a/#', { qos: 1 });
    await expect.poll(() => messages).toEqual(['a/kept x']);
    for (const qos of [0, 1, 2] as const) await otto.publishAsync('a/b', String(qos), { qos });
    otto.stream.destroy();
    await expect.poll(() => messages).toHaveLength(5);
    expect(messages.slice(1)).toEqual([...[0, 1, 2].map((qos) => `$from/otto/a/b ${qos}`), '$from/otto/a/will gone']);
  });
});

describe('a message with QoS 1 or 2', () => {
  it.each([1, 2] as const)('(%i) is acknowledged when the hub has acknowledged it', async (qos) => {
    let release: (() => void) | undefined;
    hub.handleMessage = (_packet, callback) => {
      release = callback;
    };
    await hub.subscribeAsync('command/+', { qos: 1 });
    const publisher = await signIn('otto');
    let isAcknowledged = false;
    const published = publisher.publishAsync('command/a', 'x', { qos }).then(() => {
      isAcknowledged = true;
    });
    await expect.poll(() => release).toBeDefined();
    // What follows on the same connection would have come after an acknowledgement.
    const other = await signIn('anna');
    await other.publishAsync('elsewhere', 'x', { qos: 1 });
    expect(isAcknowledged).toBe(false);
    release!();
    await published;
    expect(isAcknowledged).toBe(true);
  });

  it('is not acknowledged when the connection of the hub ends: its publisher is cut off and will send again', async () => {
    const reached = new Promise<void>((resolve) => {
      hub.handleMessage = () => resolve();
    });
    await hub.subscribeAsync('command/+', { qos: 1 });
    const publisher = await signIn('otto');
    const published = publisher.publishAsync('command/a', 'x', { qos: 1 });
    published.catch(() => {});
    await reached;
    const gone = closed(publisher);
    hub.stream.destroy();
    await gone;
    expect(publisher.getLastMessageId()).toBeGreaterThan(0);
    await expect(Promise.race([published.then(() => 'acknowledged'), gone.then(() => 'cut off')])).resolves.toBe(
      'cut off',
    );
  });

  it('is refused while the hub is not connected', async () => {
    isHubConnected = false;
    const publisher = await signIn('otto');
    const gone = closed(publisher);
    publisher.publish('a', 'x', { qos: 1 });
    await gone;
  });
});

describe('an operator', () => {
  it('is refused with a wrong token, and told to wait after some', async () => {
    const codes: number[] = [];
    for (let attempt = 0; attempt < 4; attempt++) {
      const error = await signIn('otto', { password: 'wrong' }).catch((reason) => reason);
      codes.push(error.code);
    }
    expect(codes).toEqual([4, 4, 4, 3]);
    expect(refused).toHaveLength(4);
    expect(refused[0]).toMatchObject({ name: 'otto', isSignedIn: false, address: '127.0.0.1' });
    await signIn('otto');
  });

  it('is cut off within a second of losing the token, and nothing it says meanwhile counts', async () => {
    const publisher = await signIn('otto');
    const gone = closed(publisher);
    const messages = heard(hub);
    await hub.subscribeAsync('a', { qos: 1 });
    revoked.add('otto');
    publisher.publish('a', 'late');
    await gone;
    expect(messages).toEqual([]);
    expect(broker.status().clients).toBe(0);
  });

  it.each([
    ['otto', 'own/a', 'only the hub publishes there'],
    ['otto', '$SYS/a', 'topics that begin with $ are of the broker itself'],
    ['vera', 'a', 'a viewer may only subscribe'],
  ])('%s who publishes to %s is cut off', async (name, topic, reason) => {
    const publisher = await signIn(name);
    const gone = closed(publisher);
    publisher.publish(topic, 'x', { qos: 1 });
    await gone;
    expect(refused).toEqual([{ name, isSignedIn: true, address: '127.0.0.1', topic, reason }]);
    expect(broker.status()).toMatchObject({ refusedPublishes: 1, clients: 0 });
  });

  it.each([
    ['C1', Buffer.from('raw/a\u0085b'), 'the topic holds a control character'],
    ['bytes of half a character', Buffer.from([0x61, 0xed, 0xa0, 0x80]), 'the topic is not UTF-8'],
  ])(
    'who retains something on a topic with %s, which would lock subscribers out, is cut off',
    async (_, bytes, reason) => {
      const socket = await raw();
      const length = Buffer.from([0, bytes.length]);
      socket.write(Buffer.concat([Buffer.from([0x31, bytes.length + 3]), length, bytes, Buffer.from('x')]));
      await closed(socket);
      expect(refused).toMatchObject([{ name: 'otto', reason }]);
      expect(broker.status().retained).toBe(0);
    },
  );

  it('leaves no will on topics of the hub, and its own elsewhere', async () => {
    const subscriber = await signIn('vera');
    const messages = heard(subscriber);
    await subscriber.subscribeAsync('#', { qos: 1 });
    const [liar, honest] = [
      await signIn('otto', { clientId: 'liar', will: { topic: 'own/a', payload: Buffer.from('offline'), qos: 1 } }),
      await signIn('otto', { clientId: 'honest', will: { topic: 'mine', payload: Buffer.from('gone'), qos: 1 } }),
    ];
    liar.stream.destroy();
    await expect.poll(() => refused).toHaveLength(1);
    honest.stream.destroy();
    await expect.poll(() => messages).toEqual(['mine gone']);
  });

  it('takes over its own client id and nobody else’s, not that of the hub either', async () => {
    const first = await signIn('otto', { clientId: 'telemetry-hub' });
    const other = await signIn('anna', { clientId: 'telemetry-hub' });
    const gone = closed(first);
    await signIn('otto', { clientId: 'telemetry-hub' });
    await gone;
    expect([hub.connected, other.connected]).toEqual([true, true]);
  });

  it('does not find the messages of its absence, for which nothing is kept', async () => {
    const subscriber = await signIn('vera', { clean: false, clientId: 'x' });
    await subscriber.subscribeAsync('a', { qos: 1 });
    await subscriber.endAsync();
    await hub.publishAsync('a', 'x', { qos: 1 });
    const again = await signIn('vera', { clean: false, clientId: 'x' });
    const messages = heard(again);
    await again.subscribeAsync('b', { qos: 1 });
    await hub.publishAsync('b', 'y', { qos: 1 });
    await expect.poll(() => messages).toEqual(['b y']);
  });

  it('has a hundred subscriptions and no more, none of them to the broker’s own topics', async () => {
    const subscriber = await signIn('vera');
    const codes = async (filters: string[]) =>
      Promise.all(
        filters.map((filter) =>
          subscriber.subscribeAsync(filter).then(
            ([granted]) => granted!.qos,
            () => 128,
          ),
        ),
      );
    expect(await codes(['$SYS/#'])).toEqual([128]);
    const many = await codes(Array.from({ length: 101 }, (_, at) => `a/${at}`));
    expect(many.filter((code) => code !== 128)).toHaveLength(100);
  });
});

describe('bounds', () => {
  it('end the room for clients', async () => {
    for (let at = 0; at < 8; at++) await signIn('otto');
    const error = await signIn('otto').catch((reason) => reason);
    expect(error.code).toBe(3);
    expect(broker.status().clients).toBe(8);
  });

  it('end the retained messages of clients', async () => {
    const publisher = await signIn('otto');
    const big = Buffer.alloc(131_000);
    const gone = closed(publisher);
    for (let at = 0; at < 300 && publisher.connected; at++)
      await Promise.race([publisher.publishAsync(`a/${at}`, big, { qos: 1, retain: true }), gone]);
    await gone;
    expect(refused[0]?.reason).toBe('the broker retains as much as it may');
    expect(broker.status().retained).toBeLessThan(260);
  });

  it('end a connection that sends a packet of more than 128 KiB, before it has come', async () => {
    const socket = await raw();
    socket.write(Buffer.from([0x30, 0x81, 0x80, 0x08]));
    await closed(socket);
  });

  it('end a connection that says nothing of MQTT, and one whose first word is no CONNECT', async () => {
    const web = await raw(false);
    web.write('GET / HTTP/1.1\r\n\r\n');
    const early = await raw(false);
    say(early, { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: false, dup: false });
    await Promise.all([closed(web), closed(early)]);
  });

  it('cut off a subscriber that does not read, and let the others have everything', async () => {
    const slow = await raw();
    say(slow, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
    await once(slow, 'data');
    slow.pause();
    const reader = await signIn('vera');
    const messages = heard(reader);
    await reader.subscribeAsync('a', { qos: 1 });
    const payload = Buffer.alloc(60_000, 'x');
    for (let at = 0; at < 200; at++) await hub.publishAsync('a', payload, { qos: 1 });
    await expect.poll(() => messages).toHaveLength(200);
    await expect.poll(() => broker.status().clients).toBe(1);
  });
});

describe('MQTT 5', () => {
  it('is refused in its own words', async () => {
    const error = await signIn('otto', { protocolVersion: 5 }).catch((reason) => reason);
    expect(error.code).toBe(132);
  });
});

describe('hostile clients', () => {
  it('do not bring the hub down, with four thousand mutilated packets', async () => {
    await hub.subscribeAsync('#', { qos: 1 });
    const random = randomOf(42);
    for (let round = 0; round < 400; round++) {
      const socket = await raw(random(20) > 0);
      for (let at = 0; at < 10; at++) socket.write(mutilated(random));
      socket.end();
    }
    const publisher = await signIn('anna');
    await publisher.publishAsync('a', 'x', { qos: 1 });
    expect(hub.connected).toBe(true);
    await expect.poll(() => broker.status().clients).toBe(1);
  });
});

const TOPICS = ['a', '/', 'x/'.repeat(99), '$SYS/x', '+/a', 'a/#', 'own/1', '__proto__', '\u0000', 'a'.repeat(60_000)];

/** Whole numbers below a limit, the same for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}

function mutilated(random: (below: number) => number): Buffer {
  const topic = TOPICS[random(TOPICS.length)]!;
  const messageId = 1 + random(5);
  const qos = random(3) as 0 | 1 | 2;
  const packets: Packet[] = [
    {
      cmd: 'publish',
      topic: topic.replace(/[+#]/g, 'x'),
      payload: 'x',
      qos,
      messageId,
      retain: random(2) === 0,
      dup: false,
    },
    { cmd: 'subscribe', messageId, subscriptions: [{ topic, qos }] },
    { cmd: 'unsubscribe', messageId, unsubscriptions: [topic] },
    { cmd: 'pubrel', messageId },
    { cmd: 'puback', messageId },
    { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: topic, username: 'otto', ...SECRET },
  ];
  const bytes = generate(packets[random(packets.length)]!, { protocolVersion: 4 });
  for (let changes = random(4); changes > 0; changes--) bytes[random(bytes.length)] = random(256);
  return bytes;
}

describe('its end', () => {
  it('ends every connection, also of those who do not answer, and may be asked for twice', async () => {
    const client = await signIn('otto');
    const silent = await raw(false);
    await Promise.all([closed(client), closed(silent), broker.close(), broker.close()]);
  });
});
