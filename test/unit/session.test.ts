import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../hub/gateway/connection.ts';
import { Sequence } from '../../hub/gateway/sequence.ts';
import type { Session } from '../../hub/gateway/session.ts';
import { createSessions, type Sessions } from '../../hub/gateway/sessions.ts';
import { createIngest } from '../../hub/telemetry/ingest.ts';
import type { NotTaken } from '../../hub/telemetry/journal.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { loadCatalog, loadUplinkChecks } from '../../schemas/index.ts';

const NOW = 1_760_000_000_000;
const { streams } = loadCatalog();
const checks = loadUplinkChecks();
const limits = {
  frameBytes: 131_072,
  readingsPerFrame: 1000,
  window: 4,
  readingsPerSecond: 100,
  framesPerSecond: 100,
  bytesPerSecond: 10_000,
  backlogBytes: 65_536,
};

/** A connection that remembers what it was given. */
class Wire implements Connection {
  backlog = 0;
  address = '192.0.2.1';
  sent: Record<string, unknown>[] = [];
  closed: number | undefined;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close(code: number) {
    this.closed ??= code;
  }
  /** What was sent since the last look. */
  take() {
    return this.sent.splice(0);
  }
}

/** A journal that keeps frames in a list and commits when told. */
class Ledger {
  frames: Frame[] = [];
  open: Frame[] = [];
  refusal: NotTaken | undefined;
  #listeners: ((frames: readonly Frame[], next: number) => void)[] = [];
  append = (frame: Frame) => {
    if (!this.refusal) this.open.push(frame);
    return this.refusal;
  };
  onCommit = (listener: (frames: readonly Frame[], next: number) => void) => this.#listeners.push(listener);
  held = (device: string) => {
    const last = this.frames.filter((frame) => frame.device === device && frame.seq > 0).at(-1);
    return last && { epoch: last.epoch, seq: last.seq };
  };
  commit() {
    const group = this.open.splice(0);
    this.frames.push(...group);
    const highest = new Map(group.filter(({ seq }) => seq > 0).map(({ owner, seq }) => [owner, seq]));
    for (const [owner, seq] of highest) owner?.durable(seq);
    for (const listener of this.#listeners) listener(group, this.frames.length);
  }
}

/** Commands that write down what a session tells them. */
class Orders {
  told: string[] = [];
  known = new Set<string>();
  durable: boolean | undefined = true;
  opened = (device: string) => void this.told.push(`opened ${device}`);
  closed = (device: string) => void this.told.push(`closed ${device}`);
  progress = (_device: string, { id }: { id: string }) => this.known.has(id);
  result = (_device: string, { id }: { id: string }) =>
    this.known.has(id) ? Promise.resolve(this.durable === true) : undefined;
}

/** A quarantine with room for so many readings. */
const quarantine = {
  room: Number.POSITIVE_INFINITY,
  dropped: 0,
  admits: (_device: string, readings: number) => readings <= quarantine.room,
  drop(readings: number) {
    quarantine.dropped += readings;
  },
};

let ledger: Ledger;
let orders: Orders;
let sessions: Sessions;
/** The hub begins anew with what its journal holds. */
let restart: () => void;
let monotonicMs = 0;
let counts: Parameters<typeof createSessions>[0]['counts'];
let wire: Wire;
let session: Session;

const say = (frame: unknown, now = NOW, to = session) => {
  to.receive(Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame)), now);
  return wire.take();
};
const telemetry = (seq: number | undefined, ...readings: object[]) => ({
  type: 'telemetry',
  ...(seq === undefined ? {} : { seq }),
  stream: 'environment',
  readings: readings.length > 0 ? readings : [{ ts: NOW, temperature: 20 }],
});
const hello = { type: 'hello', epoch: 'boot-1' };

function reconnect() {
  wire = new Wire();
  session = sessions.open('d1', wire, NOW);
  return session;
}

beforeEach(() => {
  ledger = new Ledger();
  orders = new Orders();
  Object.assign(quarantine, { room: Number.POSITIVE_INFINITY, dropped: 0 });
  counts = { frames: 0, accepted: 0, rejected: 0, duplicates: 0, gaps: 0, flows: 0, errors: 0 };
  const ingest = createIngest({ streams, readingsPerFrame: 1000, clockAheadMs: 300_000, retentionMs: 0 });
  const storeProgress = () => ({ stored: 0, next: ledger.frames.length });
  const road = {
    limits,
    heartbeatMs: 25_000,
    checks,
    ingest,
    quarantine,
    counts,
    commands: orders,
    storeProgress,
    observeAck: () => {},
    monotonicMs: () => monotonicMs,
  };
  restart = () => {
    sessions = createSessions({ ...road, journal: ledger });
    reconnect();
  };
  restart();
});

