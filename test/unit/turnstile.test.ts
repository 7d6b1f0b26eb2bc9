import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTurnstile } from '../../hub/gateway/turnstile.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** So many knock at once; who is in, in this order. */
function crowd(count: number) {
  const turnstile = createTurnstile<number>();
  const inside: number[] = [];
  const taken = Array.from({ length: count }, (_, key) => turnstile.queue(key, () => inside.push(key)));
  return { turnstile, inside, taken };
}

describe('the turnstile', () => {
  it('lets some in at once and the others when one of those is through, in the order in which they came', () => {
    const { turnstile, inside } = crowd(100);
    expect(inside).toHaveLength(32);
    turnstile.leave(5);
    turnstile.leave(5);
    turnstile.leave(7);
    expect(inside).toHaveLength(34);
    expect(inside).toEqual([...inside].sort((a, b) => a - b));
  });

  it('waits for nobody who says nothing', () => {
    const { inside } = crowd(100);
    vi.advanceTimersByTime(125);
    expect(inside).toHaveLength(64);
    vi.advanceTimersByTime(250);
    expect(inside).toHaveLength(100);
  });

  it('forgets who went away while waiting', () => {
    const { turnstile, inside } = crowd(40);
    turnstile.leave(35);
    vi.advanceTimersByTime(125);
    expect(inside).toHaveLength(39);
    expect(inside).not.toContain(35);
  });

  it('has a bounded queue', () => {
    const { taken } = crowd(5_000);
    expect(taken.filter(Boolean)).toHaveLength(32 + 4_096);
    expect(taken.at(-1)).toBe(false);
  });

  it('leaves no timer behind', () => {
    const { turnstile } = crowd(100);
    for (let key = 0; key < 100; key++) turnstile.leave(key);
    expect(vi.getTimerCount()).toBe(0);
  });
});
