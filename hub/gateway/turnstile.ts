/** Lets a crowd in one after the other: thousands of handshakes at once would all be so slow that all of them time out. Pure. */

export interface Turnstile<Key> {
  /** Calls `go` when it is this one's turn, now or later; false when too many wait already. */
  queue(key: Key, go: () => void): boolean;
  /** This one is through, or gone: the next one's turn. Idempotent. */
  leave(key: Key): void;
}

/** Handshakes under way at a time: as many as one turn of the loop can take without being felt. */
const SLOTS = 32;
/**
 * A slot is kept no longer than this, so whoever says nothing holds nobody up: at least 256 begin in a second, which is
 * about what a core can do.
 */
const HOLD_MS = 125;
/** As many as get their turn before a device would give up waiting. */
const MAX_WAITING = 4_096;

export function createTurnstile<Key>(): Turnstile<Key> {
  const inside = new Map<Key, NodeJS.Timeout>();
  const waiting = new Map<Key, () => void>();

  function enter(key: Key, go: () => void): void {
    inside.set(
      key,
      setTimeout(() => leave(key), HOLD_MS),
    );
    go();
  }

  function leave(key: Key): void {
    waiting.delete(key);
    clearTimeout(inside.get(key));
    if (!inside.delete(key)) return;
    for (const [next, go] of waiting) {
      if (inside.size >= SLOTS) return;
      waiting.delete(next);
      enter(next, go);
    }
  }

  return {
    queue(key, go) {
      if (inside.size < SLOTS) enter(key, go);
      else if (waiting.size < MAX_WAITING) waiting.set(key, go);
      else return false;
      return true;
    },
    leave,
  };
}
