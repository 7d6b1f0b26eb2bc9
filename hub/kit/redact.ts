/** Takes the secret part out of tokens in any text that leaves the hub: logs, problems, the record of what was done. */

/**
 * A token, whole or cut off, also with its underscores as in a URL, and whatever stands right behind it, such as another
 * token; the key id before the secret is public.
 */
const TOKEN = /(th[do](?:_|%5f)[0-9a-z]{6,20})(?:_|%5f)(?:[0-9a-z_]|%5f)+/gi;

/** The text with `thd_<keyId>_***` in place of tokens. Cheap when there is none. */
export function redact(text: string): string {
  return text.replace(TOKEN, '$1_***');
}

/** Whether the text holds a token, or the beginning of one. */
export function holdsToken(text: string): boolean {
  return text.search(TOKEN) !== -1;
}

/** A JSON value that people may look at: the same one when there is no token in it, else a copy without. */
export function withoutTokens<T>(value: T): T {
  const text = JSON.stringify(value);
  return holdsToken(text) ? JSON.parse(redact(text)) : value;
}
