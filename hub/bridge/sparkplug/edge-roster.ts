/** Who is there for Sparkplug's hosts, and what the birth of each device says. */
import type { Catalog } from '../../../schemas/index.ts';
import type { Device, Devices } from '../../devices/devices.ts';
import type { PresenceBook } from '../../devices/presence.ts';
import type { Live } from '../../telemetry/live.ts';
import type { Repertoire } from '../repertoire.ts';
import type { EdgeSession } from './edge-session.ts';
import type { Offer } from './sparkplug.ts';

export interface RosterDeps {
  catalog: Catalog;
  devices: Pick<Devices, 'get' | 'list'>;
  presence: Pick<PresenceBook, 'of'>;
  live: Pick<Live, 'lastOf'>;
  repertoire: Pick<Repertoire, 'of'>;
}

export interface EdgeRoster {
  /** Known, and not offline. */
  isThere(device: string): boolean;
  /** Ids of all that are there. */
  present(): Iterable<string>;
  /** DBIRTH; `stream` is in it whether or not the device is known to send it. */
  bear(session: EdgeSession, device: string, stream?: string): Promise<void>;
}

const DEVICES_PER_PAGE = 500;

export function createEdgeRoster({ catalog, devices, presence, live, repertoire }: RosterDeps): EdgeRoster {
  function isThere(device: string): boolean {
    const state = presence.of(device)?.state ?? 'offline';
    return state !== 'offline' && devices.get(device) !== undefined;
  }

  /** A device without a token never connects: it lives on a broker, and nobody would take a command. */
  function offerOf(device: Device | undefined): Offer {
    return { streams: catalog.streams, commands: device?.tokens.length ? catalog.commands : new Map() };
  }

  return {
    isThere,
    *present() {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page = devices.list({ limit: DEVICES_PER_PAGE, after });
        for (const { id } of page.devices) if (isThere(id)) yield id;
        after = page.next;
      }
    },
    async bear(session, device, stream) {
      const streams = new Set(repertoire.of(device).keys());
      if (stream !== undefined) streams.add(stream);
      await session.bearDevice(device, streams, live.lastOf(device), offerOf(devices.get(device)));
    },
  };
}
