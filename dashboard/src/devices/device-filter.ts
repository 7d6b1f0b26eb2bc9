/** How devices are searched, filtered and sorted. */
import type { Device, PresenceState } from '../hub/devices.ts';
import type { Sorting } from '../kit/table.tsx';

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
  if (tag !== '' && !tagTexts(device).includes(tag)) return false;
  if (text === '') return true;
  const words = wordsOf(device);
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => words.includes(word));
}

const tagTexts = ({ tags }: Device) => Object.entries(tags).map(([name, value]) => `${name}=${value}`);

/** By the tags, which stay the same object while only the presence changes: ten thousand are searched at each key press. */
const known = new WeakMap<Device['tags'], string>();

function wordsOf(device: Device): string {
  const found = known.get(device.tags);
  if (found !== undefined) return found;
  const words = [device.id, device.description, ...tagTexts(device)].join(' ').toLowerCase();
  known.set(device.tags, words);
  return words;
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

/** By the id from A on. */
const FIRST_SORTING: Sorting = { column: 'id', down: false };

/** Sorting as a part of an address: `presence`, or `-presence` downwards; nothing for the first one. */
export function sortText({ column, down }: Sorting): string {
  return column === FIRST_SORTING.column && !down ? '' : `${down ? '-' : ''}${column}`;
}

/** The sorting of an address; the first one when it names none of these columns. */
export function sortingOf(text: string | null, columns: readonly { name: string }[]): Sorting {
  const [, sign = '', column = ''] = /^(-?)(.*)$/.exec(text ?? '') ?? [];
  return columns.some(({ name }) => name === column) ? { column, down: sign !== '' } : FIRST_SORTING;
}
