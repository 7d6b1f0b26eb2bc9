/** A device on the page: its presence and its tags. */
import type { Presence, PresenceState } from '../hub/devices.ts';
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
