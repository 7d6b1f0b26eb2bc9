/** The messages of one connection that wait for the broker's acknowledgement: at most a window of them, in order. */
import { Unavailable } from '../../kit/errors.ts';

/** Hands a message to the connection; calls back once, when the broker has answered. */
export type Send = (done: (error?: Error) => void) => void;

interface Entry {
  send: Send;
  resolve(): void;
  reject(error: Error): void;
  /** Of `performance.now()`. */
  sentAt: number;
}

/** Messages that may wait for room. Policy: the call is refused with `Unavailable`. */
const MAX_WAITING = 20_000;

export class SendWindow {
  /** Messages that may be in flight. */
  readonly limit: number;
  /** In the order in which they were sent. */
  readonly #inFlight = new Set<Entry>();
  #waiting: Entry[] = [];
  #head = 0;
  #closed: Error | undefined;

  constructor(limit: number) {
    this.limit = limit;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** When the oldest message in flight was sent (`performance.now()`). */
  get oldestAt(): number | undefined {
    return this.#inFlight.values().next().value?.sentAt;
  }

  /** Sends as soon as there is room, in the order of the calls; resolves when the broker has answered. */
  send(send: Send): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#waiting.length - this.#head >= MAX_WAITING) {
      return Promise.reject(new Unavailable('too many messages wait for the broker already'));
    }
    return new Promise((resolve, reject) => {
      const entry: Entry = { send, resolve, reject, sentAt: 0 };
      if (this.#inFlight.size < this.limit) this.#start(entry);
      else this.#waiting.push(entry);
    });
  }

  /** The connection is over: everybody who waits is told. */
  close(error: Error): void {
    this.#closed ??= error;
    const waiting = this.#waiting.slice(this.#head);
    const entries = [...this.#inFlight, ...waiting];
    this.#inFlight.clear();
    this.#waiting = [];
    this.#head = 0;
    for (const { reject } of entries) reject(error);
  }

  #start(entry: Entry): void {
    entry.sentAt = performance.now();
    this.#inFlight.add(entry);
    entry.send((error) => {
      if (!this.#inFlight.delete(entry)) return;
      if (error) entry.reject(error);
      else entry.resolve();
      this.#next();
    });
  }

  #next(): void {
    while (this.#head < this.#waiting.length && this.#inFlight.size < this.limit) {
      this.#start(this.#waiting[this.#head++]!);
    }
    if (this.#head < this.#waiting.length && this.#head < 1_024) return;
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }
}
