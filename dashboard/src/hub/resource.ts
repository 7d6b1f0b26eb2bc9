/** Something the page shows that the hub knows: loaded, kept when a later load fails, loaded again when the hub is back. */
import { signal } from '@preact/signals';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { HubAway } from './client.http.ts';

/** Counts how often the hub came back: whoever shows what it said before asks again. */
export const revivals = signal(0);
/** Whether the last request found nobody. */
export const hubAway = signal(false);

export interface Resource<T> {
  /** The newest that is known. */
  data: T | undefined;
  /** Why the newest load failed. */
  error: Error | undefined;
  reload(): void;
  /** Changes what is shown before the hub says it. */
  set(change: (data: T) => T): void;
}

/** Loads at once, whenever `key` changes, and every `everyMs` while the page is looked at. */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, everyMs?: number): Resource<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: Error }>({ key });
  const [asked, setAsked] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const revival = revivals.value;
  // `asked` and `revival` are nothing but reasons to load again.
  useEffect(() => {
    const ended = new AbortController();
    const once = async () => {
      try {
        const data = await latest.current(ended.signal);
        if (!ended.signal.aborted) setState({ key, data });
      } catch (error) {
        if (ended.signal.aborted) return;
        if (error instanceof HubAway) hubAway.value = true;
        setState((before) => ({ ...(before.key === key ? before : { key }), error: error as Error }));
      }
    };
    const stop = repeat(once, everyMs);
    return () => {
      stop();
      ended.abort();
    };
  }, [key, everyMs, asked, revival]);
  const current = state.key === key ? state : { key };
  return {
    data: current.data,
    error: current.error,
    reload: useCallback(() => setAsked((before) => before + 1), []),
    set: useCallback((change: (data: T) => T) => {
      setState((before) => (before.data === undefined ? before : { ...before, data: change(before.data) }));
    }, []),
  };
}

/** Runs now, then again that long after each end; waits while nobody looks. Returns the function that stops it. */
function repeat(run: () => Promise<void>, everyMs: number | undefined): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  const next = async () => {
    if (!document.hidden || timer === undefined) await run();
    if (!stopped && everyMs !== undefined) timer = setTimeout(next, everyMs);
  };
  void next();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
