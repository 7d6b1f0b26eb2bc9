/** Presence in plain numbers: who is online, silent or offline, why, and what is remembered over restarts. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import { createPresence, HISTORY, type Presence, type PresenceBook } from '../../hub/devices/presence.ts';

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 6, 1);
const backplane = openBackplane(':memory:');
let tables = 0;
let expected: Record<string, number>;
let changes: [string, Presence['state'], Presence['reason']][];
let book: PresenceBook;

function open(name: string, startedAt = T0): PresenceBook {
  const opened = createPresence({
    presence: backplane.table(`presence-${name}`),
    sessions: backplane.table(`sessions-${name}`),
    expectedIntervalMs: (id) => expected[id],
    now: () => startedAt,
  });
  opened.onChange((device, { state, reason }) => changes.push([device, state, reason]));
  return opened;
}

function connect(id: string, connectedAt = T0, device = 'a') {
  book.opened({ id, device, address: '10.0.0.1', connectedAt });
}

/** Readings of the device `a` with such a gap; returns the time of the last. */
function hearEach(gap: number, times: number): number {
  for (let n = 1; n <= times; n++) book.heard('a', T0 + n * gap, 1);
  return T0 + times * gap;
}

beforeEach(() => {
  expected = {};
  changes = [];
  tables += 1;
  book = open(String(tables));
});
afterEach(() => book.close());

describe('a device that comes and goes', () => {
  it('was never there before its first connection', () => {
    expect(book.of('a')).toBeUndefined();
    expect(book.sessions('a')).toEqual([]);
    expect(book.counts(1)).toEqual({ online: 0, silent: 0, offline: 1 });
  });

  it('is online since it connected', () => {
    connect('s1');
    expect(book.of('a')).toEqual({ state: 'online', since: T0, reason: 'connected' });
    expect(book.counts(3)).toEqual({ online: 1, silent: 0, offline: 2 });
  });

  it('is offline since its socket ended, and the session says what it brought', () => {
    connect('s1');
    book.heard('a', T0 + 1, 5);
    book.heard('a', T0 + 2, 0);
    book.ended({ id: 's1', device: 'a' }, { at: T0 + 10, reason: 'closed', closeCode: 1000 });
    expect(book.of('a')).toEqual({ state: 'offline', since: T0 + 10, reason: 'closed', closeCode: 1000 });
    expect(book.sessions('a')).toEqual([
      {
        id: 's1',
        address: '10.0.0.1',
        connectedAt: T0,
        endedAt: T0 + 10,
        reason: 'closed',
        closeCode: 1000,
        frames: 2,
        readings: 5,
      },
    ]);
  });

  it('that was replaced stays online, and the late close of the old socket touches nothing', () => {
    connect('s1');
    connect('s2', T0 + 5);
    book.ended({ id: 's1', device: 'a' }, { at: T0 + 9, reason: 'replaced', closeCode: 4500 });
    expect(book.of('a')).toEqual({ state: 'online', since: T0 + 5, reason: 'replaced' });
    expect(book.sessions('a')).toMatchObject([
      { id: 's2', connectedAt: T0 + 5 },
      { id: 's1', endedAt: T0 + 5, reason: 'replaced', closeCode: 4500 },
    ]);
    expect(book.sessions('a')[0]).not.toHaveProperty('endedAt');
  });

  it('that flaps is remembered for a bounded number of sessions, the newest first', () => {
    for (let n = 0; n < HISTORY + 5; n++) {
      connect(`s${n}`, T0 + n);
      book.ended({ id: `s${n}`, device: 'a' }, { at: T0 + n, reason: 'lost', closeCode: 1006 });
    }
    expect(book.sessions('a')).toHaveLength(HISTORY);
    connect('last', T0 + MINUTE);
    expect(book.sessions('a')).toHaveLength(HISTORY);
    expect(book.sessions('a').map(({ id }) => id)).toMatchObject({ 0: 'last', 1: `s${HISTORY + 4}` });
  });

  it('that was removed is forgotten, and the end of its socket brings nothing back', () => {
    connect('s1');
    book.forget('a');
    book.ended({ id: 's1', device: 'a' }, { at: T0, reason: 'device-removed', closeCode: 4503 });
    expect(book.of('a')).toBeUndefined();
    expect(book.sessions('a')).toEqual([]);
  });

  it('is told about, each change once', () => {
    expected.a = 1_000;
    connect('s1');
    book.sweep(T0 + 1_000);
    book.sweep(T0 + 9_000);
    book.heard('a', T0 + 9_500, 1);
    book.heard('a', T0 + 9_600, 1);
    book.ended({ id: 's1', device: 'a' }, { at: T0 + 9_700, reason: 'token-invalid', closeCode: 4502 });
    expect(changes).toEqual([
      ['a', 'online', 'connected'],
      ['a', 'silent', 'no reading'],
      ['a', 'online', 'reading came'],
      ['a', 'offline', 'token-invalid'],
    ]);
  });
});

