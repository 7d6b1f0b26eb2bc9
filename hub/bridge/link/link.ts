/** A link to a broker: one connection after the other, each with its window, its inbox and its births. */
import { crc32 } from 'node:zlib';
import { Unavailable } from '../../kit/errors.ts';
import type { Arrival, Connection, Dial, Ending, Welcome } from './connection.ts';
import { Inbox } from './inbox.ts';
import type { Incoming, LinkOptions, LinkState, LinkStatus, Message, NewLink } from './link-port.ts';
import { RefusedByBroker } from './link-port.ts';
import { type LinkLog, OutageNotice } from './outage-notice.ts';
import { Retry } from './retry.ts';
import { SendWindow } from './send-window.ts';
import { faultOfMessage, fitsFilter } from './topic-name.ts';

type Handler = (message: Incoming) => Promise<void>;

interface Subscription {
  filter: string;
  /** Follows from the filter, so that it is the same after a restart: the broker keeps messages with it. */
  id: number;
  handlers: Handler[];
}

/** A connection that was accepted. */
interface Live {
  connection: Connection;
  window: SendWindow;
  inbox: Inbox;
  maximumPacketBytes: number;
  acceptedAt: number;
}

const WATCH_MS = 250;
/** Messages from the broker that may be in hand. */
export const INBOX_MESSAGES = 100;
const MAX_SUBSCRIPTION_ID = 268_435_455;

