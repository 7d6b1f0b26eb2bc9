/** Retained presence on a broker: of the hub itself, with a last will, and of each device; all of it after each connect. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Unavailable } from '../kit/errors.ts';
import type { Clearings } from './clearings.ts';
import { type BrokerLink, type Message, RefusedByBroker } from './link/link-port.ts';
import type { Topics } from './topics.ts';

export interface BirthsOptions {
  topics: Pick<Topics, 'status' | 'state'>;
  /** Ids of all devices. */
  devices(): Iterable<string>;
  /** `online`, `silent` or `offline`; undefined when there is no such device any more. */
  stateOf(device: string): string | undefined;
  clearings: Clearings;
  /** False: the hub itself is announced, its devices are not. */
  announcesDevices: boolean;
  onError(error: unknown): void;
}

export interface Births {
  /** The state of a device may be another now, or the device is new. */
  changed(device: string): void;
  removed(device: string): void;
  /** Says that the hub goes; resolves when the broker has it, or does not take it within a second: then it has the will. */
  close(): Promise<void>;
}

const GOODBYE_MS = 1_000;
const PART = 500;

/** What the broker shall say when the hub is gone without a goodbye. */
export function willOf({ state }: Pick<Topics, 'state'>): Message {
  return { topic: state, payload: 'offline', retain: true };
}

/** Bound: one waiting change for each device, the newest; while the broker is away none, for all are sent when it is back. */
export function createBirths(link: BrokerLink, options: BirthsOptions): Births {
  const { topics, clearings, announcesDevices, onError } = options;
  const changed = new Set<string>();
  let isBusy = false;

  async function announce(device: string): Promise<void> {
    const state = options.stateOf(device);
    if (state) await publish(link, { topic: topics.status(device), payload: state, retain: true });
  }

  /** In parts, for the link takes only so many at a time. */
  async function announceAll(devices: Iterable<string>): Promise<void> {
    let part: Promise<void>[] = [];
    for (const device of devices) {
      part.push(announce(device));
      if (part.length < PART) continue;
      await Promise.all(part);
      part = [];
    }
    await Promise.all(part);
  }

  async function flush(): Promise<void> {
    if (isBusy) return;
    isBusy = true;
    try {
      while (changed.size > 0 && link.isConnected) {
        const devices = [...changed];
        changed.clear();
        await announceAll(devices);
      }
    } catch (error) {
      if (!(error instanceof Unavailable)) onError(error);
    } finally {
      isBusy = false;
    }
  }

  link.onConnect(async () => {
    changed.clear();
    if (announcesDevices) await announceAll(options.devices());
    await publish(link, { topic: topics.state, payload: 'online', retain: true });
    // What changed meanwhile goes out as soon as everybody may publish.
    setImmediate(() => void flush());
  });

  return {
    changed(device) {
      if (!announcesDevices) return;
      clearings.keep(topics.status(device));
      changed.add(device);
      if (link.isConnected) void flush();
    },
    removed(device) {
      if (!announcesDevices) return;
      changed.delete(device);
      clearings.clear([topics.status(device)]);
    },
    async close() {
      if (!link.isConnected) return;
      const goodbye = flush().then(() => publish(link, willOf(topics)));
      await Promise.race([goodbye.catch(onError), sleep(GOODBYE_MS, undefined, { ref: false })]);
    },
  };
}

/** A broker that will never take it is no reason to come again. */
async function publish(link: BrokerLink, message: Message): Promise<void> {
  await link.publish(message).catch((error) => {
    if (!(error instanceof RefusedByBroker)) throw error;
  });
}
