/** Keeps Home Assistant's discovery messages on a broker true: announced, changed, and gone with the device. */
import { createHash } from 'node:crypto';
import type { Device, Devices } from '../../devices/devices.ts';
import { Unavailable } from '../../kit/errors.ts';
import type { Clearings } from '../clearings.ts';
import { type BrokerLink, RefusedByBroker } from '../link/link-port.ts';
import type { Repertoire } from '../repertoire.ts';
import { discoveryTopic } from './announced-mark.ts';
import type { Discovery } from './home-assistant.ts';

export interface AnnouncerDeps {
  link: BrokerLink;
  /** Shared with the other retained messages of the link. */
  clearings: Clearings;
  devices: Pick<Devices, 'get' | 'list' | 'onChange'>;
  repertoire: Pick<Repertoire, 'onChange'>;
  /** Undefined: there is nothing to announce of the device. */
  discoveryOf(device: Device): Discovery | undefined;
  log: Record<'warn', (fields: object, message: string) => void>;
}

export interface AnnouncerOptions {
  /** Home Assistant's discovery prefix. */
  prefix: string;
  /** At Home Assistant's birth the hub waits for a random part of this, so that not everybody speaks at once. */
  spreadMs?: number;
  /** How long changes are collected before they are announced. */
  collectMs?: number;
}

export interface Announcer {
  /** Announcements sent since the start. */
  readonly announced: number;
  close(): void;
}

/** Announcements at a time, and the pause after them: Home Assistant works for each. */
const BATCH = 50;
const PAUSE_MS = 100;
const DEVICES_PER_PAGE = 500;

/** Bound: one waiting change for each device. What the broker missed is announced when it is back. */
export function createAnnouncer(deps: AnnouncerDeps, options: AnnouncerOptions): Announcer {
  const { link, clearings, devices, repertoire, discoveryOf, log } = deps;
  const { prefix, spreadMs = 5_000, collectMs = 1_000 } = options;
  const changed = new Set<string>();
  /** Digest of what the broker holds of each device, as far as this connection knows. */
  const told = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let announced = 0;
  let isBusy = false;
  let isClosed = false;

  const topicOf = (device: string) => discoveryTopic(prefix, device);

  /** In so many milliseconds, or sooner when it was to be sooner. */
  function soon(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (isClosed || at >= dueAt) return;
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(() => {
      dueAt = Number.POSITIVE_INFINITY;
      void flush();
    }, delayMs);
  }

  async function flush(): Promise<void> {
    if (isBusy || !link.isConnected) return;
    isBusy = true;
    const batch = [...changed].slice(0, BATCH);
    for (const device of batch) changed.delete(device);
    try {
      await Promise.all(batch.map(announce));
    } catch (error) {
      // The next connection announces everything.
      if (!(error instanceof Unavailable)) throw error;
    } finally {
      isBusy = false;
    }
    if (changed.size > 0) soon(PAUSE_MS);
  }

  async function announce(id: string): Promise<void> {
    const device = devices.get(id);
    const discovery = device && discoveryOf(device);
    if (!discovery) return;
    const payload = JSON.stringify(discovery);
    const digest = createHash('sha1').update(payload).digest('base64');
    if (told.get(id) === digest) return;
    clearings.keep(topicOf(id));
    try {
      await link.publish({ topic: topicOf(id), payload, retain: true });
    } catch (error) {
      if (!(error instanceof RefusedByBroker)) throw error;
      log.warn(
        { device: id, error: error.message },
        'the broker refused what the hub tells Home Assistant of a device',
      );
      return;
    }
    told.set(id, digest);
    announced += 1;
  }

  function all(delayMs: number): void {
    told.clear();
    let after = '';
    for (;;) {
      const page = devices.list({ limit: DEVICES_PER_PAGE, after });
      for (const { id } of page.devices) changed.add(id);
      if (page.next === undefined) break;
      after = page.next;
    }
    soon(delayMs);
  }

  function change(id: string): void {
    changed.add(id);
    if (link.isConnected) soon(collectMs);
  }

  link.subscribe(`${prefix}/status`, async ({ payload, retain }) => {
    // A retained birth comes with each connection, which announces everything anyway.
    if (!retain && payload.toString() === 'online') all(Math.random() * spreadMs);
  });
  link.onConnect(async () => all(collectMs));
  repertoire.onChange(change);
  devices.onChange((id, device) => {
    if (device) return change(id);
    changed.delete(id);
    told.delete(id);
    clearings.clear([topicOf(id)]);
  });

  return {
    get announced() {
      return announced;
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
