/** Notices on their way to the channels: durable before the first attempt, in order for each channel, tried until taken. */
import type { Table } from '../backplane/backplane.ts';
import { backoffMs } from '../kit/backoff.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import { pause } from '../kit/pause.ts';
import type { Notice } from './alert.ts';
import { type Channel, NeverTaken } from './channel.ts';

/** A notice that waits for one channel; its key tells the order. */
export interface DeliveryRow {
  channel: string;
  notice: Notice;
  /** Unix milliseconds. */
  createdAt: number;
}

/** How a channel does; counts are since the hub started. */
export interface ChannelStatus {
  name: string;
  kind: Channel['kind'];
  waiting: number;
  delivered: number;
  /** Notices given up: never to be taken, too old, or one too many. */
  dropped: number;
  /** Why the last attempt failed; absent while all is well. */
  lastError?: string;
}

export interface Deliveries {
  /** Asks for rows in the same turn of the loop; durable when it resolves. Without names: to every channel. */
  tell(notice: Notice, channels?: readonly string[]): Promise<void>;
  /** Sends at once, beside the queue. Throws `RefusedError` (not-found), `Unavailable`, `NeverTaken`. */
  test(channel: string): Promise<void>;
  status(): ChannelStatus[];
  /** Begins no more attempts and waits, at most two seconds, for those under way; the rest goes on after the next start. */
  close(): Promise<void>;
}

interface Deps {
  channels: readonly Channel[];
  table: Table<DeliveryRow>;
  log: Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;
}

export interface DeliveryOptions {
  /** Notices that wait for one channel; beyond it the oldest goes, and is counted. */
  maxWaiting?: number;
  /** A notice older than this would only confuse. */
  keepMs?: number;
  retryBaseMs?: number;
  retryMaxMs?: number;
  now?(): number;
}

const DEFAULTS = {
  maxWaiting: 10_000,
  keepMs: 86_400_000,
  retryBaseMs: 1_000,
  retryMaxMs: 60_000,
  now: () => Date.now(),
} as const;
const CLOSE_MS = 2_000;

