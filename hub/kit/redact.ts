/** Takes the secret part out of tokens in any text that leaves the hub: logs, problems, the record of what was done. */

/**
 * A token, whole or cut off, also with its underscores as in a URL, and whatever stands right behind it, such as another
 * token; the key id before the secret is public.
 */
const TOKEN = /(th[do](?:_|%5f)[0-9a-z]{6,20})(?:_|%5f)(?:[0-9a-z_]|%5f)+/gi;

/** Shorter ones are words of other texts as well. */
const MIN_SECRET = 6;

/** The secrets of the configuration as they may appear in a text; nothing yet. Of the process, as its output is. */
let secrets = /(?!)/g;

/** From now on these values are masked wherever they appear, also as JSON, in a URL, and in a header of basic authentication. */
export function hideSecrets(values: readonly { user?: string; secret: string }[]): void {
  const forms = values
    .filter(({ secret }) => secret.length >= MIN_SECRET)
    .flatMap(({ user = '', secret }) => [
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
      Buffer.from(`${user}:${secret}`).toString('base64'),
    ]);
  if (forms.length > 0) secrets = new RegExp([...new Set(forms)].map(escapeForRegExp).join('|'), 'g');
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** The text with `thd_<keyId>_***` in place of tokens and `***` in place of secrets. Cheap when there is none. */
export function redact(text: string): string {
  return text.replace(TOKEN, '$1_***').replace(secrets, '***');
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
