/** The pure parts of the embedded broker: who may what, what is kept, who is told when, and how long a packet may be. */
import { once } from 'node:events';
import { Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BoundedStream, createPacketFollower } from '../../hub/bridge/broker/bounded-stream.ts';
import { createAccess, type Guest, topicsOf } from '../../hub/bridge/broker/broker-access.ts';
import { createHandover, type Handed } from '../../hub/bridge/broker/broker-handover.ts';
import { BrokerMemory } from '../../hub/bridge/broker/broker-memory.ts';
import { createPacer } from '../../hub/bridge/broker/pacer.ts';

const operator: Guest = { name: 'otto', keyId: 'k', mayPublish: true };
const viewer: Guest = { name: 'vera', keyId: 'v', mayPublish: false };

function accessOf({ isWelcome = true, maxConnections = 10 } = {}) {
  return createAccess(
    {
      authenticate: (name, token) => (token === 'right' ? { ...operator, name } : undefined),
      isWelcome: () => isWelcome,
      isOwnTopic: topicsOf(
        ['{prefix}/{device}/telemetry/{stream}', '{prefix}/{device}/status', '{prefix}/$state'],
        'hub',
      ),
    },
    { maxConnections, failedAttemptsPerMinute: 2 },
  );
}

describe('access to the embedded broker', () => {
  it('is by a token that fits the name', () => {
    expect(accessOf().signIn('otto', 'right', '::1', 0, 0)).toEqual(operator);
    expect(accessOf().signIn('otto', 'wrong', '::1', 0, 0)).toMatchObject({ code: 4 });
  });

  it('lets whoever guesses wait, and a good token behind the same address in', () => {
    const access = accessOf();
    const codes = [1, 2, 3].map(() => (access.signIn('otto', 'wrong', '::1', 0, 0) as { code: number }).code);
    expect(codes).toEqual([4, 4, 3]);
    expect(access.signIn('otto', 'right', '::1', 0, 0)).toEqual(operator);
  });

  it('ends at the number of connections', () => {
    expect(accessOf({ maxConnections: 3 }).signIn('otto', 'right', '::1', 3, 0)).toMatchObject({ code: 3 });
  });

  it.each(['hub/a/command/identify', 'zigbee2mqtt/lamp', 'tele/plug/SENSOR', 'hub/a/b/status', 'hub/state'])(
    'lets an operator publish to %s',
    (topic) => expect(accessOf().refusePublish(operator, topic, 0)).toBeUndefined(),
  );

  it.each([
    ['hub/a/telemetry/power', /only the hub/],
    ['hub/a/status', /only the hub/],
    ['hub/$state', /only the hub/],
    ['$SYS/x', /broker itself/],
    ['a/+/b', /wildcards/],
    ['a/#', /wildcards/],
    ['a\u0000b', /control/],
    ['a\nb', /control/],
    ['raw/a\u0085b', /control/],
    ['a\uffff', /control/],
    ['a\ufdd0', /control/],
    ['a\u{1fffe}', /control/],
    ['a\ud800', /Unicode/],
    ['a\ufffd', /UTF-8/],
    ['x'.repeat(1025), /longer than 1024/],
    ['ü'.repeat(600), /longer than 1024/],
  ])('lets nobody publish to %j', (topic, reason) => {
    expect(accessOf().refusePublish(operator, topic, 0)).toMatch(reason);
  });

  it('lets a viewer publish nothing, and an operator nothing more once the token is revoked', () => {
    expect(accessOf().refusePublish(viewer, 'a', 0)).toMatch(/viewer/);
    expect(accessOf({ isWelcome: false }).refusePublish(operator, 'a', 0)).toMatch(/revoked/);
  });

  it('gives everybody every topic but those of the broker, a hundred filters at most', () => {
    const access = accessOf();
    expect(access.refuseSubscribe('#', 0)).toBeUndefined();
    expect(access.refuseSubscribe('$SYS/#', 0)).toMatch(/broker itself/);
    expect(access.refuseSubscribe('a\u0085/#', 0)).toMatch(/control/);
    expect(access.refuseSubscribe('a\ufffd/#', 0)).toMatch(/UTF-8/);
    expect(access.refuseSubscribe('a', 99)).toBeUndefined();
    expect(access.refuseSubscribe('a', 100)).toMatch(/enough/);
  });

  it('takes a template by the letter, whatever it means to a regular expression', () => {
    const isOwn = topicsOf(['{prefix}/(a.b)|c-{device}[0]/^$'], 'h*b');
    expect(isOwn('h*b/(a.b)|c-x[0]/^$')).toBe(true);
    expect(isOwn('h*b/(aXb)|c-x[0]/^$')).toBe(false);
    expect(isOwn('h*b/(a.b)|c-x/y[0]/^$')).toBe(false);
  });
});

