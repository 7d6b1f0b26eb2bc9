/** The words of paging, the same wherever a list grows: `limit` and `cursor` in the query, `next` in the answer. */
import { object, type Schema } from './route.ts';

/** That of commands; each list has its own form. */
const CURSOR = '1760000000000.0mgj6k3cw00019f2c4b7a10de';

/** What the cursors of a list look like: whatever is none of them is refused, for its page would look like the last. */
export interface CursorForm {
  /** Of the whole cursor. */
  pattern: string;
  example: string;
}

/** A place by its number. */
export const BY_NUMBER: CursorForm = { pattern: '^\\d{1,15}$', example: '41' };

/** The two parameters of a list that comes in pages; `limit` is `fallback` when it is not said. */
export function paging({ pattern, example }: CursorForm, fallback = 100): Record<'limit' | 'cursor', Schema> {
  return {
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: fallback, description: 'How many at most.' },
    cursor: {
      type: 'string',
      maxLength: 256,
      pattern,
      description: 'Where to go on: the `next` of the page before.',
      examples: [example],
    },
  };
}

/** The schema of a page: its items under their name, and `next`, which is absent on the last. */
export function pageOf(name: string, item: Schema): Schema {
  const description = 'The `cursor` of the next page; absent on the last.';
  const next = { type: 'string', description, examples: [CURSOR] };
  return object({ [name]: { type: 'array', items: item }, next }, ['next']);
}

/** Cuts a page out of items that were asked for with one more than `limit`, which tells whether there is another. */
export function cutPage<T>(items: T[], limit: number, cursorOf: (last: T) => string | number) {
  const page = items.slice(0, limit);
  return items.length > limit
    ? { items: page, next: { next: String(cursorOf(page.at(-1)!)) } }
    : { items: page, next: {} };
}
