/** A connection to an MQTT broker over the package `mqtt`, whose only home this is; it reconnects and queues nothing itself. */
import { createSecureContext } from 'node:tls';
import { connect, type IClientOptions, type IConnackPacket, type IPublishPacket, MqttClient } from 'mqtt';
import { Unavailable, UserError } from '../../kit/errors.ts';
import { takeSender } from '../sender.ts';
import type { Connection, ConnectionEvents, DialOptions, Ending } from './connection.ts';
import { INBOX_MESSAGES, Link } from './link.ts';
import { type LinkOptions, type Message, type NewLink, RefusedByBroker } from './link-port.ts';
import { type EndingError, endingOf, isRefusedMessage, REASONS, type Stage, silenceOf } from './mqtt-reasons.ts';
import type { LinkLog } from './outage-notice.ts';

const KEEPALIVE_SECONDS = 30;
/** How long the broker keeps subscriptions and messages while the hub is away. */
const SESSION_SECONDS = 86_400;
/** A message that is larger does not come; with MQTT 3.1.1 the broker's own limit counts. */
const MAX_INCOMING_BYTES = 262_144;
const CONNECT_MS = 15_000;
const GOODBYE_MS = 2_000;
/** The rest of the road acknowledges; the package must go on reading meanwhile. */
const LATER = new Error('acknowledged later');

/** A link that is not open yet. Throws `UserError` for certificates that cannot be used. */
export function createLink(options: LinkOptions, log: LinkLog): NewLink {
  checkCertificates(options);
  return new Link(options, log, (dialOptions, events) => new MqttConnection(dialOptions, events));
}

function checkCertificates({ name, ca, cert, key }: LinkOptions): void {
  try {
    createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  } catch (error) {
    throw new UserError(
      `The certificates of the MQTT broker ${name} (caFile, certFile, keyFile) cannot be used: ${(error as Error).message}`,
    );
  }
}

class MqttConnection implements Connection {
  readonly #options: DialOptions;
  readonly #events: ConnectionEvents;
  readonly #client: MqttClient | undefined;
  #ending: Ending | undefined;
  /** The broker could be reached, and has not answered yet. */
  #isWaiting = false;
  #isSecure = false;
  #isWelcomed = false;
  #isOver = false;

  constructor(options: DialOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    try {
      this.#client = this.#start();
    } catch (error) {
      setImmediate(() => this.#end({ kind: 'refused', message: (error as Error).message }));
    }
  }

  publish({ topic, payload, retain = false, qos, properties }: Message, done: (error?: Error) => void): void {
    this.#client!.publish(topic, payload, { qos: qos ?? 1, retain, ...(properties && { properties }) }, (error) => {
      done(error ? this.#failureOf(error) : undefined);
    });
  }