function message(topic: string, payload: string | Buffer, messageId?: number) {
  return { topic, payload: Buffer.from(payload), ...(messageId !== undefined && { messageId }) };
}

describe('the memory of the embedded broker', () => {
  const retainedIn = async (memory: BrokerMemory, ...filters: string[]) =>
    (await memory.createRetainedStreamCombi(filters).toArray()).map(({ topic }) => topic);

  it('gives each retained message once to whoever subscribes, until it is emptied', async () => {
    const memory = new BrokerMemory({ retainedMessages: 10, retainedBytes: 100 });
    for (const topic of ['a/1', 'a/2', 'b/1', '$x']) await memory.storeRetained(message(topic, 'x'));
    expect(await retainedIn(memory, 'a/#', 'a/+')).toEqual(['a/1', 'a/2']);
    expect(await retainedIn(memory, '#')).toEqual(['a/1', 'a/2', 'b/1']);
    await memory.storeRetained(message('a/1', ''));
    expect(await retainedIn(memory, 'a/+')).toEqual(['a/2']);
  });

  it('has room for so many messages and bytes, and always for another word on a known topic', async () => {
    const memory = new BrokerMemory({ retainedMessages: 2, retainedBytes: 20 });
    expect(memory.hasRoomFor(message('a', 'x'.repeat(20)))).toBe(false);
    await memory.storeRetained(message('a', '123456789'));
    expect(memory.hasRoomFor(message('b', '1234567890'))).toBe(false);
    await memory.storeRetained(message('b', '123456789'));
    expect(memory.hasRoomFor(message('c', ''))).toBe(true);
    expect(memory.hasRoomFor(message('b', '987654321'))).toBe(true);
    await memory.storeRetained(message('a', ''));
    expect(memory.hasRoomFor(message('c', '123456789'))).toBe(true);
  });

  it('settles at once what decides on the order of messages', () => {
    const memory = new BrokerMemory({ retainedMessages: 2, retainedBytes: 20 });
    const seen: string[] = [];
    memory.storeRetained(message('a', 'x')).then(() => seen.push('retained'));
    memory.subscriptionsByTopic().then(() => seen.push('looked up'));
    memory.outgoingEnqueueCombi().then(() => seen.push('queued'));
    expect(seen).toEqual(['retained', 'looked up', 'queued']);
  });

  it('knows the handshakes of a connection, and forgets them with it', async () => {
    const memory = new BrokerMemory({ retainedMessages: 2, retainedBytes: 20 });
    const client = { id: 'c' };
    await memory.incomingStorePacket(client, message('a', 'x', 7));
    expect(memory.isOpen('c', 7)).toBe(true);
    await memory.incomingDelPacket(client, message('a', 'x', 7));
    await expect(memory.incomingGetPacket(client, message('a', 'x', 7))).rejects.toThrow('no such packet');
    await memory.incomingStorePacket(client, message('a', 'x', 8));
    await memory.cleanIncoming(client);
    expect(memory.isOpen('c', 8)).toBe(false);
  });
});

