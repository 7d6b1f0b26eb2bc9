/** The broker of the hub's own, for those who have none: MQTT 3.1.1 over TCP or TLS. The home of aedes. */
import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { Aedes, type AedesOptions, type Client, type PublishPacket } from 'aedes';
import { withSender } from '../sender.ts';
import type { OwnBrokerStatus } from '../status.ts';
import { BoundedStream } from './bounded-stream.ts';
import { type Access, type AccessDeps, type AccessOptions, createAccess, type Guest } from './broker-access.ts';
import { createHandover, type Handed, type Handover } from './broker-handover.ts';
import { BrokerMemory, type KeptMessage } from './broker-memory.ts';
import { type Listener, type ListenerAddress, startListener } from './listener.tcp.ts';
import { createPacer } from './pacer.ts';

/** A sign-in or a publish that was refused. */
export interface BrokerRefusal {
  /** As it was sent, when nobody was signed in. */
  name: string;
  isSignedIn: boolean;
  address: string;
  /** Of a publish. */
  topic?: string;
  reason: string;
}

export interface EmbeddedBrokerDeps extends AccessDeps {
  /** Whether the hub takes messages at this moment; while it does not, those with QoS 1 or 2 are refused. */
  isHubConnected(): boolean;
  onRefused(refusal: BrokerRefusal): void;
  log: { debug(fields: object, message: string): void; error(fields: object, message: string): void };
}

export interface EmbeddedBroker {
  /** A connection of the hub itself, within the process: it needs no token and may publish everywhere. */
  open(): Duplex;
  /** Lets others in; resolves to the port. Throws the error of `listen` (EADDRINUSE …). */
  listen(address: ListenerAddress): Promise<number>;
  status(): OwnBrokerStatus;
  /** Ends every connection. Idempotent, bounded in time. */
  close(): Promise<void>;
}

const SIGN_IN_MS = 10_000;
const LIMITS = {
  // Its emitter has no queue then: who publishes waits for those who subscribed to it.
  concurrency: 0,
  connectTimeout: SIGN_IN_MS,
  /** A reader whose backlog is full holds up who publishes to it so long and no longer: then it is cut off. */
  drainTimeout: 5_000,
  /** QoS 2 messages of a client that are not released yet; of each only the id is kept. */
  maxInflightInbound: 1_000,
};
/** A publisher that does not wait for it, by many small packets, ends a slow reader at once. */
const MOST_BACKLOG_BYTES = 1_048_576;
const STREAM = { packetBytes: 131_072, backlogBytes: 262_144 };
const RETAINED = { retainedMessages: 20_000, retainedBytes: 33_554_432 };
/** Sockets that may be at the door beyond the clients that are in. */
const KNOCKING = 200;
const WATCH_MS = 250;
const CLOSE_MS = 3_000;
/** CONNACK of MQTT 5, `unsupported protocol version`: its clients do not understand that of 3.1.1. */
const UNSUPPORTED_VERSION = Buffer.from([0x20, 0x03, 0x00, 0x84, 0x00]);
/** No operator's name holds a $, so none of their clients takes the place of the hub's. */
const HUB_CLIENT = '$hub:';

/** What is known of a connection, by its stream. */
interface Caller {
  address: string;
  isHub: boolean;
  /** Once signed in. Stays for the will, which is published after the connection has ended. */
  guest?: Guest;
}

interface Door {
  deps: EmbeddedBrokerDeps;
  access: Access;
  memory: BrokerMemory;
  handover: Handover<Client>;
  callerOf(client: Client): Caller;
  /** Who is signed in. */
  guests: Map<Client, Guest>;
  counts: { refusedSignIns: number; refusedPublishes: number };
}

/** Starts the broker; it has no listener yet. */
export async function createEmbeddedBroker(deps: EmbeddedBrokerDeps, options: AccessOptions): Promise<EmbeddedBroker> {
  const callers = new WeakMap<object, Caller>();
  const door: Door = {
    deps,
    access: createAccess(deps, options),
    memory: new BrokerMemory(RETAINED),
    handover: createHandover<Client>((...message) => publish(...message)),
    callerOf: ({ conn }) => callers.get(conn)!,
    guests: new Map(),
    counts: { refusedSignIns: 0, refusedPublishes: 0 },
  };
  const aedes = new Aedes({ ...LIMITS, persistence: door.memory, ...gatesOf(door) });
  // It takes the publisher, too, though the types do not say so.
  const publish = aedes.publish.bind(aedes) as unknown as Publish;
  follow(aedes, door);
  await aedes.listen();
  const watch = setInterval(() => leaveUnwelcome(door), WATCH_MS);
  const listeners: Listener[] = [];
  const pacer = createPacer(() => door.guests.size + 1);

  function admit(socket: Duplex, caller: Caller): Client {
    const stream = new BoundedStream(socket, pacer, STREAM);
    callers.set(stream, caller);
    const client = aedes.handle(stream);
    stream.once('close', () => {
      door.guests.delete(client);
      door.handover.left(client);
    });
    return client;
  }

  async function shut(): Promise<void> {
    clearInterval(watch);
    const stopped = listeners.map((listener) => listener.stop());
    await Promise.race([new Promise<void>((resolve) => aedes.close(() => resolve())), sleep(CLOSE_MS)]);
    for (const listener of listeners) listener.cutOff();
    await Promise.all(stopped);
  }

  let closed: Promise<void> | undefined;
  return {
    open() {
      const [ours, theirs] = duplexPair();
      admit(theirs, { address: 'hub', isHub: true });
      return ours;
    },
    async listen(address) {
      const listener = await startListener(address, options.maxConnections + KNOCKING, (socket, from) =>
        admit(socket, { address: from, isHub: false }),
      );
      listeners.push(listener);
      return listener.port;
    },
    status: () => ({ clients: door.guests.size, retained: door.memory.retained, ...door.counts }),
    close() {
      closed ??= shut();
      return closed;
    },
  };
}

