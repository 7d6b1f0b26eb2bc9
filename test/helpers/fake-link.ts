/** A broker link without a broker: what is published is kept, what a test says comes in, and it can be offline. */
import type { BrokerLink, Incoming, LinkStatus, Message } from '../../hub/bridge/link/link-port.ts';
import { Unavailable } from '../../hub/kit/errors.ts';

export class FakeLink implements BrokerLink {
  readonly name: string;
  readonly published: Message[] = [];
  isConnected = true;
  version: 5 | 4 = 5;
  /** Set while the broker does not answer. */
  held: Promise<void> | undefined;
  /** Topics that the broker does not let the hub publish to. */
  forbidden: RegExp | undefined;
  readonly #handlers = new Map<string, (message: Incoming) => Promise<void>>();
  readonly #births: (() => Promise<void>)[] = [];

  constructor(name = 'home') {
    this.name = name;
  }

  async publish(message: Message): Promise<void> {
    if (!this.isConnected) throw new Unavailable('offline');
    await this.held;
    if (!this.isConnected) throw new Unavailable('offline');
    if (this.forbidden?.test(message.topic)) throw new Unavailable('Not authorized', { stalled: true });
    this.published.push(message);
  }

  subscribe(filter: string, handler: (message: Incoming) => Promise<void>): void {
    this.#handlers.set(filter, handler);
  }

  onConnect(listener: () => Promise<void>): void {
    this.#births.push(listener);
  }

  /** The connection is back. */
  async connect(): Promise<void> {
    this.isConnected = true;
    for (const birth of this.#births) await birth();
  }

  get filters(): string[] {
    return [...this.#handlers.keys()];
  }

  /** A message that comes by this filter; resolves when it would be acknowledged. */
  deliver(filter: string, message: Incoming): Promise<void> {
    return this.#handlers.get(filter)!(message);
  }

  status(): LinkStatus {
    const state = this.isConnected ? 'connected' : 'connecting';
    const { name, version } = this;
    return { name, url: 'mqtt://fake', state, since: 0, version, inFlight: 0, window: 1, published: 0, received: 0 };
  }

  async close(): Promise<void> {
    this.isConnected = false;
  }
}

/** A message with what usually is in one. */
export function incoming(topic: string, payload: unknown, rest: Partial<Incoming> = {}): Incoming {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return { topic, payload: Buffer.from(text), retain: false, dup: false, properties: {}, ...rest };
}
