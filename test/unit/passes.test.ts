/** A stream's pass ends with the right to look: by a change, by time, and never for others. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { demand, identify } from '../../hub/api/identify.ts';
import { createPasses } from '../../hub/api/passes.ts';
import type { Operator, Role } from '../../hub/operators/operators.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A door at which everybody has this role. */
function doorOf(role: Role) {
  const operator: Operator = { name: 'ada', role, createdAt: 0 };
  const check = () =>
    demand(
      'operator',
      identify(
        { authorization: 'Bearer x' },
        { operators: { authenticate: () => operator }, sessions: { find: () => undefined } },
      ).operator,
    );
  return { operator, check };
}

it('ends when the role becomes less than the route needs, with the refusal', () => {
  const passes = createPasses();
  const door = doorOf('operator');
  const pass = passes.issue(door.check);
  const other = passes.issue(doorOf('admin').check);
  passes.checkAll();
  expect(pass.signal.aborted).toBe(false);
  door.operator.role = 'viewer';
  passes.checkAll();
  expect(pass.signal.reason).toMatchObject({ code: 'forbidden' });
  expect(other.signal.aborted).toBe(false);
  other.giveBack();
});

it('is looked at by the clock too, and no timer is left when all were given back', () => {
  const passes = createPasses(500);
  const door = doorOf('operator');
  const pass = passes.issue(door.check);
  const kept = passes.issue(doorOf('admin').check);
  door.operator.role = 'viewer';
  vi.advanceTimersByTime(500);
  expect(pass.signal.aborted).toBe(true);
  kept.giveBack();
  kept.giveBack();
  expect(vi.getTimerCount()).toBe(0);
});
