/** Retained messages that must go, because their device did or nobody keeps them true: remembered until the broker has taken that they are gone. */
import type { Table } from '../backplane/backplane.ts';
import { Unavailable } from '../kit/errors.ts';
import { type BrokerLink, RefusedByBroker } from './link/link-port.ts';

/** What is stored: a topic that still has a retained message on a broker. */
export interface ClearingRow {
  broker: string;
  topic: string;
}

export interface Clearings {
  /** Clears the retained message of each topic, now or when the broker is there, also after a restart of the hub. */
  clear(topics: readonly string[]): void;
  /** A topic gets a retained message again: it stays. */
  keep(topic: string): void;
}

interface Deps {
  table: Table<ClearingRow>;
  onError(error: unknown): void;
}

/** Bound: as many rows as topics of devices that were removed while the broker was away. Register before births. */
export function createClearings(link: BrokerLink, { table, onError }: Deps): Clearings {
  const keyOf = (topic: string) => `${link.name} ${topic}`;

  async function forget(topic: string): Promise<void> {
    await table.delete(keyOf(topic));
  }

  async function send(topic: string): Promise<void> {
    try {
      await link.publish({ topic, payload: '', retain: true });
    } catch (error) {
      if (error instanceof Unavailable) return;
      if (!(error instanceof RefusedByBroker)) throw error;
    }
    await forget(topic);
  }

  link.onConnect(async () => {
    const mine = [...table.values()].filter(({ value }) => value.broker === link.name);
    for (const { value } of mine) await send(value.topic);
  });

  return {
    clear(topics) {
      for (const topic of topics) {
        table
          .set(keyOf(topic), { broker: link.name, topic })
          .then(() => send(topic))
          .catch(onError);
      }
    },
    keep(topic) {
      if (table.get(keyOf(topic))) forget(topic).catch(onError);
    },
  };
}
