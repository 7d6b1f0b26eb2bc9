/** The reference client against a hub of plain objects and fake time. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CommandError } from '../../device-sim/answers.ts';
import type { Closed, ConnectionEvents } from '../../device-sim/connection.ts';
import { Device, type DeviceOptions } from '../../device-sim/device.ts';
import type { Answered } from '../../device-sim/sending.ts';
import type { Downlink, Uplink, Welcome } from '../../schemas/types.gen.ts';

/** One connection, seen from the hub. */
class Line {
  readonly token: string;
  readonly said: Uplink[] = [];
  closedByDevice = false;
  readonly #events: ConnectionEvents;

  constructor(token: string, events: ConnectionEvents) {
    this.token = token;
    this.#events = events;
  }

  send(text: string): void {
    if (!this.closedByDevice) this.said.push(JSON.parse(text));
  }

  async close(): Promise<void> {
    this.closedByDevice = true;
  }

  open(): this {
    this.#events.opened();
    return this;
  }

  say(frame: Downlink): void {
    this.#events.received(JSON.stringify(frame));
  }

  sayText(text: string): void {
    this.#events.received(text);
  }

  ping(): void {
    this.#events.pinged();
  }

  welcome(resume = 0, limits: Partial<Welcome['limits']> = {}, time = Date.now()): this {
    const all = { frameBytes: 131_072, readingsPerFrame: 1000, window: 256, readingsPerSecond: 5000, ...limits };
    this.open().say({ type: 'welcome', session: 's', time, resume, heartbeatMs: 25_000, limits: all });
    return this;
  }

  command(id: string, name: string, params = {}, expires = Date.now() + 60_000): void {
    this.say({ type: 'command', id, name, params, expires, attempt: 1 });
  }

  end(why: Partial<Closed> = {}): void {
    this.#events.closed({ code: 1006, reason: '', ...why });
  }

  /** Numbers of the telemetry frames that came. */
  get seqs(): (number | undefined)[] {
    return this.said.flatMap((frame) => (frame.type === 'telemetry' ? [frame.seq] : []));
  }

  get answers(): Uplink[] {
    return this.said.filter(({ type }) => type === 'progress' || type === 'result');
  }

  get epoch(): string | undefined {
    const [first] = this.said;
    return first?.type === 'hello' ? first.epoch : undefined;
  }
}

const lines: Line[] = [];
const acks: Answered[] = [];
const states: string[] = [];
const latest = () => lines.at(-1)!;

function createDevice(options: Partial<DeviceOptions> = {}): Device {
  const connect = (token: string, events: ConnectionEvents) => {
    const line = new Line(token, events);
    lines.push(line);
    return line;
  };
  return new Device(
    connect,
    { token: 'first', random: () => 1, ...options },
    { onAck: (answered) => acks.push(answered), onState: (state, detail) => states.push(`${state} ${detail}`.trim()) },
  );
}

function startOnline(options: Partial<DeviceOptions> = {}, limits: Partial<Welcome['limits']> = {}) {
  const device = createDevice(options);
  device.start();
  const line = latest().welcome(0, limits);
  return { device, line };
}

function sendFrames(device: Device, count: number): void {
  for (let n = 0; n < count; n++) device.send('environment', [{ ts: n, temperature: 20 }]);
}

