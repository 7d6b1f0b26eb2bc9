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

/** The index of the quote that ends a string; found by a native search, for strings are most of a frame. */
function endOfString(data: Buffer, from: number): number {
  let at = data.indexOf(QUOTE, from);
  while (at !== -1 && isEscaped(data, at)) at = data.indexOf(QUOTE, at + 1);
  return at === -1 ? data.length : at;
}

function isEscaped(data: Buffer, at: number): boolean {
  let backslashes = 0;
  while (data[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}
