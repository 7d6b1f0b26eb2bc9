import { describe, expect, it } from 'vitest';
import {
  advance,
  COMMAND_STATES,
  type Command,
  type CommandEvent,
  type CommandState,
  dueOf,
  eventOfFailure,
  hasEnded,
  isDeliverable,
  isFinal,
} from '../../hub/commands/command.ts';

const T0 = Date.UTC(2026, 0, 1);
const error = { code: 'broken', message: 'no' };
const EVENTS: CommandEvent[] = [
  { type: 'send' },
  { type: 'progress', progress: 0.5 },
  { type: 'succeed', value: { seconds: 1 } },
  { type: 'fail', error },
  { type: 'reject', error },
  { type: 'expire' },
  { type: 'timeout' },
  { type: 'cancel', by: 'operator:a' },
  { type: 'remove' },
];

/** What becomes of each state by each event; a dash: nothing. Written by hand, apart from the table under test. */
const EXPECTED = `
             send    progress  succeed    fail    reject    expire   timeout  cancel     remove
  queued     sent    accepted  succeeded  failed  rejected  expired  -        cancelled  cancelled
  sent       sent    accepted  succeeded  failed  rejected  -        unknown  -          unknown
  accepted   -       accepted  succeeded  failed  rejected  -        unknown  -          unknown
  succeeded  -       -         -          -       -         -        -        -          -
  failed     -       -         -          -       -         -        -        -          -
  rejected   -       -         -          -       -         -        -        -          -
  expired    -       -         -          -       -         -        -        -          -
  cancelled  -       -         -          -       -         -        -        -          -
  unknown    unknown unknown   succeeded  failed  rejected  -        -        -          unknown`;

const [events = [], ...rows] = EXPECTED.trim()
  .split('\n')
  .map((line) => line.trim().split(/ +/));
const cases = rows.flatMap(([state, ...ends]) => ends.map((end, at) => [state, events[at], end] as const));

function command(state: CommandState, more: Partial<Command> = {}): Command {
  return {
    ...{ id: 'c1', device: 'd1', name: 'identify', params: {}, state, actor: 'operator:a', attempt: 0 },
    ...{ createdAt: T0, updatedAt: T0, expiresAt: T0 + 60_000, timeoutMs: 5_000, ...more },
  };
}

describe('the table of transitions', () => {
  it('is tried with every state and every event', () => {
    expect(rows.map(([state]) => state)).toEqual([...COMMAND_STATES]);
    expect(events).toEqual(EVENTS.map(({ type }) => type));
    expect(cases).toHaveLength(COMMAND_STATES.length * EVENTS.length);
  });

  it.each(cases)('%s and %s: %s', (state, type, end) => {
    const event = EVENTS.find((each) => each.type === type)!;
    const next = advance(command(state as CommandState), event, T0 + 1);
    expect(next?.state ?? '-').toBe(end);
  });

  it('never leaves a final state, and only a result leaves unknown', () => {
    for (const state of COMMAND_STATES) {
      const ends = EVENTS.map((event) => advance(command(state), event, T0)?.state).filter(Boolean);
      if (isFinal(state)) expect(ends).toEqual([]);
      if (state === 'unknown') expect(new Set(ends)).toEqual(new Set(['unknown', 'succeeded', 'failed', 'rejected']));
    }
  });
});

describe('advance', () => {
  it('counts each sending, and sets the deadline with the first', () => {
    const once = advance(command('queued'), { type: 'send' }, T0 + 10)!;
    expect(once).toMatchObject({ attempt: 1, deadlineAt: T0 + 5_010, updatedAt: T0 + 10 });
    expect(advance(once, { type: 'send' }, T0 + 20)).toMatchObject({ attempt: 2, deadlineAt: T0 + 5_010 });
  });

  it('remembers when the device first said that it has it, and how far it is', () => {
    const sent = command('sent', { deadlineAt: T0 + 5_000 });
    const accepted = advance(sent, { type: 'progress' }, T0 + 1)!;
    expect(accepted).toMatchObject({ acceptedAt: T0 + 1, deadlineAt: T0 + 5_000 });
    expect(accepted).not.toHaveProperty('progress');
    const running = advance(accepted, { type: 'progress', progress: 0.4 }, T0 + 2)!;
    expect(running).toMatchObject({ acceptedAt: T0 + 1, progress: 0.4 });
  });

  it('keeps value, misfit, error and the time of the end, which a late truth moves', () => {
    const silent = advance(command('sent'), { type: 'timeout' }, T0 + 5_000)!;
    expect(silent.finishedAt).toBe(T0 + 5_000);
    const late = advance(silent, { type: 'succeed', value: 7, misfit: '/ must be object' }, T0 + 9_000)!;
    expect(late).toMatchObject({ value: 7, misfit: '/ must be object', finishedAt: T0 + 9_000 });
    expect(advance(silent, { type: 'fail', error }, T0)).toMatchObject({ error });
    const cancelled = advance(command('queued'), { type: 'cancel', by: 'operator:a' }, T0);
    expect(cancelled).toMatchObject({ error: { code: 'cancelled', message: 'by operator:a' } });
  });

  it('sends nothing again to a device that was removed', () => {
    const gone = advance(command('sent'), { type: 'remove' }, T0 + 1)!;
    expect(isDeliverable(command('unknown'), T0 + 2)).toBe(true);
    expect(isDeliverable(gone, T0 + 2)).toBe(false);
  });

  it('changes nothing of what it was given', () => {
    const before = Object.freeze(command('queued'));
    expect(advance(before, { type: 'send' }, T0)).not.toBe(before);
  });
});

describe('delivery and time', () => {
  it.each([
    ['queued', true],
    ['sent', true],
    ['unknown', true],
    ['accepted', false],
    ['succeeded', false],
    ['failed', false],
    ['rejected', false],
    ['expired', false],
    ['cancelled', false],
  ] as const)('a command that is %s may be sent: %s', (state, expected) => {
    expect(isDeliverable(command(state), T0)).toBe(expected);
    expect(isDeliverable(command(state), T0 + 60_000)).toBe(false);
    expect(isDeliverable(command(state, { acceptedAt: T0 }), T0)).toBe(false);
  });

  it('a queued one expires, a sent or accepted one runs into its deadline, the others wait for nothing', () => {
    const deadlineAt = T0 + 5_000;
    expect(dueOf(command('queued'))).toEqual({ at: T0 + 60_000, event: { type: 'expire' } });
    expect(dueOf(command('sent', { deadlineAt }))).toEqual({ at: deadlineAt, event: { type: 'timeout' } });
    expect(dueOf(command('accepted', { deadlineAt }))).toEqual({ at: deadlineAt, event: { type: 'timeout' } });
    for (const state of COMMAND_STATES.filter(hasEnded)) expect(dueOf(command(state, { deadlineAt }))).toBeUndefined();
  });

  it.each([
    ['rejected', 'reject'],
    ['unknown-command', 'reject'],
    ['expired', 'reject'],
    ['busy', 'reject'],
    ['invalid-params', 'reject'],
    ['failed', 'fail'],
    ['anything', 'fail'],
  ])('a result with the error code %s means %s', (code, type) => {
    expect(eventOfFailure({ code, message: '' }).type).toBe(type);
  });
});
