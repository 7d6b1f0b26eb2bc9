/** Holds the embedded broker's acknowledgement to a publisher until the hub has the message durably. */

/** A message as aedes hands it over. */
export interface Handed {
  topic: string;
  payload: string | Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
  messageId?: number;
}

type Done = (error?: Error | null) => void;

export interface Handover<C extends object> {
  /**
   * Publishes a message of a client in the broker's stead, and calls back when every connection of the hub that took it
   * has acknowledged it. The packet that the broker goes on with says nothing to nobody any more. With an error the
   * broker ends the publisher's connection without an acknowledgement, and the publisher sends again.
   */
  give(client: C, packet: Handed, done: Done): void;
  /** What a connection of the hub gets in place of the packet: QoS 1 at most, its acknowledgement known by the id. */
  take<P extends Handed>(hub: C, packet: P): P;
  acknowledged(hub: C, messageId: number | undefined): void;
  /** A connection of the hub has ended: what it did not acknowledge was not taken. */
  left(hub: C): void;
}

/** A message on its way; `waiting` counts the broker's own delivery and the connections of the hub. */
interface Offer {
  waiting: number;
  failure: Error | undefined;
  done(failure: Error | undefined): void;
}

interface Taker {
  lastId: number;
  offers: Map<number, Offer>;
}

/** Nobody can subscribe to it. */
const NOWHERE = '$SYS/taken';
const MAX_ID = 65_535;

export function createHandover<C extends object>(
  publish: (packet: Handed, client: C, done: Done) => void,
): Handover<C> {
  /** By payload: the one thing that stays the same object on its way through the broker. */
  const offers = new WeakMap<object, Offer>();
  const takers = new WeakMap<C, Taker>();

  function takerOf(hub: C): Taker {
    const taker = takers.get(hub) ?? { lastId: 0, offers: new Map() };
    takers.set(hub, taker);
    return taker;
  }

  return {
    give(client, packet, done) {
      const payload = Buffer.from(packet.payload);
      const offer: Offer = { waiting: 1, failure: undefined, done: (failure) => finish(packet, failure, done) };
      offers.set(payload, offer);
      publish({ ...packet, payload }, client, (error) => settle(offer, error ?? undefined));
    },
    take(hub, packet) {
      if (packet.qos === 0) return packet;
      const taker = takerOf(hub);
      const messageId = freeId(taker);
      const offer = offers.get(packet.payload as Buffer);
      if (offer) {
        offer.waiting += 1;
        taker.offers.set(messageId, offer);
      }
      return { ...packet, qos: 1, messageId };
    },
    acknowledged(hub, messageId = 0) {
      const taker = takers.get(hub);
      const offer = taker?.offers.get(messageId);
      if (!offer) return;
      taker!.offers.delete(messageId);
      settle(offer);
    },
    left(hub) {
      const open = takers.get(hub)?.offers.values() ?? [];
      takers.delete(hub);
      for (const offer of open) settle(offer, new Error('the hub did not take the message'));
    },
  };
}

function settle(offer: Offer, failure?: Error): void {
  offer.failure ??= failure;
  offer.waiting -= 1;
  if (offer.waiting === 0) offer.done(offer.failure);
}

function finish(packet: Handed, failure: Error | undefined, done: Done): void {
  packet.topic = NOWHERE;
  packet.payload = Buffer.alloc(0);
  packet.retain = false;
  done(failure ?? null);
}

function freeId(taker: Taker): number {
  do taker.lastId = (taker.lastId % MAX_ID) + 1;
  while (taker.offers.has(taker.lastId));
  return taker.lastId;
}
