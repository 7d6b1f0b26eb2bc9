/** Where the person is: the part of the address after #, as a path and a query. */
import { computed, signal } from '@preact/signals';

const hash = signal(globalThis.location?.hash ?? '');
globalThis.addEventListener?.('hashchange', () => {
  hash.value = location.hash;
});

export interface Place {
  /** Decoded parts of the path: `#/devices/meter-7` is `['devices', 'meter-7']`. */
  parts: string[];
  query: URLSearchParams;
}

/** Reads an address such as `#/devices/meter-7?tab=commands`; a part that is no valid text stays as it is written. */
export function placeOf(text: string): Place {
  const [path = '', query = ''] = text.replace(/^#?\/?/, '').split('?', 2);
  return { parts: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a place in the page. */
export function linkTo(parts: readonly string[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text && `?${text}`}`;
}

export const place = computed(() => placeOf(hash.value));

/** Goes there; `replace` leaves no step back to where one was. */
export function goTo(address: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', address);
  else location.hash = address;
  hash.value = address;
}
