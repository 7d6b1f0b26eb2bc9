/** Port: one try to speak with a broker, from the dial to the end; `Link` makes a new one when it is over. */
import type { Incoming, LinkOptions, Message } from './link-port.ts';

/** What the broker allows, said when it accepted the connection. */
export interface Welcome {
  /** It still knows the subscriptions of this client, and has kept messages for them. */
  sessionPresent: boolean;
  /** Messages it takes before it has acknowledged the first. */
  receiveMaximum?: number;
  maximumPacketBytes?: number;
}

/**
 * Why a connection ended. `lost`: time heals it. `refused`: somebody must act. `version`: the broker does not speak this
 * version of MQTT. `mute`: it ended the connection without having said a word.
 */
export interface Ending {
  kind: 'lost' | 'refused' | 'version' | 'mute';
  /** For a person, without credentials. */
  message: string;
}

export interface Arrival {
  message: Incoming;
  /** Absent when nothing is to be acknowledged. */
  messageId?: number;
  /** Ids of the subscriptions that this copy is for; empty when the broker does not tell (MQTT 3.1.1). */
  subscriptions: readonly number[];
}

export interface ConnectionEvents {
  onWelcome(welcome: Welcome): void;
  /** No other message comes until `resume` was called. */
  onMessage(arrival: Arrival, resume: () => void): void;
  /** Once, whatever came before. */
  onEnd(ending: Ending): void;
}

export interface Connection {
  /** QoS 1. Throws nothing; calls back with `Unavailable` or `RefusedByBroker`, or not at all when the connection ends. */
  publish(message: Message, done: (error?: Error) => void): void;
  /** QoS 1, no-local, retained messages as they are. Rejects when the broker says no or the connection ends. */
  subscribe(filter: string, id: number): Promise<void>;
  unsubscribe(filters: readonly string[]): Promise<void>;
  acknowledge(messageId: number): void;
  /** Says goodbye, so that no will is sent; resolves when it is over, within two seconds. */
  close(): Promise<void>;
  /** Cuts the line. */
  cut(ending: Ending): void;
}

/** Options of one try. */
export interface DialOptions extends Omit<LinkOptions, 'will' | 'windowMessages' | 'remembered'> {
  will?: Message;
  /** The broker shall forget what it knew of this client. */
  clean: boolean;
}

/** Throws nothing: what goes wrong is told by `onEnd`. */
export type Dial = (options: DialOptions, events: ConnectionEvents) => Connection;
