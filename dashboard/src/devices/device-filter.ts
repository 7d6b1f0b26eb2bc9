/** How devices are searched and filtered. */
import type { Device, PresenceState } from '../hub/devices.ts';

export interface DeviceFilter {
  /** Every word of it must be in the id, the description or a tag. */
  text: string;
  presence: PresenceState | 'disabled' | '';
  /** `name=value`, or empty. */
  tag: string;
}

/** Whether a device is among those that were asked for. */
export function fits(device: Device, { text, presence, tag }: DeviceFilter): boolean {
  if (presence === 'disabled' ? device.enabled : presence !== '' && device.presence.state !== presence) return false;
  const tags = Object.entries(device.tags).map(([name, value]) => `${name}=${value}`);
  if (tag !== '' && !tags.includes(tag)) return false;
  if (text === '') return true;
  const all = [device.id, device.description, ...tags].join(' ').toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** All tags that some device has, as `name=value`, the commonest first; at most `most`. */
export function tagsOf(devices: readonly Device[], most = 200): string[] {
  const counts = new Map<string, number>();
  for (const { tags } of devices) {
    for (const [name, value] of Object.entries(tags)) {
      const tag = `${name}=${value}`;
      counts.set(tag, (counts.get(tag) ?? 0) + 1);
    }
  }
  return [...counts]
    .sort(([a, some], [b, others]) => others - some || a.localeCompare(b))
    .slice(0, most)
    .map(([tag]) => tag);
}
