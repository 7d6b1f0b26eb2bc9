/** How long a token lives, as the API asks for it wherever one is made. */
import type { Schema } from './route.ts';

/** A typing error shall not make a token that lives a microsecond, or for ever. */
export const LIFE_MS = { least: 1_000, most: 10 * 366 * 86_400_000 } as const;

/** How long a token holds, from now. */
export const EXPIRES_IN: Schema = {
  type: 'number',
  minimum: LIFE_MS.least,
  maximum: LIFE_MS.most,
  description: 'The token expires so many milliseconds from now; absent: never.',
  examples: [7_776_000_000],
};
/** Unix milliseconds; undefined: never. */
export function untilOf(expiresInMs: number | undefined): number | undefined {
  return expiresInMs === undefined ? undefined : Date.now() + expiresInMs;
}
