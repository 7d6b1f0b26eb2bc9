/** What people write of a device: its tags, `floor=1, building=north`, and how long it may be quiet. */

/** Before it is silent, milliseconds; as the hub has it. */
export const QUIET_MS = { least: 100, most: 30 * 86_400_000 } as const;

/** As the hub has it. */
const TAG_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** A part without `=` belongs to the value before it. Throws an `Error` for people when there is none before it. */
export function tagsFromText(text: string): Record<string, string> {
  const pairs = text.split(/,(?=\s*[A-Za-z][A-Za-z0-9_-]*\s*=)/).filter((part) => part.trim() !== '');
  return Object.fromEntries(pairs.map(tagFrom));
}

function tagFrom(pair: string): [string, string] {
  const [name = '', ...value] = pair.split('=');
  if (value.length === 0) throw new Error(`“${pair.trim()}” is no tag: write name=value.`);
  if (!TAG_NAME.test(name.trim()))
    throw new Error(`“${name.trim()}” is no name of a tag: a letter, then letters, digits, _ or -.`);
  return [name.trim(), value.join('=').trim()];
}

/** The other way. */
export function tagsToText(tags: Record<string, string>): string {
  return Object.entries(tags)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