describe('a session', () => {
  it('welcomes hello with the last durable number, the clock and the limits', () => {
    expect(say(hello)).toMatchObject([
      { type: 'welcome', resume: 0, time: NOW, heartbeatMs: 25_000, limits: { window: 4, readingsPerFrame: 1000 } },
    ]);
  });

  it('acknowledges only what the journal made durable, once for many frames', () => {
    expect(say(telemetry(1))).toEqual([]);
    expect(say(telemetry(2))).toEqual([]);
    ledger.commit();
    expect(wire.take()).toEqual([{ type: 'ack', seq: 2 }]);
  });

  it('stores a frame without a number and never acknowledges it', () => {
    say(telemetry(undefined));
    ledger.commit();
    expect(wire.take()).toEqual([]);
    expect(ledger.frames).toMatchObject([{ device: 'd1', seq: 0, readings: [{ temperature: 20 }] }]);
  });

  it('rejects the bad readings of a frame by index, path and rule, stores the others, and lets the ack pass', () => {
    const answers = say(telemetry(1, { ts: NOW, temperature: 999 }, { ts: NOW, temperature: 1 }));
    expect(answers).toEqual([
      {
        type: 'reject',
        seq: 1,
        errors: [{ index: 0, path: '/temperature', code: 'maximum', message: 'must be <= 85' }],
      },
    ]);
    ledger.commit();
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
    expect(counts).toMatchObject({ accepted: 1, rejected: 1 });
  });

  it('acknowledges a repeated frame again and stores it once', () => {
    say(telemetry(1));
    ledger.commit();
    wire.take();
    expect(say(telemetry(1))).toEqual([{ type: 'ack', seq: 1 }]);
    ledger.commit();
    expect(ledger.frames).toHaveLength(1);
  });

  it('resumes an epoch on the next connection, and begins a new one at nothing', () => {
    say(hello);
    say(telemetry(1));
    say(telemetry(2));
    ledger.commit();
    sessions.ended(session, 1000, NOW);
    reconnect();
    expect(say(hello)).toMatchObject([{ resume: 2 }]);
    reconnect();
    expect(say({ ...hello, epoch: 'boot-2' })).toMatchObject([{ resume: 0 }]);
  });

  it('acknowledges on the new socket what was in flight on the old one', () => {
    say(hello);
    say(telemetry(1));
    reconnect();
    expect(say(hello)).toMatchObject([{ resume: 0 }]);
    expect(say(telemetry(1))).toEqual([]);
    ledger.commit();
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
    expect(ledger.frames).toHaveLength(1);
  });

  it('tells a device that outruns its window where to begin again, and takes nothing else until then', () => {
    for (let seq = 1; seq <= 4; seq++) say(telemetry(seq));
    expect(say(telemetry(5))).toEqual([{ type: 'flow', reason: 'window', from: 5, retryAfterMs: expect.any(Number) }]);
    expect(say(telemetry(6))).toEqual([]);
    ledger.commit();
    wire.take();
    expect(say(telemetry(7))).toEqual([]);
    say(telemetry(5));
    ledger.commit();
    expect(wire.take()).toEqual([{ type: 'ack', seq: 5 }]);
    expect(ledger.frames.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  });

  it('tells a device that is too fast when to try again', () => {
    const many = Array.from({ length: 1000 }, (_, index) => ({ ts: NOW + index, light: 1 }));
    say(telemetry(1, ...many));
    expect(say(telemetry(2))).toEqual([{ type: 'flow', reason: 'rate', from: 2, retryAfterMs: 10 }]);
    expect(say(telemetry(undefined))).toEqual([{ type: 'flow', reason: 'rate', retryAfterMs: 10 }]);
    expect(say(telemetry(2), NOW + 10)).toEqual([]);
  });

  it('counts frames and bytes as well as readings', () => {
    const long = { index: 'x'.repeat(60_000) };
    expect(say({ ...telemetry(1), note: long })).toEqual([]);
    expect(say({ ...telemetry(2), note: long })).toMatchObject([
      { type: 'flow', reason: 'rate', from: 2, retryAfterMs: expect.any(Number) },
    ]);
  });

  it('sends a device away that sends the same frame again and again, faster than it may', () => {
    say(telemetry(1, {}));
    ledger.commit();
    for (let again = 0; again < 1_000; again++) say(telemetry(1, {}));
    expect(wire.closed).toBe(undefined);
    for (let again = 0; again < 100; again++) say(telemetry(1, {}));
    expect(wire.closed).toBe(4003);
  });

  it('says disk when the journal is full', () => {
    ledger.refusal = 'full';
    expect(say(telemetry(1))).toMatchObject([{ type: 'flow', reason: 'disk', from: 1 }]);
  });

  it.each([
    ['failing', 'disk', 5000],
    ['busy', 'overload', 500],
  ] as const)('says of a journal that is %s: %s', (refusal, reason, retryAfterMs) => {
    ledger.refusal = refusal;
    expect(say(telemetry(1))).toEqual([{ type: 'flow', reason, from: 1, retryAfterMs }]);
    ledger.refusal = undefined;
    expect(say(telemetry(1))).toEqual([]);
    ledger.commit();
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
  });

  it('sends away with 4003 a device that ignores flow', () => {
    ledger.refusal = 'full';
    for (let seq = 1; seq < 30 && wire.closed === undefined; seq++) say(telemetry(seq));
    expect(wire.closed).toBe(4003);
  });

  it('sends away with 4000 a device that does not read, and is closed at once to a newer connection with 4500', () => {
    const first = wire;
    reconnect();
    expect(first.closed).toBe(4500);
    wire.backlog = 100_000;
    say(hello);
    expect(wire.closed).toBe(4000);
  });

  it('keeps the newer session when the older one ends late', () => {
    const older = session;
    reconnect();
    sessions.ended(older, 4500, NOW);
    expect(sessions.get('d1')).toBe(session);
    expect(say(telemetry(1), NOW, older)).toEqual([]);
    expect(ledger.open).toEqual([]);
  });

  it.each([
    ['not-json', 'hello'],
    ['not-json', '[]'],
    ['not-json', '{"type":"telemetry","seq":1,"stream":"environment","readings":[{"temperature":NaN}]}'],
    ['too-deep', `{"type":"hello","x":${'['.repeat(9)}${']'.repeat(9)}}`],
    ['unknown-type', '{"type":"greeting"}'],
    ['unknown-type', '{}'],
    ['invalid-frame', '{"type":"hello"}'],
    ['invalid-frame', '{"type":"telemetry","seq":0,"stream":"environment","readings":[{"light":1}]}'],
    ['invalid-frame', '{"type":"telemetry","seq":1,"stream":"environment","readings":[]}'],
    ['invalid-frame', '{"type":"telemetry","seq":1.5,"stream":"environment","readings":[{}]}'],
    ['invalid-frame', '{"type":"result","id":"x"}'],
  ])('answers error %s to %s and stays open', (code, text) => {
    expect(say(text)).toMatchObject([{ type: 'error', code, temporary: false, message: expect.any(String) }]);
    expect(wire.closed).toBeUndefined();
    expect(ledger.open).toEqual([]);
  });

  it('holds a stored ack back until the telemetry store has the reading', () => {
    say({ ...hello, ack: 'stored' });
    say(telemetry(1));
    ledger.commit();
    expect(wire.take()).toEqual([]);
    sessions.storedUpTo(1);
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
  });

  it('resumes a device that waits for the store after what is stored, and acknowledges the rest when it is', () => {
    say({ ...hello, ack: 'stored' });
    say(telemetry(1));
    ledger.commit();
    reconnect();
    expect(say({ ...hello, ack: 'stored' })).toMatchObject([{ type: 'welcome', resume: 0 }]);
    expect(say(telemetry(1))).toEqual([]);
    sessions.storedUpTo(1);
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
  });

  it('forgets what its earlier epochs waited for, while the store is away', () => {
    const told = vi.spyOn(Sequence.prototype, 'committedUpTo');
    for (let epoch = 1; epoch <= 10_000; epoch++) {
      reconnect();
      say({ ...hello, epoch: `boot-${epoch}`, ack: 'stored' });
      if (epoch % 2 === 0) say(telemetry(1));
      if (epoch % 4 === 0) ledger.commit();
      if (epoch % 1_000 === 0) ledger.frames = ledger.frames.slice(-1);
    }
    told.mockClear();
    ledger.commit();
    expect(told.mock.calls.length).toBeLessThanOrEqual(1);
    told.mockRestore();
  });

  it('takes more of a device that waits for the store after a restart, though the store lacks more than a window', () => {
    say(hello);
    for (let seq = 1; seq <= 9; seq++) {
      say(telemetry(seq));
      ledger.commit();
    }
    restart();
    expect(say({ ...hello, ack: 'stored' })).toMatchObject([{ type: 'welcome', resume: 0 }]);
    for (let seq = 10; seq <= 13; seq++) expect(say(telemetry(seq))).toEqual([]);
    expect(say(telemetry(14))).toMatchObject([{ type: 'flow', reason: 'window', from: 14 }]);
  });

  it('tells a device that goes on elsewhere after the wait once more where to begin again', () => {
    ledger.refusal = 'full';
    expect(say(telemetry(1))).toMatchObject([{ type: 'flow', reason: 'disk', from: 1, retryAfterMs: 5000 }]);
    expect(say(telemetry(2))).toEqual([]);
    monotonicMs += 5000;
    expect(say(telemetry(2), NOW - 3_600_000), 'whatever the clock on the wall says').toMatchObject([
      { type: 'flow', from: 1 },
    ]);
  });

  it('gives no new allowance for a reconnect', () => {
    const many = Array.from({ length: 1000 }, (_, index) => ({ ts: NOW + index, light: 1 }));
    say(telemetry(1, ...many));
    sessions.ended(session, 1000, NOW);
    reconnect();
    expect(say(telemetry(1))).toMatchObject([{ type: 'flow', reason: 'rate' }]);
  });

  it.each([
    ['4003', 'frames without a number that it was told to hold back', () => telemetry(undefined), 4003],
    ['4501', 'garbage', () => 'garbage', 4501],
  ])('sends away with %s a device that sends nothing but %s', (_, __, frame, code) => {
    ledger.refusal = 'full';
    for (let sent = 0; sent < 30; sent++) say(frame());
    expect(wire.closed).toBe(code);
  });

  it('says of readings for which the quarantine has no room that they are not kept, and takes the others', () => {
    quarantine.room = 1;
    const bad = { ts: NOW, temperature: 99 };
    expect(say(telemetry(1, bad, { ts: NOW, temperature: 20 }, bad))).toMatchObject([
      {
        type: 'reject',
        seq: 1,
        errors: [
          { index: 0, path: '/temperature', code: 'quarantine-full', message: /not kept.*\(maximum: must be <= 85\)/ },
          { index: 2, code: 'quarantine-full' },
        ].map((error) => ({ ...error, ...('message' in error && { message: expect.stringMatching(error.message!) }) })),
      },
    ]);
    expect(ledger.open).toMatchObject([{ seq: 1, readings: [{ temperature: 20 }] }]);
    expect(ledger.open[0]).not.toHaveProperty('rejected');
    expect([quarantine.dropped, counts.rejected]).toEqual([2, 2]);
    ledger.commit();
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
  });

  it('writes down with a frame how many numbers the device left out before it, also when the disk failed in between', () => {
    say(telemetry(1));
    ledger.commit();
    say(telemetry(3));
    expect(ledger.open).toMatchObject([{ seq: 3, skipped: 1 }]);
    const [lost] = ledger.open.splice(0);
    lost!.owner!.refused(3);
    expect(wire.take()).toMatchObject([{ type: 'flow', reason: 'disk', from: 3 }]);
    say(telemetry(3));
    say(telemetry(4));
    expect(ledger.open).toMatchObject([{ seq: 3, skipped: 1 }, { seq: 4 }]);
    expect(ledger.open[1]).not.toHaveProperty('skipped');
  });

  it('counts the numbers a device skipped', () => {
    say(telemetry(1));
    say(telemetry(5));
    expect(counts.gaps).toBe(3);
  });

  it('takes nothing more once the hub drains, and waits for the acks of what it took', async () => {
    say(telemetry(1));
    const drained = sessions.drain(1_000);
    say(telemetry(2));
    ledger.commit();
    await drained;
    expect(wire.take()).toEqual([{ type: 'ack', seq: 1 }]);
    expect(ledger.frames).toHaveLength(1);
  });
});

describe('a session and commands', () => {
  afterEach(() => vi.useRealTimers());

  it('asks for commands after hello, once', () => {
    say(hello);
    say(telemetry(1));
    expect(orders.told).toEqual(['opened d1']);
  });

  it('asks for them with the first other frame, and after a second of silence', () => {
    vi.useFakeTimers();
    say(telemetry(1));
    expect(orders.told).toEqual(['opened d1']);
    reconnect();
    vi.advanceTimersByTime(999);
    expect(orders.told).toEqual(['opened d1', 'closed d1']);
    vi.advanceTimersByTime(1);
    expect(orders.told).toEqual(['opened d1', 'closed d1', 'opened d1']);
  });

  it('asks for them once, though hello comes after a second of silence', () => {
    vi.useFakeTimers();
    reconnect();
    vi.advanceTimersByTime(1_500);
    say(hello);
    say(telemetry(1));
    expect(orders.told).toEqual(['closed d1', 'opened d1']);
  });

  it('asks for none when the welcome finds nobody who reads', () => {
    wire.backlog = 100_000;
    say(hello);
    expect(orders.told).toEqual(['closed d1']);
  });

  it('asks for none once it was closed', () => {
    vi.useFakeTimers();
    reconnect();
    session.close('silent', '');
    vi.advanceTimersByTime(5_000);
    expect(orders.told).toEqual(['closed d1', 'closed d1']);
  });

  it('has room for commands while its socket is nearly empty', () => {
    expect(session.hasRoom).toBe(true);
    wire.backlog = limits.backlogBytes / 2;
    expect(session.hasRoom).toBe(false);
  });

  it('acknowledges a result once it is durable, and not before', async () => {
    orders.known.add('c1');
    expect(say({ type: 'progress', id: 'c1', state: 'accepted' })).toEqual([]);
    expect(say({ type: 'result', id: 'c1', ok: true })).toEqual([]);
    await Promise.resolve();
    expect(wire.take()).toEqual([{ type: 'result-ack', id: 'c1' }]);
    orders.durable = false;
    say({ type: 'result', id: 'c1', ok: true });
    await Promise.resolve();
    expect(wire.take()).toEqual([]);
  });

  it.each(['progress', 'result'])('answers unknown-command to a %s of a command it was never sent', (type) => {
    expect(say({ type, id: 'c9', state: 'accepted', ok: true })).toMatchObject([
      { type: 'error', code: 'unknown-command', id: 'c9' },
    ]);
  });

  describe('of a device that says too much', () => {
    const many = Array.from({ length: 1000 }, (_, index) => ({ ts: NOW + index, light: 1 }));
    const progress = { type: 'progress', id: 'c1', state: 'running', progress: 0.5 };
    const result = { type: 'result', id: 'c1', ok: true };
    beforeEach(() => {
      orders.known.add('c1');
      say(telemetry(1, ...many));
    });
    const flood = (now = NOW) => {
      let taken = 0;
      while (say(progress, now).length === 0 && taken < 10_000) taken++;
      return taken;
    };

    it('takes answers though its readings have used up the rate', async () => {
      expect(say(telemetry(2))).toMatchObject([{ type: 'flow', reason: 'rate' }]);
      expect(say(progress)).toEqual([]);
      expect(say(result)).toEqual([]);
      await Promise.resolve();
      expect(wire.take()).toEqual([{ type: 'result-ack', id: 'c1' }]);
    });

    it('says flow to answers beyond those of all its commands, and takes them after the wait', async () => {
      expect(flood()).toBe(400);
      expect(say(result)).toEqual([{ type: 'flow', reason: 'rate', retryAfterMs: 10 }]);
      expect(say(result, NOW + 10)).toEqual([]);
      await Promise.resolve();
      expect(wire.take()).toEqual([{ type: 'result-ack', id: 'c1' }]);
      expect(say(telemetry(2), NOW + 20)).toMatchObject([{ type: 'flow', reason: 'rate', retryAfterMs: 4_000 }]);
    });

    it('sends it away with 4003 when it does not listen', () => {
      flood();
      for (let sent = 0; sent < 30; sent++) say(progress);
      expect(wire.closed).toBe(4003);
    });

    it('has patience again after an answer that was taken', () => {
      for (let round = 0; round < 5; round++) {
        for (let sent = 0; sent < 10; sent++) say('garbage');
        say(progress);
      }
      expect(wire.closed).toBeUndefined();
    });
  });
});
