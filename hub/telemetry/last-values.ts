/** The last reading of each stream of a device, also of the time before the hub started: the store is asked for that, once. */
import type { Live } from './live.ts';
import type { Reading } from './reading.ts';
import type { TelemetryStore } from './store.ts';

export interface LastValues {
  /** By stream. Waits for the store for a moment only: what it does not say in time is there at the next call. */
  of(device: string): Promise<Record<string, Reading>>;
  /** Forgets a removed device. */
  forget(device: string): void;
}

const PATIENCE_MS = 1_000;
/** Readings may lie in the future by what a device's clock is wrong. */
const DAY_MS = 86_400_000;

/** `streams`: the names of all. What the store says is kept by `live` from then on. */
export function createLastValues(
  live: Pick<Live, 'lastOf' | 'recall'>,
  store: Pick<TelemetryStore, 'query'>,
  streams: readonly string[],
): LastValues {
  const asked = new Map<string, Promise<void>>();

  async function recall(device: string): Promise<void> {
    const known = live.lastOf(device);
    const range = { from: 0, to: Date.now() + DAY_MS, limit: 1, descending: true };
    const ask = async (stream: string) => {
      const [row] = await store.query({ device, stream, ...range });
      if (row) live.recall(device, stream, row);
    };
    // What is wrong with the store is told to those who ask for the past, and in the status.
    await Promise.all(streams.filter((stream) => !known[stream]).map(ask)).catch(() => asked.delete(device));
  }

  return {
    async of(device) {
      const answer = asked.get(device) ?? recall(device);
      asked.set(device, answer);
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, PATIENCE_MS);
      await Promise.race([answer, late]);
      clearTimeout(timer);
      return live.lastOf(device);
    },
    forget: (device) => void asked.delete(device),
  };
}
