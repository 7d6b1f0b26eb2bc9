/** Parts are built from the end of the road to its beginning and stopped in reverse. */

export interface Stack {
  /** Remembers how to stop a part that was just built. */
  push(name: string, stop: () => Promise<unknown> | unknown): void;
  /** Stops the parts, the last one built first; one that fails does not keep the others from stopping. Idempotent. */
  unwind(onStop?: (name: string, error?: unknown) => void): Promise<void>;
}

export function createStack(): Stack {
  const parts: { name: string; stop: () => Promise<unknown> | unknown }[] = [];
  return {
    push(name, stop) {
      parts.push({ name, stop });
    },
    async unwind(onStop = () => {}) {
      for (let part = parts.pop(); part; part = parts.pop()) {
        try {
          await part.stop();
          onStop(part.name);
        } catch (error) {
          onStop(part.name, error);
        }
      }
    },
  };
}