export class Link implements NewLink {
  readonly #options: LinkOptions;
  readonly #dial: Dial;
  readonly #log: LinkLog;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #births: (() => Promise<void>)[] = [];
  readonly #retry: Retry;
  readonly #notice: OutageNotice;
  #connection: Connection | undefined;
  #live: Live | undefined;
  #state: LinkState = 'connecting';
  #since = Date.now();
  #published = 0;
  #received = 0;
  #lastError: string | undefined;
  #isOpen = false;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: LinkOptions, log: LinkLog, dial: Dial) {
    this.#options = options;
    this.#log = log;
    this.#dial = dial;
    this.#retry = new Retry(options.version);
    this.#notice = new OutageNotice(options.name, log);
  }

  get name(): string {
    return this.#options.name;
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#watch = setInterval(() => this.#findOverdue(), WATCH_MS);
    this.#connect();
  }

  async publish(message: Message): Promise<void> {
    const live = this.#live;
    if (!live) throw this.#unavailable(this.#lastError ?? 'not connected');
    const fault = faultOfMessage(message, live.maximumPacketBytes);
    if (fault) throw new RefusedByBroker(fault);
    await live.window.send((done) => live.connection.publish(message, done));
    this.#published += 1;
  }

  subscribe(filter: string, handler: Handler): void {
    const known = this.#subscriptions.get(filter);
    if (known) {
      known.handlers.push(handler);
      return;
    }
    const subscription = { filter, id: (crc32(filter) % MAX_SUBSCRIPTION_ID) + 1, handlers: [handler] };
    this.#subscriptions.set(filter, subscription);
    if (this.#live) void this.#subscribeTo(this.#live, subscription);
  }

  onConnect(listener: () => Promise<void>): void {
    this.#births.push(listener);
  }

  status(): LinkStatus {
    const { name, url, windowMessages } = this.#options;
    return {
      name,
      url,
      state: this.#state,
      since: this.#since,
      version: this.#retry.version,
      inFlight: this.#live?.window.inFlight ?? 0,
      window: this.#live?.window.limit ?? windowMessages,
      published: this.#published,
      received: this.#received,
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#become('closed');
    this.#live?.window.close(this.#unavailable('the link is closed'));
    await this.#connection?.close();
  }

  #connect(): void {
    const { will, windowMessages: _, remembered: __, isClean, ...options } = this.#options;
    const message = will?.();
    let isOver = false;
    this.#connection = this.#dial(
      {
        ...options,
        version: this.#retry.version,
        clean: isClean === true || this.#subscriptions.size === 0,
        ...(message && { will: message }),
      },
      {
        onWelcome: (welcome) => void this.#welcomed(welcome).catch((error) => this.#giveUp(error)),
        onMessage: (arrival, resume) => this.#arrived(arrival, resume),
        onEnd: (ending) => {
          if (isOver) return;
          isOver = true;
          this.#ended(ending);
        },
      },
    );
  }

  /** Subscribes, then births, then everybody else. */
  async #welcomed(welcome: Welcome): Promise<void> {
    const live = this.#enliven(welcome);
    this.#retry.welcomed();
    const stale = (this.#options.remembered?.filters() ?? []).filter((filter) => !this.#subscriptions.has(filter));
    if (welcome.sessionPresent && stale.length > 0) await live.connection.unsubscribe(stale);
    const filters = [...this.#subscriptions.keys()];
    await this.#options.remembered?.keep(filters);
    await Promise.all(Array.from(this.#subscriptions.values(), (wanted) => this.#subscribeTo(live, wanted)));
    for (const birth of this.#births) {
      if (this.#live !== live) return;
      await birth();
    }
    if (this.#live !== live) return;
    this.#lastError = undefined;
    this.#become('connected');
    this.#notice.over(this.#retry.version);
  }

  #enliven({ receiveMaximum = Number.POSITIVE_INFINITY, maximumPacketBytes }: Welcome): Live {
    const connection = this.#connection!;
    const inbox = new Inbox({
      limit: INBOX_MESSAGES,
      acknowledge: (messageId) => connection.acknowledge(messageId),
      onFailure: (error) => connection.cut({ kind: 'lost', message: `a message could not be kept: ${wordsOf(error)}` }),
    });
    this.#live = {
      connection,
      inbox,
      window: new SendWindow(Math.min(this.#options.windowMessages, receiveMaximum)),
      maximumPacketBytes: maximumPacketBytes ?? Number.POSITIVE_INFINITY,
      acceptedAt: performance.now(),
    };
    return this.#live;
  }

  async #subscribeTo(live: Live, { filter, id }: Subscription): Promise<void> {
    try {
      await live.connection.subscribe(filter, id);
    } catch (error) {
      if (this.#live !== live) return;
      this.#log.error({ broker: this.name, filter, error: wordsOf(error) }, 'the broker refused a subscription');
    }
  }

  #arrived({ message, messageId, subscriptions }: Arrival, resume: () => void): void {
    this.#received += 1;
    const wanted = [...this.#subscriptions.values()].filter(({ filter, id }) =>
      subscriptions.length > 0 ? subscriptions.includes(id) : fitsFilter(filter, message.topic),
    );
    const handled = Promise.all(wanted.flatMap(({ handlers }) => handlers.map((handle) => handle(message))));
    this.#live?.inbox.take(messageId, handled, resume);
  }

  #giveUp(error: unknown): void {
    if (!(error instanceof Unavailable)) throw error;
    this.#connection?.cut({ kind: 'lost', message: error.message });
  }

  #ended(ending: Ending): void {
    const live = this.#live;
    this.#live = undefined;
    this.#connection = undefined;
    this.#lastError = ending.message;
    live?.window.close(this.#unavailable(ending.message));
    if (this.#state === 'closed') return;
    this.#notice.of(ending);
    this.#become(ending.kind === 'refused' ? 'refused' : 'connecting');
    const heldMs = live ? performance.now() - live.acceptedAt : 0;
    this.#timer = setTimeout(() => this.#connect(), this.#retry.after(ending, heldMs));
  }

  /** A broker that does not answer in time gets a new connection: what it still answers to this one counts for nothing. */
  #findOverdue(): void {
    const { timeoutMs } = this.#options;
    const oldestAt = this.#live?.window.oldestAt;
    if (oldestAt === undefined || performance.now() - oldestAt < timeoutMs) return;
    this.#connection?.cut({ kind: 'lost', message: `did not acknowledge a message within ${timeoutMs} ms` });
  }

  #become(state: LinkState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = Date.now();
  }

  #unavailable(reason: string): Unavailable {
    return new Unavailable(`MQTT broker ${this.name}: ${reason}`, { stalled: this.#state === 'refused' });
  }
}

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
