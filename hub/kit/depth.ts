/** Tells how deeply JSON is nested before anybody parses it. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether `[` and `{` outside strings are nested deeper than `limit`. Looks at each byte once; stops at the limit. */
export function isTooDeep(data: Buffer, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < data.length; at++) {
    const byte = data[at]!;
    if (byte === QUOTE) {
      at = endOfString(data, at + 1);
    } else if ((byte | 0x20) === 0x7b) {
      // '{' is 0x7b and '[' is 0x5b: they differ in the bit of upper and lower case, as do their counterparts
      if (++depth > limit) return true;
    } else if ((byte | 0x20) === 0x7d) depth--;
  }
  return false;
}

/** The index of the quote that ends a string. Strings of a frame are short: a loop is faster than a native search. */
function endOfString(data: Buffer, from: number): number {
  let at = from;
  while (at < data.length && data[at] !== QUOTE) at += data[at] === BACKSLASH ? 2 : 1;
  return at;
}
