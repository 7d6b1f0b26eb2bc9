/** Those who wait for a command's end, each for a while. */

export interface Waits {
  /** Resolves when the command is woken, after `withinMs`, or when the hub stops. */
  until(id: string, withinMs: number): Promise<void>;
  wake(id: string): void;
  /** Wakes all. Idempotent. */
  close(): void;
}

export function createWaits(): Waits {
  const waiting = new Map<string, Set<() => void>>();
  const wakeAll = (wakes: Iterable<() => void>) => {
    for (const wake of wakes) wake();
  };
  return {
    async until(id, withinMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wakes = waiting.get(id) ?? new Set();
      waiting.set(id, wakes.add(resolve));
      const timer = setTimeout(resolve, withinMs);
      await promise;
      clearTimeout(timer);
      wakes.delete(resolve);
      if (wakes.size === 0 && waiting.get(id) === wakes) waiting.delete(id);
    },
    wake: (id) => wakeAll(waiting.get(id) ?? []),
    close() {
      for (const wakes of waiting.values()) wakeAll(wakes);
    },
  };
}