describe('a device that is connected and says nothing', () => {
  it('is silent once the interval an operator expects has passed', () => {
    expected.a = 5_000;
    connect('s1');
    book.heard('a', T0 + 1_000, 1);
    expect(book.sweep(T0 + 5_999)).toBe(0);
    expect(book.sweep(T0 + 6_000)).toBe(1);
    expect(book.of('a')).toEqual({
      state: 'silent',
      since: T0 + 6_000,
      reason: 'no reading',
      detail: 'expected within 5000 ms; the last came at 2026-07-01T00:00:01.000Z',
    });
    expect(book.counts(1)).toEqual({ online: 0, silent: 1, offline: 0 });
  });

  it('is silent too when it never said anything', () => {
    expected.a = 5_000;
    connect('s1');
    book.sweep(T0 + 5_000);
    expect(book.of('a')).toMatchObject({ state: 'silent', detail: expect.stringContaining('none since it connected') });
  });

  it('is not heard by frames of which every reading was refused', () => {
    expected.a = 5_000;
    connect('s1');
    book.heard('a', T0 + 4_000, 0);
    expect(book.sweep(T0 + 5_000)).toBe(1);
  });

  it('has ten minutes while nothing is known of it', () => {
    connect('s1');
    expect(book.sweep(T0 + 10 * MINUTE - 1)).toBe(0);
    expect(book.sweep(T0 + 10 * MINUTE)).toBe(1);
  });

  it.each([
    ['often', 100, MINUTE],
    ['each minute', MINUTE, 3 * MINUTE],
    ['each hour', 60 * MINUTE, 180 * MINUTE],
  ])('and sent %s is silent after three of its usual gaps, but not before a minute', (_, gap, quiet) => {
    connect('s1');
    const last = hearEach(gap, Math.ceil(Math.max(10 * gap, 5 * MINUTE) / gap));
    expect(book.sweep(last + quiet - 1)).toBe(0);
    // A fast device's gaps are measured over twenty seconds or a little more.
    expect(book.sweep(last + quiet + 1_000)).toBe(1);
  });

  it('and sent a backlog at once keeps its rhythm', () => {
    connect('s1');
    const at = hearEach(5 * MINUTE, 5) + 10_000;
    for (let ago = 10_000; ago >= 0; ago -= 10) book.heard('a', at - ago, 100);
    expect(book.sweep(at + 15 * MINUTE - 1)).toBe(0);
    expect(book.sweep(at + 15 * MINUTE)).toBe(1);
  });

  it('keeps what was learnt when it connects again', () => {
    connect('s1');
    const at = hearEach(5 * MINUTE, 5);
    book.ended({ id: 's1', device: 'a' }, { at, reason: 'closed', closeCode: 1000 });
    connect('s2', at);
    expect(book.sweep(at + 15 * MINUTE - 1)).toBe(0);
    expect(book.sweep(at + 15 * MINUTE)).toBe(1);
  });
});

describe('a hub that starts again', () => {
  const reopen = async (startedAt: number) => {
    await book.close();
    book = open(String(tables), startedAt);
  };

  it('takes whoever was connected for offline, and keeps the session that it cut off', async () => {
    connect('s1');
    await reopen(T0 + MINUTE);
    expect(book.of('a')).toEqual({ state: 'offline', since: T0 + MINUTE, reason: 'hub restarted' });
    expect(book.sessions('a')).toEqual([
      { id: 's1', address: '10.0.0.1', connectedAt: T0, endedAt: T0 + MINUTE, reason: 'hub restarted' },
    ]);
    expect(book.counts(1)).toEqual({ online: 0, silent: 0, offline: 1 });
  });

  it('does not count that session again at the next start', async () => {
    connect('s1');
    await reopen(T0 + MINUTE);
    await reopen(T0 + 2 * MINUTE);
    expect(book.of('a')?.since).toBe(T0 + MINUTE);
    expect(book.sessions('a')).toHaveLength(1);
  });

  it('remembers why a device left before', async () => {
    connect('s1');
    book.ended({ id: 's1', device: 'a' }, { at: T0 + 5, reason: 'draining', closeCode: 1001 });
    await reopen(T0 + MINUTE);
    expect(book.of('a')).toEqual({ state: 'offline', since: T0 + 5, reason: 'draining', closeCode: 1001 });
  });

  it('knows the rhythm of a device that comes back', async () => {
    connect('s1');
    const at = hearEach(5 * MINUTE, 5);
    book.ended({ id: 's1', device: 'a' }, { at, reason: 'draining', closeCode: 1001 });
    await reopen(at);
    connect('s2', at);
    expect(book.sweep(at + 15 * MINUTE - 1)).toBe(0);
  });
});

describe('a device that lives on a broker', () => {
  const hear = (at: number, readings = 1) => book.heard('a', at, readings, 'home');

  it('is online with its first reading, silent when none comes, and online with the next', () => {
    hear(T0 + 1, 0);
    expect(book.of('a')).toBeUndefined();
    for (let n = 0; n < 5; n++) hear(T0 + n * MINUTE);
    expect(book.of('a')).toEqual({ state: 'online', since: T0, reason: 'reading came', detail: 'over home' });
    expect(book.sweep(T0 + 10 * MINUTE)).toBe(1);
    hear(T0 + 11 * MINUTE);
    expect(changes.map(([, state]) => state)).toEqual(['online', 'silent', 'online']);
    expect(book.counts(2)).toEqual({ online: 1, silent: 0, offline: 1 });
    expect(book.sessions('a')).toMatchObject([{ id: 'mqtt:home', address: 'home', readings: 6 }]);
  });

  it('that connects itself replaces nobody, and is online again with the next reading when it has gone', () => {
    hear(T0);
    connect('s1', T0 + 10);
    expect(book.of('a')).toMatchObject({ reason: 'connected' });
    hear(T0 + 20);
    book.ended({ id: 's1', device: 'a' }, { at: T0 + 30, reason: 'closed' });
    hear(T0 + 40);
    expect(changes.map(([, state]) => state)).toEqual(['online', 'online', 'offline', 'online']);
  });

  it('is offline after a restart until it is heard', async () => {
    hear(T0);
    await book.close();
    book = open(String(tables), T0 + 10);
    expect(book.of('a')).toMatchObject({ state: 'offline', reason: 'hub restarted' });
    hear(T0 + 20);
    expect(book.of('a')).toMatchObject({ state: 'online' });
  });
});
