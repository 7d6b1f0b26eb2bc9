/** Stays connected: dials, notices a dead hub, and lets the reason of each end decide whether and when to come back. */
import type { Closed, Connect, Connection } from './connection.ts';

/** `waiting`: between two attempts. `refused`: the hub said to stay away; only `start` tries again. */
export type DeviceState = 'stopped' | 'connecting' | 'online' | 'waiting' | 'refused';

export interface LinkEvents {
  opened(): void;
  received(text: string): void;
  /** After every change of `state`; `detail` says why, in words. */
  changed(state: DeviceState, detail: string): void;
}

/** How long connecting and the hub's welcome may take. */
const GREETING_MS = 15_000;
/** Pings that may be missed before the hub is taken for gone. */
const PATIENCE = 3;
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;

export class Link {
  /** Used from the next connection on. */
  token: string;
  readonly #connect: Connect;
  readonly #events: LinkEvents;
  readonly #random: () => number;
  /** The token of the present connection, or of the last one. */
  #shown: string;
  #state: DeviceState = 'stopped';
  #connection: Connection | undefined;
  /** Attempts since a connection was last of use. */
  #attempt = 0;
  #heard = false;
  #reconnect: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor(connect: Connect, token: string, events: LinkEvents, random: () => number) {
    this.#connect = connect;
    this.token = token;
    this.#shown = token;
    this.#events = events;
    this.#random = random;
  }

  get state(): DeviceState {
    return this.#state;
  }

  get isUp(): boolean {
    return this.#state === 'connecting' || this.#state === 'online' || this.#state === 'waiting';
  }

  start(): void {
    if (!this.isUp) this.#dial();
  }

  /** Resolves when the socket is gone. */
  async stop(): Promise<void> {
    const connection = this.#letGo();
    if (this.isUp) this.#become('stopped', '');
    await connection?.close();
  }

  /** Begins a new connection at once, if there should be one at all. */
  restart(): void {
    if (!this.isUp) return;
    void this.#letGo()?.close();
    this.#dial();
  }

  send(text: string): void {
    this.#connection?.send(text);
  }

  /** The hub has greeted us, and will ping this often. */
  welcomed(heartbeatMs: number): void {
    this.#expectLife(PATIENCE * heartbeatMs);
    this.#become('online', '');
  }

  /** The connection has done something for us: the next back-off begins small again. */
  useful(): void {
    this.#attempt = 0;
  }

  #dial(): void {
    this.#become('connecting', '');
    // What a connection says after it was let go of belongs to the past.
    const current = () => this.#connection === connection;
    const connection: Connection = this.#connect(this.token, {
      opened: () => current() && this.#events.opened(),
      received: (text) => current() && this.#received(text),
      pinged: () => {
        if (current()) this.#heard = true;
      },
      closed: (why) => current() && this.#ended(why),
    });
    this.#shown = this.token;
    this.#connection = connection;
    this.#expectLife(GREETING_MS);
  }

  #received(text: string): void {
    this.#heard = true;
    this.#events.received(text);
  }

  #ended(why: Closed): void {
    this.#letGo();
    const detail = why.reason || `close code ${why.code}`;
    // A token that has ended is no reason to stay away for a device that was given the next one.
    const hasNext = this.token !== this.#shown && isAboutToken(why);
    if (mustStayAway(why) && !hasNext) return this.#become('refused', detail);
    const jitterMs = this.#random() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#attempt++);
    this.#reconnect = setTimeout(() => this.#dial(), (why.retryAfterMs ?? 0) + jitterMs);
    this.#become('waiting', detail);
  }

  #letGo(): Connection | undefined {
    const connection = this.#connection;
    this.#connection = undefined;
    clearTimeout(this.#reconnect);
    clearTimeout(this.#silence);
    return connection;
  }

  /** A broken network tells nobody: a hub of which nothing is heard for so long is gone. */
  #expectLife(withinMs: number): void {
    clearTimeout(this.#silence);
    this.#heard = false;
    this.#silence = setTimeout(() => {
      if (!this.#heard || this.#state !== 'online') return this.#giveUp();
      this.useful();
      this.#expectLife(withinMs);
    }, withinMs);
  }

  #giveUp(): void {
    void this.#connection?.close();
    this.#ended({ code: 1006, reason: 'nothing was heard of the hub' });
  }

  #become(state: DeviceState, detail: string): void {
    this.#state = state;
    this.#events.changed(state, detail);
  }
}

/** 4502, or HTTP 401: the token is unknown, revoked or expired. */
function isAboutToken({ code, status }: Closed): boolean {
  return code === 4502 || status === 401;
}

/** 4500–4999: something must change first. 1002, 1003, 1007, 1009 and HTTP 4xx: we are wrong, and would be again. */
function mustStayAway({ code, status }: Closed): boolean {
  if (status !== undefined) return status >= 400 && status < 500 && status !== 408 && status !== 429;
  return (code >= 4500 && code <= 4999) || [1002, 1003, 1007, 1009].includes(code);
}
