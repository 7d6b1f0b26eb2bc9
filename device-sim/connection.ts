/** Port: what a device needs of a WebSocket. */

/** Why a connection ended or never came about. */
export interface Closed {
  /** WebSocket close code; 1006 when there was none. */
  code: number;
  reason: string;
  /** The HTTP status with which the hub refused the upgrade. */
  status?: number;
  /** When the hub asked us to come back, if it said so. */
  retryAfterMs?: number;
}

export interface ConnectionEvents {
  opened(): void;
  received(text: string): void;
  /** The hub's ping: a sign of life. */
  pinged(): void;
  /** Once, also when the connection never opened. */
  closed(why: Closed): void;
}

export interface Connection {
  /** Hands a text frame over; drops it when the connection is not open. */
  send(text: string): void;
  /** Resolves when the socket is gone, within seconds. Idempotent. */
  close(): Promise<void>;
}

/** Opens a WebSocket with this token. Never throws, and calls back only after it has returned. */
export type Connect = (token: string, events: ConnectionEvents) => Connection;