/** Goes on with what is stored, at once. */
export function createDeliveries({ channels, table, log }: Deps, asked: DeliveryOptions = {}): Deliveries {
  const options = { ...DEFAULTS, ...asked };
  const stop = new AbortController();
  const lanes = new Map(channels.map((channel) => [channel.name, new Lane(channel, table, log, options, stop.signal)]));
  let counter = 0;
  for (const { key, value } of [...table.values()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const lane = lanes.get(value.channel);
    if (lane) lane.push(key);
    else table.delete(key).catch((error) => log.error({ err: error }, 'a notice for nobody stays'));
  }

  async function tellOne(name: string, notice: Notice, createdAt: number): Promise<void> {
    counter += 1;
    const key = `${String(createdAt).padStart(15, '0')}.${String(counter).padStart(9, '0')}.${name}`;
    await table.set(key, { channel: name, notice, createdAt });
    lanes.get(name)?.push(key);
  }

  return {
    async tell(notice, names = [...lanes.keys()]) {
      const createdAt = options.now();
      await Promise.all(names.filter((name) => lanes.has(name)).map((name) => tellOne(name, notice, createdAt)));
    },
    async test(name) {
      const channel = channels.find((each) => each.name === name);
      if (!channel) throw new RefusedError('not-found', `There is no channel "${name.slice(0, 80)}".`);
      await channel.send(testNotice(name, options.now()));
    },
    status: () => [...lanes.values()].map((lane) => lane.status()),
    async close() {
      stop.abort();
      const impatience = new AbortController();
      const all = Promise.all([...lanes.values()].map((lane) => lane.settled));
      await Promise.race([all, pause(CLOSE_MS, impatience.signal)]);
      impatience.abort();
    },
  };
}

/** What waits for one channel: one attempt at a time, the oldest first. */
class Lane {
  readonly #channel: Channel;
  readonly #table: Table<DeliveryRow>;
  readonly #log: Deps['log'];
  readonly #options: Required<DeliveryOptions>;
  readonly #stop: AbortSignal;
  #waiting: string[] = [];
  #delivered = 0;
  #dropped = 0;
  #attempt = 0;
  #lastError: string | undefined;
  #work: Promise<void> | undefined;

  constructor(
    channel: Channel,
    table: Table<DeliveryRow>,
    log: Deps['log'],
    options: Required<DeliveryOptions>,
    stop: AbortSignal,
  ) {
    this.#channel = channel;
    this.#table = table;
    this.#log = log;
    this.#options = options;
    this.#stop = stop;
  }

  get settled(): Promise<void> | undefined {
    return this.#work;
  }

  push(key: string): void {
    this.#waiting.push(key);
    // The oldest of all may be on its way.
    if (this.#waiting.length > this.#options.maxWaiting + 1) this.#makeRoom(this.#waiting.splice(1, 1)[0]!);
    this.#work ??= this.#run().finally(() => {
      this.#work = undefined;
    });
  }

  status(): ChannelStatus {
    const { name, kind } = this.#channel;
    const error = this.#lastError === undefined ? {} : { lastError: this.#lastError };
    return {
      ...{ name, kind, waiting: this.#waiting.length },
      ...{ delivered: this.#delivered, dropped: this.#dropped, ...error },
    };
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#stop.aborted) {
      try {
        await this.#deliver(this.#waiting[0]!);
        this.#waiting.shift();
      } catch (error) {
        await this.#wait(error);
      }
    }
  }

  /** Resolves when this notice is over, taken or given up. */
  async #deliver(key: string): Promise<void> {
    const row = this.#table.get(key)?.value;
    if (!row) return;
    if (this.#options.now() - row.createdAt > this.#options.keepMs) return this.#drop(key, row, 'too old');
    try {
      await this.#channel.send(row.notice);
    } catch (error) {
      if (error instanceof NeverTaken) return this.#drop(key, row, error.message);
      throw error;
    }
    await this.#table.delete(key);
    this.#delivered += 1;
    this.#recovered();
  }

  #makeRoom(key: string): void {
    const row = this.#table.get(key)?.value;
    const failed = (error: unknown) => this.#log.error({ err: error }, 'a notice that was given up stays stored');
    if (row) this.#drop(key, row, 'too many wait').catch(failed);
  }

  async #drop(key: string, { notice }: DeliveryRow, reason: string): Promise<void> {
    await this.#table.delete(key);
    this.#dropped += 1;
    const { name: channel } = this.#channel;
    this.#log.error({ channel, notice: notice.notice, summary: notice.summary, reason }, 'a notice was given up');
  }

  #recovered(): void {
    if (this.#lastError !== undefined)
      this.#log.info({ channel: this.#channel.name }, 'the channel takes notices again');
    this.#lastError = undefined;
    this.#attempt = 0;
  }

  async #wait(error: unknown): Promise<void> {
    const { message } = error as Error;
    const fields = {
      channel: this.#channel.name,
      reason: message,
      ...(error instanceof Unavailable ? {} : { err: error }),
    };
    if (this.#lastError === undefined)
      this.#log.warn(fields, 'a channel takes no notices; they wait and are tried again');
    this.#lastError = message;
    const { retryBaseMs, retryMaxMs } = this.#options;
    const asked = error instanceof Unavailable ? (error.retryAfterMs ?? 0) : 0;
    const waitMs = Math.max(backoffMs(this.#attempt, retryBaseMs, retryMaxMs), Math.min(asked, retryMaxMs));
    this.#attempt += 1;
    await pause(waitMs, this.#stop);
  }
}

function testNotice(channel: string, now: number): Notice {
  const id = `test-${crypto.randomUUID().slice(0, 8)}`;
  return {
    ...{ notice: id, id, rule: 'test', kind: 'offline', severity: 'info', state: 'resolved' },
    ...{ since: now, firedAt: now, resolvedAt: now, description: '' },
    summary: `This is a test of the channel ${channel}; nothing is wrong.`,
  };
}
