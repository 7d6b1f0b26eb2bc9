/** Delivery alone: what a session's lane remembers of the commands it was given. */
import { expect, it } from 'vitest';
import { type Command, TRANSITIONS } from '../../hub/commands/command.ts';
import { createDelivery } from '../../hub/commands/delivery.ts';

const NOW = Date.UTC(2026, 0, 1);
const command = (id: string): Command => ({
  ...{ id, device: 'd1', name: 'identify', params: {}, state: 'queued', actor: 'operator:a', attempt: 0 },
  ...{ createdAt: NOW, updatedAt: NOW, expiresAt: NOW + 60_000, timeoutMs: 1_000 },
});

/** Whether the lane remembers an id shows when a command of that id may be sent again: only then it goes twice. */
it('a lane forgets what has ended, and remembers what it could give once more', async () => {
  let known: Command[] = [];
  const sent: string[] = [];
  const delivery = createDelivery({
    of: () => known,
    since: () => NOW,
    markSent: async (id) => known.find((each) => each.id === id),
    onDelay: (error) => {
      throw error;
    },
    now: () => NOW,
  });
  const wake = async (...commands: Command[]) => {
    known = commands;
    delivery.wake('d1');
    await new Promise((resolve) => setImmediate(resolve));
    return sent.splice(0);
  };
  delivery.opened('d1', { hasRoom: true, send: (frame) => void sent.push((frame as { id: string }).id) });
  expect(await wake(command('ends'), command('stays'))).toEqual(['ends', 'stays']);
  expect(await wake({ ...command('ends'), state: 'succeeded' }, { ...command('stays'), state: 'unknown' })).toEqual([]);
  expect(TRANSITIONS.unknown.send).toBe('unknown');
  expect(await wake(command('ends'), command('stays'))).toEqual(['ends']);
});
