/** A link to a broker: one connection after the other, each with its window, its inbox and its births. */
import { crc32 } from 'node:zlib';
import { backoffMs } from '../kit/backoff.ts';
import { Unavailable } from '../kit/errors.ts';
import type { Incoming, LinkOptions, LinkState, LinkStatus, Message, NewLink } from './broker.ts';
import { RefusedByBroker } from './broker.ts';
import type { Arrival, Connection, Dial, Ending, Welcome } from './connection.ts';
import { Inbox } from './inbox.ts';
import { SendWindow } from './send-window.ts';
import { faultOfTopic, fitsFilter } from './topic-name.ts';

export type LinkLog = Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;

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

const RETRY_MS = { least: 50, base: 200, most: 30_000 };
/** While it is refused, somebody must act. */
const REFUSED_RETRY_MS = 30_000;
/** A connection that held so long ends the back-off. */
const STEADY_MS = 10_000;
const WATCH_MS = 250;
/** Messages from the broker that may be in hand. */
export const INBOX_MESSAGES = 100;
/** Ended without a word so often, the broker may not know MQTT 5. */
const MUTE_ENDINGS = 3;
/** What a packet holds beside topic, payload and the texts of its properties. */
const PACKET_BYTES = 64;
const MAX_SUBSCRIPTION_ID = 268_435_455;

export class Link implements NewLink {
  readonly #options: LinkOptions;
  readonly #dial: Dial;
  readonly #log: LinkLog;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #births: (() => Promise<void>)[] = [];
  #connection: Connection | undefined;
  #live: Live | undefined;
  #state: LinkState = 'connecting';
  #since = Date.now();
  #version: 5 | 4;
  /** The broker said that it does not speak MQTT 5. */
  #isOld = false;
  #muteEndings = 0;
  #attempt = 0;
  #published = 0;
  #received = 0;
  #lastError: string | undefined;
  /** Whether somebody was told of the outage that is not over. */
  #isTold = false;
  #isOpen = false;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: LinkOptions, log: LinkLog, dial: Dial) {
    this.#options = options;
    this.#log = log;
    this.#dial = dial;
    this.#version = options.version;
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
      version: this.#version,
      inFlight: this.#live?.window.inFlight ?? 0,
      window: windowMessages,
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
        version: this.#version,
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
    this.#muteEndings = 0;
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
    this.#isTold = false;
    this.#become('connected');
    this.#log.info({ broker: this.name, version: this.#version }, 'connected to an MQTT broker');
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
    if (this.#closing) return;
    if (live && performance.now() - live.acceptedAt > STEADY_MS) this.#attempt = 0;
    this.#tell(ending);
    this.#become(ending.kind === 'refused' ? 'refused' : 'connecting');
    const isOtherVersion = this.#chooseVersion(ending);
    this.#timer = setTimeout(() => this.#connect(), isOtherVersion ? 0 : this.#delayMs(ending));
  }

  /** True when the next try speaks another version. */
  #chooseVersion({ kind }: Ending): boolean {
    const before = this.#version;
    if (kind === 'version') this.#isOld = true;
    if (kind === 'mute') this.#muteEndings += 1;
    const isSilent = this.#muteEndings > 0 && this.#muteEndings % (MUTE_ENDINGS + 1) === MUTE_ENDINGS;
    this.#version = this.#isOld || isSilent ? 4 : this.#options.version;
    return this.#version !== before;
  }

  #delayMs({ kind }: Ending): number {
    if (kind === 'refused') return REFUSED_RETRY_MS;
    return RETRY_MS.least + backoffMs(this.#attempt++, RETRY_MS.base, RETRY_MS.most);
  }

  #tell({ kind, message }: Ending): void {
    if (this.#isTold || kind === 'version') return;
    this.#isTold = true;
    const fields = { broker: this.name, error: message };
    if (kind === 'refused') this.#log.error(fields, 'an MQTT broker refuses the hub until somebody acts');
    else this.#log.warn(fields, 'an MQTT broker is not available; what is for it waits in the journal');
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

function faultOfMessage({ topic, payload, properties }: Message, maximumPacketBytes: number): string | undefined {
  const fault = faultOfTopic(topic);
  if (fault) return `the topic ${fault}`;
  if (maximumPacketBytes === Number.POSITIVE_INFINITY) return undefined;
  const texts = properties ? Buffer.byteLength(JSON.stringify(properties)) : 0;
  const bytes = PACKET_BYTES + Buffer.byteLength(topic) + Buffer.byteLength(payload) + texts;
  return bytes > maximumPacketBytes ? `it has ${bytes} bytes, the broker takes ${maximumPacketBytes}` : undefined;
}

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