describe('the handover of a message to the hub', () => {
  const hubs = [{ id: 'one' }, { id: 'two' }];
  const publisher = { id: 'otto' };

  /** A broker that delivers to so many connections of the hub, and says so when `delivered` is called. */
  function broker(takers: number) {
    const taken: Handed[] = [];
    let delivered: (error?: Error) => void = () => {};
    const handover = createHandover<object>((packet, _client, done) => {
      for (const hub of hubs.slice(0, takers)) taken.push(handover.take(hub, packet));
      delivered = done;
    });
    const done = vi.fn();
    const packet: Handed = { topic: 'a', payload: Buffer.from('x'), qos: 2, retain: true, messageId: 9 };
    handover.give(publisher, packet, done);
    return { handover, taken, packet, done, delivered: (error?: Error) => delivered(error) };
  }

  it('ends when each connection that took it has acknowledged it', () => {
    const { handover, taken, done, delivered } = broker(2);
    delivered();
    handover.acknowledged(hubs[0]!, taken[0]!.messageId);
    handover.acknowledged(hubs[0]!, taken[0]!.messageId);
    expect(done).not.toHaveBeenCalled();
    handover.acknowledged(hubs[1]!, taken[1]!.messageId);
    expect(done).toHaveBeenCalledExactlyOnceWith(null);
  });

  it('ends at once when no connection took it', () => {
    const { done, delivered } = broker(0);
    expect(done).not.toHaveBeenCalled();
    delivered();
    expect(done).toHaveBeenCalledExactlyOnceWith(null);
  });

  it('ends with an error when a connection goes without a word', () => {
    const { handover, done, delivered } = broker(1);
    delivered();
    handover.left(hubs[0]!);
    expect(done).toHaveBeenCalledExactlyOnceWith(new Error('the hub did not take the message'));
  });

  it('gives the hub QoS 1 at most, under an id of its own, and leaves nothing to be published again', () => {
    const { taken, packet, delivered, handover } = broker(1);
    expect(taken[0]).toMatchObject({ topic: 'a', qos: 1, retain: true, messageId: 1 });
    delivered();
    handover.acknowledged(hubs[0]!, 1);
    expect(packet).toEqual({ topic: '$SYS/taken', payload: Buffer.alloc(0), qos: 2, retain: false, messageId: 9 });
  });

  it('leaves a message of QoS 0 as it is, and gives an id again only when it is free', () => {
    const { handover, taken } = broker(1);
    const plain: Handed = { topic: 'b', payload: Buffer.from(''), qos: 0, retain: false };
    expect(handover.take(hubs[0]!, plain)).toBe(plain);
    const next = () => handover.take(hubs[0]!, { ...plain, qos: 1 }).messageId;
    for (let id = 2; id <= 65_535; id++) expect(next()).toBe(id);
    expect([taken[0]!.messageId, next()]).toEqual([1, 2]);
  });
});

/** A packet with a body of so many bytes. */
function packetOf(length: number): Buffer {
  const size = [];
  for (let rest = length; ; rest >>= 7) {
    size.push((rest & 127) | (rest > 127 ? 128 : 0));
    if (rest <= 127) break;
  }
  return Buffer.concat([Buffer.from([0x30, ...size]), Buffer.alloc(length, 0xff)]);
}

describe('following packets', () => {
  const lengths = [0, 1, 127, 128, 16_383, 16_384, 20_000];

  it.each([1, 2, 3, 7, 100_000])('counts them when they come in pieces of %i bytes', (size) => {
    const follow = createPacketFollower(20_000);
    const bytes = Buffer.concat(lengths.map(packetOf));
    let ended = 0;
    for (let at = 0; at < bytes.length; at += size) ended += follow(bytes.subarray(at, at + size), 0, 100)!.ended;
    expect(ended).toBe(lengths.length);
  });

  it('stops where as many have ended as were asked for', () => {
    const follow = createPacketFollower(20_000);
    const bytes = Buffer.concat([packetOf(3), packetOf(0), packetOf(5)]);
    expect(follow(bytes, 0, 2)).toEqual({ end: 7, ended: 2 });
    expect(follow(bytes, 7, 2)).toEqual({ end: 14, ended: 1 });
  });

  it('refuses a packet by what it says of its length, before it has come', () => {
    expect(createPacketFollower(20_000)(packetOf(20_001).subarray(0, 4), 0, 1)).toBeUndefined();
    expect(createPacketFollower(20_000)(packetOf(20_000).subarray(0, 4), 0, 1)).toEqual({ end: 4, ended: 0 });
  });

  it('refuses a length that never ends', () => {
    expect(createPacketFollower(20_000)(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80]), 0, 1)).toBeUndefined();
  });
});

