/** All devices with their presence as it changes, for lists of them. */
import { useMemo, useRef, useState } from 'preact/hooks';
import { allDevices, type Device, type Presence } from '../hub/devices.ts';
import { presencesIn, useLive } from '../hub/live.ts';
import { type Resource, useResource } from '../hub/resource.ts';

/** Changes come in floods when a hub restarts: the list is drawn again this often at most. */
const DRAW_MS = 250;

/** The first pages are there while the others are on their way; what is told meanwhile counts for all of them. */
export function useFleet(): Omit<Resource<Device[]>, 'set'> {
  const [first, setFirst] = useState<Device[]>();
  const { data, error, reload } = useResource<Device[]>('fleet', (signal) => allDevices(signal, setFirst));
  const [told, version] = useTold();
  const listed = data ?? first;
  const devices = useMemo(
    () => listed?.map((device) => withPresence(device, told.get(device.id))),
    [listed, told, version],
  );
  return { data: devices, error, reload };
}

/** The newest presence of each device that was told of, and a number that changes with it. */
function useTold(): [ReadonlyMap<string, Presence>, number] {
  const told = useRef(new Map<string, Presence>()).current;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [version, setVersion] = useState(0);
  useLive({ presence: true }, (news) => {
    for (const { device, presence } of presencesIn(news)) told.set(device, presence);
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      setVersion((before) => before + 1);
    }, DRAW_MS);
  });
  return [told, version];
}

/** What was listed may be newer than what was told before. */
export function withPresence(device: Device, presence: Presence | undefined): Device {
  if (!presence || presence.since < device.presence.since) return device;
  return { ...device, presence, online: presence.state !== 'offline' };
}
