/** Port: one connection to an MQTT broker, as the bridge needs it. Nothing is queued while it is offline. */

/** What MQTT 5 sends beside the payload; on MQTT 3.1.1 it is left out. */
export interface MessageProperties {
  responseTopic?: string;
  correlationData?: Buffer;
  /** Seconds. */
  messageExpiryInterval?: number;
  contentType?: string;
  userProperties?: Record<string, string | string[]>;
}

/** A message to be published with QoS 1. */
export interface Message {
  topic: string;
  payload: string | Buffer;
  retain?: boolean;
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

export interface BrokerLink {
  /** Name of the broker in configuration, status, cursor and audit. */
  readonly name: string;
  readonly isConnected: boolean;
  /**
   * Resolves once the broker acknowledged. Waits for room in the window. Throws `Unavailable` when there is no
   * connection, when it ends meanwhile, or when the broker does not answer in time: then it may or may not have it.
   */
  publish(message: Message): Promise<void>;
  /**
   * Subscribes with QoS 1 and no-local, now and after every reconnect. The broker gets its acknowledgement when the
   * handler has resolved, so a message is not lost before it is durable; a handler that throws ends the connection
   * without an acknowledgement, and the broker delivers again. Overlapping filters deliver a message to each once.
   */
  subscribe(filter: string, handler: (message: Incoming) => Promise<void>): void;
  /** Called after each connection is made and subscribed, before anybody else may publish: births. */
  onConnect(listener: () => Promise<void>): void;
  status(): LinkStatus;
  /** Says goodbye (no will is sent) and gives up what is in flight. Idempotent, bounded in time. */
  close(): Promise<void>;
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
}
