/** Takes announcements back that nobody keeps true any more: Home Assistant was switched off, or has another prefix. */
import type { Table } from '../../backplane/backplane.ts';
import type { Devices } from '../../devices/devices.ts';
import type { Clearings } from '../clearings.ts';
import { objectIdOf } from './home-assistant.ts';

export interface AnnouncedMarkDeps {
  clearings: Pick<Clearings, 'clear'>;
  devices: Pick<Devices, 'list'>;
  /** The discovery prefix under which devices were announced, by broker. */
  table: Table<string>;
  onError(error: unknown): void;
}

const DEVICES_PER_PAGE = 500;

/** The topic of a device's announcement. */
export const discoveryTopic = (prefix: string, device: string) => `${prefix}/device/${objectIdOf(device)}/config`;

/** Called once for each broker at the start; `prefix`: the one that is announced under from now on, if any. */
export function settleAnnounced(broker: string, prefix: string | undefined, deps: AnnouncedMarkDeps): void {
  const { clearings, devices, table, onError } = deps;
  const before = table.get(broker)?.value;
  if (before === prefix) return;
  for (let after: string | undefined = before === undefined ? undefined : ''; after !== undefined; ) {
    const page = devices.list({ limit: DEVICES_PER_PAGE, after });
    clearings.clear(page.devices.map(({ id }) => discoveryTopic(before!, id)));
    after = page.next;
  }
  // In one turn with what is to be cleared, so in one transaction.
  const settled = prefix === undefined ? table.delete(broker) : table.set(broker, prefix);
  settled.catch(onError);
}