  async subscribe(filter: string, id: number): Promise<void> {
    const isModern = this.#options.version === 5;
    await this.#client!.subscribeAsync(filter, {
      qos: 1,
      ...(isModern && { nl: true, rap: true, properties: { subscriptionIdentifier: id } }),
    });
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    await this.#client!.unsubscribeAsync([...filters]).catch((error) => {
      throw this.#failureOf(error);
    });
  }

  /** PUBACK is the same four bytes in both versions of MQTT; the package would send it only before it reads on. */
  acknowledge(messageId: number): void {
    if (this.#isOver) return;
    this.#client!.stream.write(Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
  }

  async close(): Promise<void> {
    const client = this.#client;
    if (!client || this.#isOver) return;
    const over = new Promise<void>((resolve) => client.once('close', () => resolve()));
    const timer = setTimeout(() => client.stream.destroy(), GOODBYE_MS);
    if (client.connected) {
      // The package says goodbye only when nothing is in flight.
      for (const messageId of Object.keys(client.outgoing)) client.removeOutgoingMessage(Number(messageId));
      client.end(false);
    } else client.end(true);
    await over;
    clearTimeout(timer);
  }

  cut(ending: Ending): void {
    this.#ending ??= ending;
    this.#client?.end(true);
  }

  #start(): MqttClient {
    const { url, dial } = this.#options;
    const settings = settingsOf(this.#options);
    const client = dial ? new MqttClient(() => dial() as MqttClient['stream'], settings) : connect(url, settings);
    client.stream.once('connect', () => (this.#isWaiting = true));
    client.stream.once('secureConnect', () => (this.#isSecure = true));
    client.handleMessage = (packet, callback) => this.#take(packet, callback);
    client.on('connect', (connack) => this.#welcome(connack));
    client.on('error', (error) => (this.#ending ??= endingOf(error as EndingError, this.#stage())));
    client.on('disconnect', ({ reasonCode = 0 }) => {
      const message = `the broker said: ${REASONS[reasonCode] ?? reasonCode}`;
      this.#ending ??= endingOf({ code: reasonCode, message }, this.#stage());
    });
    client.on('close', () => this.#end(this.#ending ?? this.#silence()));
    return client;
  }

  #silence(): Ending {
    return { kind: this.#isWaiting ? 'mute' : 'lost', message: silenceOf(this.#stage()) };
  }

  #stage(): Stage {
    return { url: this.#options.url, isSecure: this.#isSecure, isWelcomed: this.#isWelcomed };
  }

  #welcome({ sessionPresent, properties }: IConnackPacket): void {
    this.#isWaiting = false;
    this.#isWelcomed = true;
    const { receiveMaximum, maximumPacketSize } = properties ?? {};
    this.#events.onWelcome({
      sessionPresent,
      ...(receiveMaximum !== undefined && { receiveMaximum }),
      ...(maximumPacketSize !== undefined && { maximumPacketBytes: maximumPacketSize }),
    });
  }

  #take(
    { topic, payload, retain, dup, qos, messageId, properties }: IPublishPacket,
    callback: (error?: Error) => void,
  ) {
    const { subscriptionIdentifier = [], responseTopic, correlationData, ...rest } = properties ?? {};
    const { messageExpiryInterval, contentType, userProperties } = rest;
    const message = {
      ...{ topic, retain, dup, payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload) },
      properties: {
        ...(responseTopic !== undefined && { responseTopic }),
        ...(correlationData !== undefined && { correlationData }),
        ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
        ...(contentType !== undefined && { contentType }),
        ...(userProperties !== undefined && { userProperties: { ...userProperties } }),
      },
    };
    const subscriptions = [subscriptionIdentifier].flat();
    const isAcknowledged = qos > 0 && messageId !== undefined;
    const told = this.#options.dial ? takeSender(message) : message;
    this.#events.onMessage({ message: told, subscriptions, ...(isAcknowledged && { messageId }) }, () => {
      callback(isAcknowledged ? LATER : undefined);
    });
  }

  #end(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.onEnd(ending);
  }

  #failureOf(error: Error & { code?: unknown }): Error {
    const message = `MQTT broker ${this.#options.name}: ${error.message}`;
    if (isRefusedMessage(error.code)) return new RefusedByBroker(message);
    return new Unavailable(message, { cause: error, stalled: error.code === 135 });
  }
}

function settingsOf({ clientId, username, password, ca, cert, key, version, timeoutMs, will, clean }: DialOptions) {
  const settings: IClientOptions = {
    ...{ clientId, clean, keepalive: KEEPALIVE_SECONDS, protocolVersion: version },
    ...{ reconnectPeriod: 0, resubscribe: false, queueQoSZero: false },
    connectTimeout: Math.min(timeoutMs, CONNECT_MS),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(will && { will: { topic: will.topic, payload: will.payload, qos: 1, retain: will.retain ?? false } }),
  };
  if (version === 5) {
    settings.properties = {
      receiveMaximum: INBOX_MESSAGES,
      maximumPacketSize: MAX_INCOMING_BYTES,
      sessionExpiryInterval: clean ? 0 : SESSION_SECONDS,
    };
  }
  return settings;
}