describe('the pacer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setImmediate'] }));
  afterEach(() => void vi.useRealTimers());

  /** Connections that always have more to hand on: what each was given in each turn. */
  function run(connections: number, turns: number): number[][] {
    vi.clearAllTimers();
    const pacer = createPacer(() => connections);
    const shares = Array.from({ length: turns }, (): number[] => []);
    let turn = 0;
    const handOf = (connection: number) => (packets: number) => {
      shares[turn]![connection] = packets;
      pacer.ask(handOf(connection));
      return packets;
    };
    for (let connection = 0; connection < connections; connection++) pacer.ask(handOf(connection));
    for (; turn < turns; turn++) vi.runOnlyPendingTimers();
    return shares;
  }

  it.each([
    [1, [512]],
    [4, [125, 125, 125, 125]],
    [10, [20, 20, 20, 20, 20, 20, 20, 20, 20, 20]],
  ])('gives %i connections their shares of a turn', (connections, shares) => {
    expect(run(connections, 3)).toEqual([shares, shares, shares]);
  });

  it('gives what one connection leaves to the next', () => {
    const pacer = createPacer(() => 4);
    const given: number[] = [];
    for (const wanted of [1, 0, 500, 500]) pacer.ask((packets) => given.push(packets) && Math.min(wanted, packets));
    vi.runOnlyPendingTimers();
    expect(given).toEqual([125, 167, 250, 249]);
  });

  it('takes everybody’s turn before anybody has a second one, however many there are', () => {
    const turns = run(2_000, 1_000);
    expect(turns.every((shares) => Object.keys(shares).length === 4)).toBe(true);
    expect(turns.slice(0, 500).flatMap((shares) => Object.keys(shares).map(Number))).toEqual(
      Array.from({ length: 2_000 }, (_, at) => at),
    );
    expect(Object.keys(turns[500]!).map(Number)).toEqual([0, 1, 2, 3]);
  });
});

describe('a bounded stream', () => {
  const bounds = { packetBytes: 100, backlogBytes: 1_000 };

  it('carries both ways and closes with its socket', async () => {
    const [socket, peer] = duplexPair();
    const stream = new BoundedStream(
      socket,
      createPacer(() => 1),
      bounds,
    );
    peer.write(Buffer.from([0xc0, 0]));
    const [bytes] = await once(stream, 'readable').then(() => [stream.read()]);
    expect(bytes).toEqual(Buffer.from([0xc0, 0]));
    stream.write('answer');
    expect(String((await once(peer, 'data'))[0])).toBe('answer');
    const closed = once(stream, 'close');
    socket.destroy();
    await closed;
  });

  it('hands on what came in, whole, to a reader that takes all there is', async () => {
    const [socket, peer] = duplexPair();
    const stream = new BoundedStream(
      socket,
      createPacer(() => 1),
      bounds,
    );
    const sent = Buffer.concat(Array.from({ length: 1_000 }, (_, at) => packetOf(at % 100)));
    peer.end(sent);
    const pieces = await stream.toArray();
    expect(Buffer.concat(pieces)).toEqual(sent);
    expect(pieces.length).toBeGreaterThan(1);
  });

  it('ends with an error when a packet is too long', async () => {
    const [socket, peer] = duplexPair();
    const stream = new BoundedStream(
      socket,
      createPacer(() => 1),
      bounds,
    );
    const failed = once(stream, 'close').catch((error) => error);
    stream.resume();
    peer.write(Buffer.from([0x30, 101]));
    expect(await failed).toEqual(new Error('a packet is longer than 100 bytes'));
  });

  it('says its last words, and ends a socket that does not listen to them', async () => {
    const socket = new Duplex({ read() {}, write() {} });
    const stream = new BoundedStream(
      socket,
      createPacer(() => 1),
      bounds,
    );
    const closed = once(socket, 'close');
    stream.write('last');
    stream.destroy();
    await closed;
    expect(socket.destroyed).toBe(true);
  });
});
