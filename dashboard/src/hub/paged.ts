/** Long lists that come page by page: the first at once, the others when the person asks for more. */
import { useCallback, useState } from 'preact/hooks';
import { get, withQuery } from './client.http.ts';
import { type Resource, useResource } from './resource.ts';

interface Page<T> {
  items: T[];
  next: string | undefined;
}

export interface Paged<T> extends Omit<Resource<T[]>, 'set'> {
  /** Undefined: this is all. */
  more: (() => Promise<void>) | undefined;
  change(change: (items: T[]) => T[]): void;
}

type Query = Record<string, string | number | undefined>;

/** `name`: of the list in the answer. Loads the first page again every `everyMs` while no other was asked for. */
export function usePaged<T>(url: string, name: string, query: Query = {}, everyMs?: number): Paged<T> {
  const [isLong, setLong] = useState(false);
  const key = withQuery(url, query);
  const load = async (signal?: AbortSignal, cursor?: string): Promise<Page<T>> => {
    const page = await get<Record<string, unknown>>(withQuery(url, { ...query, cursor }), signal ? { signal } : {});
    return { items: page[name] as T[], next: page.next as string | undefined };
  };
  const { data, error, reload, set } = useResource(key, (signal) => load(signal), isLong ? undefined : everyMs);
  const more = async () => {
    setLong(true);
    const page = await load(undefined, data?.next);
    set((before) => ({ items: [...before.items, ...page.items], next: page.next }));
  };
  return {
    data: data?.items,
    error,
    reload,
    more: data?.next === undefined ? undefined : more,
    change: useCallback((change) => set((page) => ({ ...page, items: change(page.items) })), [set]),
  };
}
