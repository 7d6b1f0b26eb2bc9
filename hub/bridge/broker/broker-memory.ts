/** What the embedded broker remembers: retained messages up to a bound, and QoS 2 handshakes. Sessions end with connections. */
import { Readable } from 'node:stream';
import { fitsFilter } from '../link/topic-name.ts';

/** A message as aedes hands it over. */
export interface KeptMessage {
  topic: string;
  payload: Uint8Array;
  messageId?: number;
}

export interface MemoryBounds {
  retainedMessages: number;
  retainedBytes: number;
}

/** aedes's persistence. It calls the methods it needs by name; those of sessions that outlive a connection do nothing. */
export class BrokerMemory {
  readonly #bounds: MemoryBounds;
  readonly #retained = new Map<string, KeptMessage>();
  #bytes = 0;
  /** Client id → message id → message. */
  readonly #handshakes = new Map<string, Map<number, KeptMessage>>();

  constructor(bounds: MemoryBounds) {
    this.#bounds = bounds;
  }

  get retained(): number {
    return this.#retained.size;
  }

  /** Whether a message of a client may be retained; the hub's own always are, as there are no more than devices. */
  hasRoomFor({ topic, payload }: KeptMessage): boolean {
    if (payload.length === 0) return true;
    const known = this.#retained.get(topic);
    const bytes = this.#bytes - sizeOf(known) + sizeOf({ topic, payload });
    return (
      bytes <= this.#bounds.retainedBytes && (known !== undefined || this.retained < this.#bounds.retainedMessages)
    );
  }

  async setup(): Promise<void> {}

  storeRetained(message: KeptMessage): PromiseLike<void> {
    this.#bytes -= sizeOf(this.#retained.get(message.topic));
    this.#retained.delete(message.topic);
    if (message.payload.length > 0) {
      // A copy: what aedes goes on with is changed on its way.
      this.#retained.set(message.topic, { ...message });
      this.#bytes += sizeOf(message);
    }
    return settled(undefined);
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    return Readable.from(this.#retainedOf(filters), { objectMode: true });
  }

  *#retainedOf(filters: string[]): Generator<KeptMessage> {
    for (const message of this.#retained.values())
      if (filters.some((filter) => fitsFilter(filter, message.topic))) yield message;
  }

  subscriptionsByTopic(): PromiseLike<[]> {
    return settled([]);
  }

  outgoingEnqueueCombi(): PromiseLike<void> {
    return settled(undefined);
  }

  /** Gives back what was acknowledged, so that the broker can tell who did. */
  async outgoingClearMessageId(_client: unknown, packet: KeptMessage): Promise<KeptMessage> {
    return packet;
  }

  outgoingStream(): Readable {
    return Readable.from([]);
  }

  async outgoingUpdate(): Promise<void> {}
  async addSubscriptions(): Promise<void> {}
  async removeSubscriptions(): Promise<void> {}
  async cleanSubscriptions(): Promise<void> {}
  async subscriptionsByClient(): Promise<[]> {
    return [];
  }

  async incomingStorePacket({ id }: { id: string }, packet: KeptMessage): Promise<void> {
    const open = this.#handshakes.get(id) ?? new Map<number, KeptMessage>();
    open.set(packet.messageId!, packet);
    this.#handshakes.set(id, open);
  }

  async incomingGetPacket({ id }: { id: string }, { messageId }: KeptMessage): Promise<KeptMessage> {
    const packet = this.#handshakes.get(id)?.get(messageId!);
    if (!packet) throw new Error('no such packet');
    return packet;
  }

  async incomingDelPacket({ id }: { id: string }, { messageId }: KeptMessage): Promise<void> {
    if (!this.#handshakes.get(id)?.delete(messageId!)) throw new Error('no such packet');
  }

  /** Whether this message id is in a handshake: what comes with it again was taken already. */
  isOpen(client: string, messageId: number): boolean {
    return this.#handshakes.get(client)?.has(messageId) ?? false;
  }

  async cleanIncoming({ id }: { id: string }): Promise<void> {
    this.#handshakes.delete(id);
  }

  // A will lives in its connection, and there is only this broker: none is left over from another.
  async putWill(): Promise<void> {}
  async delWill(): Promise<void> {}
  streamWill(): Readable {
    return Readable.from([]);
  }
}

const sizeOf = (message: KeptMessage | undefined) => (message ? message.payload.length + message.topic.length : 0);

/**
 * Settled at once, not in a later turn: with promises a retained message, or one of QoS 1, is overtaken by the next one,
 * and aedes takes what was overtaken for a duplicate and drops it.
 */
function settled<T>(value: T): PromiseLike<T> {
  return {
    // biome-ignore lint/suspicious/noThenProperty: that it is thenable is its purpose
    then: <A = T, B = never>(done?: ((value: T) => A | PromiseLike<A>) | null): PromiseLike<A | B> =>
      Promise.resolve(done?.(value) as A),
  };
}
