/** Full-jitter exponential back-off (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). */

/** A random delay in milliseconds, between 0 and `min(maxMs, baseMs · 2^attempt)`; attempt counts from 0. */
export function backoffMs(attempt: number, baseMs = 100, maxMs = 30_000, random: () => number = Math.random): number {
  return random() * Math.min(maxMs, baseMs * 2 ** attempt);
}
