/** All devices with their presence as it changes, for lists of them. */
import { useRef } from 'preact/hooks';
import { allDevices, type Device } from '../hub/devices.ts';
import { presencesIn, useLive } from '../hub/live.ts';
import { type Resource, useResource } from '../hub/resource.ts';

/** Changes come in floods when a hub restarts: the list is drawn again this often at most. */
const DRAW_MS = 250;

/** Filled page by page; the news of a moment are taken in together. */
export function useFleet(): Resource<Device[]> {
  const fleet = useResource<Device[]>('fleet', (signal) => allDevices(signal, () => {}));
  const waiting = useRef(new Map<string, Device['presence']>());
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useLive({ presence: true }, (news) => {
    for (const { device, presence } of presencesIn(news)) waiting.current.set(device, presence);
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const changed = waiting.current;
      waiting.current = new Map();
      fleet.set((devices) => devices.map((device) => withPresence(device, changed.get(device.id))));
    }, DRAW_MS);
  });
  return fleet;
}

function withPresence(device: Device, presence: Device['presence'] | undefined): Device {
  if (!presence) return device;
  const seen = presence.state === 'online' ? { lastSeenAt: presence.since } : {};
  return { ...device, ...seen, presence, online: presence.state !== 'offline' };
}
