/** Tags as people write them: `floor=1, building=north`. */

/** A part without `=` belongs to the value before it. */
export function tagsFromText(text: string): Record<string, string> {
  const pairs = text.split(/,(?=\s*[A-Za-z][A-Za-z0-9_-]*\s*=)/).filter((part) => part.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name = '', ...value] = pair.split('=');
      return [name.trim(), value.join('=').trim()];
    }),
  );
}

/** The other way. */
export function tagsToText(tags: Record<string, string>): string {
  return Object.entries(tags)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
