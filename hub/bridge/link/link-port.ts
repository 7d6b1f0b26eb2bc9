/** Port: one connection to an MQTT broker, as the bridge needs it. Nothing is queued while it is offline. */
import type { Duplex } from 'node:stream';

/** What MQTT 5 sends beside the payload; on MQTT 3.1.1 it is left out. */
export interface MessageProperties {
  responseTopic?: string;
  correlationData?: Buffer;
  /** Seconds. */
  messageExpiryInterval?: number;
  contentType?: string;
  userProperties?: Record<string, string | string[]>;
}

/** A message to be published with QoS 1, or with 0 where a specification wants that: then its bytes were only sent. */
export interface Message {
  topic: string;
  payload: string | Buffer;
  retain?: boolean;
  qos?: 0 | 1;
  properties?: MessageProperties;
}

/** A message that came from the broker. */
export interface Incoming {
  topic: string;
  payload: Buffer;
  retain: boolean;
  /** It may have been delivered before. */
  dup: boolean;
  properties: MessageProperties;
}

/** The broker will never take this message; sending it again would change nothing. */
export class RefusedByBroker extends Error {
  override readonly name = 'RefusedByBroker';
}

/** `refused`: the broker or its certificate says no, and somebody must act; tried again slowly. */
export type LinkState = 'connecting' | 'connected' | 'refused' | 'closed';

export interface LinkStatus {
  name: string;
  /** Without credentials. */
  url: string;
  state: LinkState;
  /** Unix milliseconds at which the state began. */
  since: number;
  /** MQTT version in use: 5, or 4 for 3.1.1. */
  version: 5 | 4;
  /** Messages that wait for the broker's acknowledgement, and how many may. */
  inFlight: number;
  window: number;
  published: number;
  received: number;
  /** Why the last connection ended or was refused, in words for a person. */
  lastError?: string;
}

/** Until a sink looks again whether the link, which waits for the broker itself, is connected: looking costs nothing. */
export const LOOK_AGAIN_MS = 250;

export interface BrokerLink {
  /** Name of the broker in configuration, status, cursor and audit. */
  readonly name: string;
  /** True once births are out. */
  readonly isConnected: boolean;
  /**
   * Resolves once the broker acknowledged. Waits for room in the window. Throws `Unavailable` when there is no
   * connection, when it ends meanwhile, or when the broker does not answer in time: then it may or may not have it.
   * Throws `RefusedByBroker` for a topic or a size it will never take. Possible from the moment the connection is
   * subscribed, for births; everybody else looks at `isConnected` first.
   */
  publish(message: Message): Promise<void>;
  /**
   * Subscribes with QoS 1 and no-local, now and after every reconnect. The broker gets its acknowledgement when the
   * handler has resolved, so a message is not lost before it is durable; a handler that throws ends the connection
   * without an acknowledgement, and the broker delivers again. Overlapping filters deliver a message to each once
   * (with MQTT 3.1.1: as often as the broker sends it). The broker remembers the subscriptions for a day while the hub
   * is away. A handler must not wait for a `publish`: while many messages are in hand, its answer is not read.
   */
  subscribe(filter: string, handler: (message: Incoming) => Promise<void>): void;
  /**
   * Called after each connection is made and subscribed, one listener after the other, before anybody else publishes:
   * births. A listener that throws `Unavailable` ends the connection.
   */
  onConnect(listener: () => Promise<void>): void;
  status(): LinkStatus;
  /** Says goodbye (no will is sent) and gives up what is in flight. Idempotent, bounded in time. */
  close(): Promise<void>;
}

/** A link that was not opened yet: first everybody subscribes, so that nothing comes before its handler. */
export interface NewLink extends BrokerLink {
  /** Begins to connect, and goes on until `close`. Idempotent. */
  open(): void;
}

export interface LinkOptions {
  name: string;
  url: string;
  clientId: string;
  username?: string;
  password?: string;
  /** PEM texts. */
  ca?: string;
  cert?: string;
  key?: string;
  version: 5 | 4;
  windowMessages: number;
  timeoutMs: number;
  /** Asked before each attempt to connect. Retained as the message says, QoS 1. */
  will?(): Message;
  /** The broker keeps nothing for it while it is away. */
  isClean?: boolean;
  /** A way to the hub's own broker instead of `url`; that one tells who published. */
  dial?(): Duplex;
  /** The filters that this client id was subscribed to, also by a hub before this one: those not wanted any more are ended. */
  remembered?: { filters(): readonly string[]; keep(filters: readonly string[]): Promise<void> };
}
