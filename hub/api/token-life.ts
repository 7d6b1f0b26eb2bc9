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

/** The same for a token that follows another. */
export const NEXT_EXPIRES_IN: Schema = {
  ...EXPIRES_IN,
  type: ['number', 'null'],
  description:
    'The token expires so many milliseconds from now; absent: it holds as long as the one before was made to hold; null: for ever.',
};

/** When a token expires that was just made, as the answer tells it. */
export const EXPIRES_AT: Schema = {
  type: 'number',
  description: 'When the token expires, Unix milliseconds; absent: never.',
  examples: [1_767_776_000_000],
};

/** Unix milliseconds; undefined and null stay what they are. */
export function untilOf<T extends undefined | null>(expiresInMs: number | T): number | T {
  return typeof expiresInMs === 'number' ? Date.now() + expiresInMs : expiresInMs;
}
