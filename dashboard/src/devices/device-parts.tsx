/** A device on the page: its presence, its tags, and how it is searched and filtered. */
import type { Device, Presence, PresenceState } from '../hub/devices.ts';
import { Badge, type Tone } from '../kit/parts.tsx';

const TONES: Record<PresenceState, Tone> = { online: 'good', silent: 'warn', offline: 'calm' };

/** Online, silent or offline; why, on hover. */
export function PresenceBadge({
  presence: { state, reason, detail },
  enabled = true,
}: {
  presence: Presence;
  enabled?: boolean;
}) {
  if (!enabled) return <Badge tone="bad">disabled</Badge>;
  return (
    <span title={detail === undefined ? reason : `${reason}: ${detail}`}>
      <Badge tone={TONES[state]}>{state}</Badge>
    </span>
  );
}

/** Names and values. */
export function Tags({ tags }: { tags: Record<string, string> }) {
  return (
    <span class="tags">
      {Object.entries(tags).map(([name, value]) => (
        <span class="tag" key={name} title={`${name}=${value}`}>
          {name}={value}
        </span>
      ))}
    </span>
  );
}

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