/** aedes's questions, and the answers. */
function gatesOf({ deps, access, memory, handover, callerOf, guests, counts }: Door): AedesOptions {
  return {
    preConnect(client, packet, done) {
      // The types know no other version than those it speaks.
      if ((packet.protocolVersion as number | undefined) === 5) {
        client.conn.write(UNSUPPORTED_VERSION);
        return done(new Error('MQTT 5 is not spoken here'), false);
      }
      // No session outlives its connection: nobody's absence fills the memory.
      packet.clean = true;
      const owner = callerOf(client).isHub ? HUB_CLIENT : `${packet.username ?? ''}:`;
      packet.clientId = owner + (packet.clientId || randomUUID());
      done(null, true);
    },
    authenticate(client, name = '', password, done) {
      const caller = callerOf(client);
      if (caller.isHub) return done(null, true);
      // It may have gone since it said hello, and nobody would tell again.
      if (client.conn.destroyed) return done(null, false);
      const token = password?.toString() ?? '';
      const verdict = access.signIn(name, token, caller.address, guests.size, Date.now());
      if ('code' in verdict) {
        counts.refusedSignIns += 1;
        deps.onRefused({ name, isSignedIn: false, address: caller.address, reason: verdict.reason });
        return done(Object.assign(new Error(verdict.reason), { returnCode: verdict.code }), false);
      }
      caller.guest = verdict;
      guests.set(client, verdict);
      done(null, true);
    },
    authorizePublish(client, packet, done) {
      // Without a client it is the broker's own word.
      if (client === null || callerOf(client).isHub) return done(null);
      const { guest, address } = callerOf(client);
      if (!guest) return done(new Error('nobody is signed in'));
      const { name } = guest;
      const reason = refusalOf(guest, packet);
      if (reason === undefined) return handOver(client, packet, done);
      counts.refusedPublishes += 1;
      deps.onRefused({ name, isSignedIn: true, address, topic: packet.topic, reason });
      done(new Error(reason));
    },
    authorizeSubscribe(client, subscription, done) {
      if (callerOf(client).isHub) return done(null, subscription);
      const count = Object.keys((client as Client & { subscriptions: object }).subscriptions).length;
      const reason = access.refuseSubscribe(subscription.topic, count);
      if (reason) deps.log.debug({ client: client.id, reason }, 'a subscription was refused');
      done(null, reason === undefined ? subscription : null);
    },
    authorizeForward(client, packet) {
      if (!callerOf(client).isHub) {
        if (client.conn.writableLength < MOST_BACKLOG_BYTES) return packet;
        client.conn.destroy();
        return null;
      }
      // Nothing that the hub said comes back to it, neither now nor from what is retained.
      const { clientId, topic } = packet as Sent;
      if (clientId?.startsWith(HUB_CLIENT) || deps.isOwnTopic(topic)) return null;
      const sender = clientId?.slice(0, clientId.indexOf(':'));
      return handover.take(client, sender ? { ...packet, topic: withSender(topic, sender) } : packet);
    },
  };

  function refusalOf(guest: Guest, packet: PublishPacket): string | undefined {
    const reason = access.refusePublish(guest, packet.topic, Date.now());
    if (reason !== undefined || !packet.retain || memory.hasRoomFor(packet as KeptMessage)) return reason;
    return 'the broker retains as much as it may';
  }

  function handOver(client: Client, packet: PublishPacket, done: (error?: Error | null) => void): void {
    const isRepeated = packet.qos === 2 && memory.isOpen(client.id, packet.messageId!);
    if (packet.qos === 0 || isRepeated) done(null);
    else if (!deps.isHubConnected()) done(new Error('the hub is not connected to its broker'));
    else handover.give(client, packet, done);
  }
}

/** What the types leave out: the id of the client that published it. A message that was retained has none. */
type Sent = PublishPacket & { clientId?: string };

type Publish = (packet: Handed, client: Client, done: (error?: Error | null) => void) => void;

function follow(aedes: Aedes, { deps, handover, callerOf }: Door): void {
  aedes.on('ack', (packet, client) => handover.acknowledged(client, packet?.messageId));
  const left = (client: Client, error: Error) =>
    deps.log.debug(
      { client: client.id, address: callerOf(client).address, error: error.message },
      'an MQTT client left',
    );
  aedes.on('clientError', left);
  aedes.on('connectionError', left);
  // The types leave it out; without a listener it would end the process.
  (aedes as EventEmitter).on('error', (error) => deps.log.error({ err: error }, 'the embedded broker failed'));
}

function leaveUnwelcome({ guests, deps }: Door): void {
  const now = Date.now();
  for (const [client, guest] of guests) if (!deps.isWelcome(guest, now)) client.conn.destroy();
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
