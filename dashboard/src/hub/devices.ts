/** Devices as the hub tells them. */
import { get, path, withQuery } from './client.http.ts';

export type PresenceState = 'online' | 'silent' | 'offline';

export interface Presence {
  state: PresenceState;
  /** Unix milliseconds. */
  since: number;
  reason: string;
  detail?: string;
  closeCode?: number;
}

export interface DeviceToken {
  keyId: string;
  createdAt: number;
  expiresAt?: number;
}

export interface Device {
  id: string;
  enabled: boolean;
  tags: Record<string, string>;
  description: string;
  createdAt: number;
  tokens: DeviceToken[];
  expectedIntervalMs?: number;
  lastSeenAt?: number;
  online: boolean;
  presence: Presence;
}

export type Reading = { ts: number } & Record<string, unknown>;

export interface DeviceWithLast extends Device {
  /** The newest reading of each stream. */
  last: Record<string, Reading>;
}

export interface DeviceSession {
  id: string;
  address: string;
  connectedAt: number;
  endedAt?: number;
  closeCode?: number;
  reason?: string;
  detail?: string;
  frames?: number;
  readings?: number;
}

/** How a session ended: `flood: the same frames again and again (4003)`. */
export function endWords({ endedAt, reason, detail, closeCode }: DeviceSession): string {
  if (endedAt === undefined) return 'connected now';
  const why = [reason, detail].filter(Boolean).join(': ');
  return closeCode === undefined ? why : `${why} (${closeCode})`;
}

const PAGE = 1_000;

/** All devices, in pages; `onPage` is told after each what is known so far. Throws `HubRefusal`, `HubAway`. */
export async function allDevices(signal: AbortSignal, onPage: (devices: Device[]) => void): Promise<Device[]> {
  const devices: Device[] = [];
  let cursor: string | undefined;
  do {
    const page = await get<{ devices: Device[]; next?: string }>(withQuery('/v1/devices', { limit: PAGE, cursor }), {
      signal,
    });
    devices.push(...page.devices);
    cursor = page.next;
    onPage([...devices]);
  } while (cursor !== undefined);
  return devices;
}

export const deviceUrl = (id: string) => path`/v1/devices/${id}`;
