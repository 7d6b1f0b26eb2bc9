/** Tags as people write them: `floor=1, building=north`. */

/** A part without `=` belongs to the value before it. Throws an `Error` for people when there is none before it. */
export function tagsFromText(text: string): Record<string, string> {
  const pairs = text.split(/,(?=\s*[A-Za-z][A-Za-z0-9_-]*\s*=)/).filter((part) => part.trim() !== '');
  return Object.fromEntries(pairs.map(tagFrom));
}

function tagFrom(pair: string): [string, string] {
  const [name = '', ...value] = pair.split('=');
  if (value.length === 0) throw new Error(`“${pair.trim()}” is no tag: write name=value.`);
  return [name.trim(), value.join('=').trim()];
}

/** The other way. */
export function tagsToText(tags: Record<string, string>): string {
  return Object.entries(tags)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