beforeEach(() => {
  vi.useFakeTimers();
  for (const list of [lines, acks, states]) list.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

describe('readings', () => {
  it('says hello first, and nothing else before the welcome', () => {
    const device = createDevice({ ack: 'stored', firmware: '1.2' });
    device.start();
    sendFrames(device, 2);
    latest().open();
    expect(latest().said).toEqual([
      { type: 'hello', epoch: device.counter.epoch, ack: 'stored', sdk: expect.any(String), firmware: '1.2' },
    ]);
  });

  it('numbers frames 1, 2, 3 and keeps each until its ack', () => {
    const { device, line } = startOnline();
    sendFrames(device, 3);
    expect(line.seqs).toEqual([1, 2, 3]);
    expect(device.outbox.held).toBe(3);
    line.say({ type: 'ack', seq: 2 });
    expect(acks.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(device.outbox.held).toBe(1);
  });

  it('measures the latency of an ack from the first sending', async () => {
    const { device, line } = startOnline();
    sendFrames(device, 1);
    await vi.advanceTimersByTimeAsync(40);
    line.say({ type: 'ack', seq: 1 });
    expect(acks).toEqual([{ seq: 1, readings: 1, rejected: 0, latencyMs: 40 }]);
  });

  it('after a reconnect drops what the hub holds and sends the rest again under the same numbers', async () => {
    const { device, line } = startOnline();
    sendFrames(device, 4);
    line.end();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest()).not.toBe(line);
    latest().welcome(2);
    expect(latest().epoch).toBe(line.epoch);
    expect(latest().seqs).toEqual([3, 4]);
    expect(device.outbox).toMatchObject({ held: 2, resent: 2 });
    expect(acks.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it('never has more frames under way than the window allows', () => {
    const { device, line } = startOnline({}, { window: 2 });
    sendFrames(device, 5);
    expect(line.seqs).toEqual([1, 2]);
    line.say({ type: 'ack', seq: 1 });
    expect(line.seqs).toEqual([1, 2, 3]);
  });

  it('drops the oldest readings when the outbox is full, and counts them', async () => {
    const { device, line } = startOnline({ outboxReadings: 3 });
    line.end();
    sendFrames(device, 5);
    expect(device.outbox).toMatchObject({ held: 3, room: 0, dropped: 2 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().welcome().seqs).toEqual([3, 4, 5]);
  });

  it('goes on after a drop that is wider than the window', () => {
    const { device, line } = startOnline({ outboxReadings: 2 }, { window: 2 });
    sendFrames(device, 9);
    expect(line.seqs).toEqual([1, 2]);
    line.say({ type: 'ack', seq: 2 });
    expect(line.seqs).toEqual([1, 2, 8]);
    line.say({ type: 'ack', seq: 8 });
    expect(line.seqs).toEqual([1, 2, 8, 9]);
  });

  it('tells of rejected readings, and counts them in the ack', () => {
    const { device, line } = startOnline();
    device.send('environment', [{ temperature: 99 }, { temperature: 20 }]);
    line.say({ type: 'reject', seq: 1, errors: [{ index: 0, path: '/temperature', code: 'maximum', message: 'm' }] });
    line.say({ type: 'ack', seq: 1 });
    expect(acks[0]).toMatchObject({ seq: 1, readings: 2, rejected: 1 });
  });

  it('counts every reading of a frame that was rejected as a whole', () => {
    const { device, line } = startOnline();
    device.send('nothing', [{ a: 1 }, { a: 2 }]);
    line.say({ type: 'reject', seq: 1, errors: [{ path: '/stream', code: 'stream', message: 'm' }] });
    line.say({ type: 'ack', seq: 1 });
    expect(acks[0]).toMatchObject({ readings: 2, rejected: 2 });
  });

  it('refuses a frame that the hub would refuse for its size', () => {
    const { device } = startOnline({}, { readingsPerFrame: 2, frameBytes: 1024 });
    expect(() => device.send('environment', [{}, {}, {}])).toThrow(RangeError);
    expect(() => device.send('environment', [{ text: 'x'.repeat(1024) }])).toThrow(RangeError);
    expect(device.outbox.held).toBe(0);
  });
});

describe('flow', () => {
  const flow = { type: 'flow', reason: 'rate', retryAfterMs: 2_000 } as const;

  it('waits as long as it is told, then begins again with the frame that was not taken', async () => {
    const { device, line } = startOnline();
    sendFrames(device, 4);
    line.say({ ...flow, from: 3 });
    sendFrames(device, 1);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(line.seqs).toEqual([1, 2, 3, 4]);
    await vi.advanceTimersByTimeAsync(1);
    expect(line.seqs).toEqual([1, 2, 3, 4, 3, 4, 5]);
  });

  it('begins a new connection when the awaited frame was dropped meanwhile', async () => {
    const { device, line } = startOnline({ outboxReadings: 2 });
    sendFrames(device, 1);
    line.say({ ...flow, from: 1 });
    sendFrames(device, 2);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(line.closedByDevice).toBe(true);
    expect(latest().welcome().seqs).toEqual([2, 3]);
  });

  it('is over when the connection is', async () => {
    const { device, line } = startOnline();
    sendFrames(device, 1);
    line.say({ ...flow, retryAfterMs: 60_000, from: 1 });
    line.end();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().welcome().seqs).toEqual([1]);
  });
});

describe('epochs', () => {
  it('numbers what it holds from 1 again in a new epoch', () => {
    const { device, line } = startOnline();
    sendFrames(device, 3);
    line.say({ type: 'ack', seq: 1 });
    device.beginEpoch();
    latest().welcome();
    expect(latest().epoch).not.toBe(line.epoch);
    expect(latest().seqs).toEqual([1, 2]);
  });

  it('continues a counter that was kept', () => {
    const { device, line } = startOnline({ counter: { epoch: 'kept', seq: 40 } });
    expect(line.epoch).toBe('kept');
    expect(device.send('environment', [{ temperature: 1 }])).toBe(41);
  });

  it('begins a new epoch when the hub knows higher numbers than the device', () => {
    const device = createDevice({ counter: { epoch: 'kept', seq: 3 } });
    device.start();
    sendFrames(device, 2);
    latest().welcome(40);
    expect(lines).toHaveLength(2);
    expect(latest().welcome().epoch).not.toBe('kept');
    expect(latest().seqs).toEqual([1, 2]);
    expect(acks).toEqual([]);
  });
});

describe('the end of a connection', () => {
  const comesBack: Partial<Closed>[] = [
    { code: 1006 },
    { code: 1000 },
    { code: 1001 },
    { code: 4000 },
    { code: 4003 },
    { code: 4499 },
    { status: 408 },
    { status: 429 },
    { status: 500 },
    { status: 503 },
  ];
  const staysAway: Partial<Closed>[] = [
    { code: 4500 },
    { code: 4502 },
    { code: 4999 },
    { code: 1002 },
    { code: 1003 },
    { code: 1007 },
    { code: 1009 },
    { status: 400 },
    { status: 401 },
    { status: 403 },
    { status: 426 },
  ];

  it.each(comesBack)('comes back after %o', async (why) => {
    startOnline().line.end(why);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines.length).toBeGreaterThan(1);
  });

  it.each(staysAway)('stays away after %o', async (why) => {
    const { device, line } = startOnline();
    line.end({ reason: 'because', ...why });
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(lines).toHaveLength(1);
    expect(states.at(-1)).toBe('refused because');
    device.start();
    expect(lines).toHaveLength(2);
  });

  it('waits at least as long as Retry-After says', async () => {
    const { line } = startOnline();
    line.end({ status: 503, retryAfterMs: 20_000 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(lines).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(250);
    expect(lines).toHaveLength(2);
  });

  it('doubles the longest back-off up to half a minute, and begins small again after an ack', async () => {
    const { device } = startOnline();
    for (const waitMs of [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const before = lines.length;
      latest().end();
      await vi.advanceTimersByTimeAsync(waitMs - 1);
      expect(lines).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(lines).toHaveLength(before + 1);
    }
    sendFrames(device, 1);
    latest().welcome().say({ type: 'ack', seq: 1 });
    latest().end();
    await vi.advanceTimersByTimeAsync(250);
    expect(states.at(-1)).toBe('connecting');
  });

  it('jitters over the whole of the back-off', async () => {
    startOnline({ random: () => 0 }).line.end();
    await vi.advanceTimersByTimeAsync(0);
    expect(lines).toHaveLength(2);
  });

  it('gives up a hub of which nothing is heard, not even a ping', async () => {
    const { line } = startOnline();
    await vi.advanceTimersByTimeAsync(74_000);
    line.ping();
    await vi.advanceTimersByTimeAsync(75_000);
    expect(line.closedByDevice).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(line.closedByDevice).toBe(true);
    expect(lines).toHaveLength(2);
  });

  it('gives up a hub that never says welcome', async () => {
    createDevice().start();
    const line = latest().open();
    await vi.advanceTimersByTimeAsync(16_000);
    expect(line.closedByDevice).toBe(true);
    expect(lines).toHaveLength(2);
  });

  it('does not hear what an old connection still says', async () => {
    const { device, line } = startOnline();
    sendFrames(device, 1);
    line.end();
    await vi.advanceTimersByTimeAsync(250);
    latest().welcome();
    line.say({ type: 'ack', seq: 1 });
    line.end({ code: 4500 });
    expect(device.outbox.held).toBe(1);
    expect(device.state).toBe('online');
  });

  it('after stop keeps what it holds and no timer', async () => {
    const { device, line } = startOnline({ commands: { wait: () => new Promise(() => {}) } });
    sendFrames(device, 1);
    line.command('c', 'wait');
    line.say({ type: 'flow', reason: 'disk', from: 1, retryAfterMs: 5_000 });
    await device.stop();
    await device.stop();
    expect(vi.getTimerCount()).toBe(0);
    expect(device.outbox.held).toBe(1);
    device.start();
    expect(latest().welcome().seqs).toEqual([1]);
  });
});

describe('other frames', () => {
  it('uses the next token from the next connection on', async () => {
    const { line } = startOnline();
    line.say({ type: 'token', token: 'second' });
    expect(line.closedByDevice).toBe(false);
    line.end();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lines.map(({ token }) => token)).toEqual(['first', 'second']);
  });

  it.each([{ code: 4502 }, { status: 401 }])(
    'comes back with the next token after %o of the one before',
    async (why) => {
      const { line } = startOnline();
      line.say({ type: 'token', token: 'second' });
      line.end(why);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(lines.map(({ token }) => token)).toEqual(['first', 'second']);
      latest().end(why);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(lines).toHaveLength(2);
    },
  );

  it('passes over what it does not know', () => {
    const { device, line } = startOnline();
    line.sayText('{"type":"poem","text":"…"}');
    line.sayText('not JSON');
    line.sayText('null');
    expect(device.state).toBe('online');
  });
});

describe('commands', () => {
  it('reports accepted, running and the result', async () => {
    const { line } = startOnline({
      commands: {
        count(_command, report) {
          report(0.5);
          return { counted: 3 };
        },
      },
    });
    line.command('c1', 'count');
    await vi.advanceTimersByTimeAsync(0);
    expect(line.answers).toEqual([
      { type: 'progress', id: 'c1', state: 'accepted' },
      { type: 'progress', id: 'c1', state: 'running', progress: 0.5 },
      { type: 'result', id: 'c1', ok: true, value: { counted: 3 } },
    ]);
  });

  it('runs a repeated id once, and answers it with the earlier result, also on another connection', async () => {
    const run = vi.fn(() => undefined);
    const { line } = startOnline({ commands: { run } });
    line.command('c1', 'run');
    await vi.advanceTimersByTimeAsync(0);
    line.say({ type: 'result-ack', id: 'c1' });
    line.end();
    await vi.advanceTimersByTimeAsync(1_000);
    latest().welcome().command('c1', 'run');
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(1);
    expect(latest().answers).toEqual([{ type: 'result', id: 'c1', ok: true }]);
  });

  it('sends a result again until it is acknowledged', async () => {
    const { line } = startOnline({ commands: { run: () => undefined } });
    line.command('c1', 'run');
    await vi.advanceTimersByTimeAsync(0);
    const result = { type: 'result', id: 'c1', ok: true };
    line.end();
    await vi.advanceTimersByTimeAsync(1_000);
    latest().welcome();
    expect(latest().answers).toEqual([result]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(latest().answers).toEqual([result, result]);
    latest().say({ type: 'result-ack', id: 'c1' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(latest().answers).toEqual([result, result]);
  });

  it('stops repeating a result of a command that the hub does not know any more', async () => {
    const { line } = startOnline({ commands: { run: () => undefined } });
    line.command('c1', 'run');
    await vi.advanceTimersByTimeAsync(0);
    const said = line.answers.length;
    line.say({ type: 'error', code: 'unknown-command', message: '', temporary: false, id: 'c1' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(line.answers).toHaveLength(said);
  });

  it('delivers a result that was ready while there was no connection', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const { line } = startOnline({ commands: { slow: () => promise } });
    line.command('c1', 'slow');
    line.end();
    resolve(undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().welcome().answers).toEqual([{ type: 'result', id: 'c1', ok: true }]);
  });

  it.each(['sing', 'constructor', '__proto__'])('answers unknown-command to "%s"', (name) => {
    const { line } = startOnline({ commands: { run: () => undefined } });
    line.command('c1', name);
    expect(line.answers).toMatchObject([{ type: 'result', ok: false, error: { code: 'unknown-command' } }]);
  });

  it('does not act after the time is up, by the clock of the hub', async () => {
    const run = vi.fn(() => undefined);
    const device = createDevice({ commands: { run } });
    device.start();
    const hubTime = Date.now() - 3_600_000;
    const line = latest().welcome(0, {}, hubTime);
    line.command('late', 'run', {}, hubTime - 1);
    line.command('early', 'run', {}, hubTime + 1_000);
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(1);
    expect(line.answers[0]).toMatchObject({ id: 'late', ok: false, error: { code: 'expired' } });
  });

  it('turns what a handler throws into a failed result', async () => {
    const { line } = startOnline({
      commands: {
        plain: () => {
          throw new Error('no paper');
        },
        coded: () => Promise.reject(new CommandError('jammed', 'the drawer is open')),
      },
    });
    line.command('c1', 'plain');
    line.command('c2', 'coded');
    await vi.advanceTimersByTimeAsync(0);
    const results = line.answers.filter(({ type }) => type === 'result');
    expect(results).toEqual([
      { type: 'result', id: 'c1', ok: false, error: { code: 'failed', message: 'no paper' } },
      { type: 'result', id: 'c2', ok: false, error: { code: 'jammed', message: 'the drawer is open' } },
    ]);
  });

  it('remembers the last hundred, and forgets only what is acknowledged', async () => {
    const run = vi.fn(() => undefined);
    const { line } = startOnline({ commands: { '*': run } });
    for (let n = 0; n < 100; n++) line.command(`c${n}`, 'any');
    line.command('one-too-many', 'any');
    expect(line.answers.at(-1)).toMatchObject({ id: 'one-too-many', ok: false, error: { code: 'busy' } });
    await vi.advanceTimersByTimeAsync(0);
    line.say({ type: 'result-ack', id: 'c0' });
    line.command('one-too-many', 'any');
    line.command('c1', 'any');
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(101);
  });
});
