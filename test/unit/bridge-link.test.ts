/** The link to a broker with connections that the test scripts: window, order, deadlines, reconnects, versions. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection, ConnectionEvents, DialOptions, Ending, Welcome } from '../../hub/bridge/link/connection.ts';
import { Link } from '../../hub/bridge/link/link.ts';
import type { Incoming, LinkOptions, Message } from '../../hub/bridge/link/link-port.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { createTestLog } from '../helpers/log.ts';

/** A connection that does nothing by itself. */
class Scripted implements Connection {
  readonly options: DialOptions;
  readonly events: ConnectionEvents;
  readonly sent: { message: Message; done: (error?: Error) => void }[] = [];
  readonly subscribed: string[] = [];
  readonly ids = new Map<string, number>();
  readonly unsubscribed: string[] = [];
  readonly acknowledged: number[] = [];
  isClosed = false;
  constructor(options: DialOptions, events: ConnectionEvents) {
    this.options = options;
    this.events = events;
  }
  publish(message: Message, done: (error?: Error) => void): void {
    this.sent.push({ message, done });
  }
  async subscribe(filter: string, id: number): Promise<void> {
    this.subscribed.push(filter);
    this.ids.set(filter, id);
  }
  async unsubscribe(filters: readonly string[]): Promise<void> {
    this.unsubscribed.push(...filters);
  }
  acknowledge(messageId: number): void {
    this.acknowledged.push(messageId);
  }
  async close(): Promise<void> {
    this.isClosed = true;
    this.events.onEnd({ kind: 'lost', message: 'closed' });
  }
  cut(ending: Ending): void {
    this.events.onEnd(ending);
  }
  topics() {
    return this.sent.map(({ message }) => message.topic);
  }
}

function createTestLink(options: Partial<LinkOptions> = {}) {
  const dialled: Scripted[] = [];
  const { log, entries } = createTestLog();
  const link = new Link(
    { name: 'b', url: 'mqtt://b', clientId: 'c', version: 5, windowMessages: 2, timeoutMs: 1_000, ...options },
    log,
    (dialOptions, events) => {
      const connection = new Scripted(dialOptions, events);
      dialled.push(connection);
      return connection;
    },
  );
  return { link, dialled, entries, last: () => dialled.at(-1)! };
}

const settle = () => vi.advanceTimersByTimeAsync(0);
const welcome = async (connection: Scripted, words: Partial<Welcome> = {}) => {
  connection.events.onWelcome({ sessionPresent: false, ...words });
  await settle();
};
const incoming = (topic: string, dup = false): Incoming => ({
  ...{ topic, dup, retain: false, payload: Buffer.from('x'), properties: {} },
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('publishing over a link', () => {
  it('is refused at once while there is no connection, so that nothing is queued', async () => {
    const { link } = createTestLink();
    await expect(link.publish({ topic: 'a', payload: '' })).rejects.toThrow(Unavailable);
    link.open();
    await expect(link.publish({ topic: 'a', payload: '' })).rejects.toThrow('not connected');
    await link.close();
  });

  it('keeps no more than its window in flight, and sends in the order of the calls', async () => {
    const { link, last } = createTestLink();
    link.open();
    await welcome(last());
    const done: string[] = [];
    for (const topic of ['1', '2', '3', '4']) void link.publish({ topic, payload: '' }).then(() => done.push(topic));
    await settle();
    expect(last().topics()).toEqual(['1', '2']);
    expect(link.status()).toMatchObject({ inFlight: 2, window: 2 });
    last().sent[0]!.done();
    await settle();
    expect(last().topics()).toEqual(['1', '2', '3']);
    for (const at of [1, 2]) last().sent[at]!.done();
    await settle();
    last().sent[3]!.done();
    await settle();
    expect(done).toEqual(['1', '2', '3', '4']);
    expect(link.status()).toMatchObject({ inFlight: 0, published: 4 });
    await link.close();
  });

  it('heeds the smaller window of the broker, and its largest packet', async () => {
    const { link, last } = createTestLink({ windowMessages: 100 });
    link.open();
    await welcome(last(), { receiveMaximum: 1, maximumPacketBytes: 200 });
    const sends = ['1', '2'].map((topic) => link.publish({ topic, payload: '' }).catch(() => {}));
    expect(last().topics()).toEqual(['1']);
    expect(link.status()).toMatchObject({ inFlight: 1, window: 1 });
    await expect(link.publish({ topic: '3', payload: 'x'.repeat(200) })).rejects.toThrow('the broker takes 200');
    await expect(link.publish({ topic: 'a/#', payload: '' })).rejects.toThrow('wildcard');
    await link.close();
    await Promise.all(sends);
  });

  it('gives everybody who waits an Unavailable when the connection ends', async () => {
    const { link, last } = createTestLink();
    link.open();
    await welcome(last());
    const sends = ['1', '2', '3'].map((topic) => link.publish({ topic, payload: '' }).catch((error) => error));
    last().events.onEnd({ kind: 'lost', message: 'the cable was pulled' });
    for (const error of await Promise.all(sends)) {
      expect(error).toBeInstanceOf(Unavailable);
      expect(error.message).toContain('the cable was pulled');
    }
    await link.close();
  });

  it('makes a new connection when the broker does not acknowledge in time', async () => {
    const { link, dialled, last } = createTestLink();
    link.open();
    await welcome(last());
    const send = link.publish({ topic: '1', payload: '' }).catch((error) => error.message);
    await vi.advanceTimersByTimeAsync(1_300);
    expect(await send).toContain('did not acknowledge a message within 1000 ms');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(dialled.length).toBeGreaterThan(1);
    await link.close();
  });

  it('waits for the births, which come first', async () => {
    const { link, last } = createTestLink();
    link.onConnect(() => link.publish({ topic: 'birth', payload: '' }));
    link.open();
    await welcome(last());
    expect(last().topics()).toEqual(['birth']);
    expect(link.isConnected).toBe(false);
    last().sent[0]!.done();
    await settle();
    expect(link.isConnected).toBe(true);
    await link.close();
  });
});

describe('messages from a broker', () => {
  it('are acknowledged in the order in which they came, each after its handler', async () => {
    const { link, last } = createTestLink();
    const ends: (() => void)[] = [];
    link.subscribe('a/+', () => new Promise<void>((resolve) => ends.push(resolve)));
    link.open();
    await welcome(last());
    for (const messageId of [1, 2, 3]) {
      last().events.onMessage({ message: incoming('a/b'), messageId, subscriptions: [] }, () => {});
    }
    ends[1]!();
    await settle();
    expect(last().acknowledged).toEqual([]);
    ends[0]!();
    await settle();
    expect(last().acknowledged).toEqual([1, 2]);
    await link.close();
  });

  it('go to each handler whose subscription they are for', async () => {
    const { link, last } = createTestLink();
    const heard: string[] = [];
    link.subscribe('a/+', async () => void heard.push('a/+'));
    link.subscribe('a/#', async () => void heard.push('a/#'));
    link.open();
    await welcome(last());
    const id = last().ids.get('a/#')!;
    last().events.onMessage({ message: incoming('a/b'), messageId: 1, subscriptions: [id] }, () => {});
    expect(heard).toEqual(['a/#']);
    last().events.onMessage({ message: incoming('a/b'), messageId: 2, subscriptions: [] }, () => {});
    expect(heard).toEqual(['a/#', 'a/+', 'a/#']);
    await link.close();
  });

  it('end the connection unacknowledged when a handler fails, so that they come again', async () => {
    const { link, dialled, last } = createTestLink();
    link.subscribe('a', async () => {
      throw new Unavailable('the journal is full');
    });
    link.open();
    await welcome(last());
    last().events.onMessage({ message: incoming('a'), messageId: 1, subscriptions: [] }, () => {});
    await settle();
    expect(dialled[0]!.acknowledged).toEqual([]);
    expect(link.status()).toMatchObject({
      state: 'connecting',
      lastError: expect.stringContaining('the journal is full'),
    });
    await link.close();
  });

  it('are not read on while too many are in hand', async () => {
    const { link, last } = createTestLink();
    const ends: (() => void)[] = [];
    link.subscribe('a', () => new Promise<void>((resolve) => ends.push(resolve)));
    link.open();
    await welcome(last());
    let resumed = 0;
    for (let messageId = 1; messageId <= 100; messageId++) {
      last().events.onMessage({ message: incoming('a'), messageId, subscriptions: [] }, () => resumed++);
    }
    expect(resumed).toBe(99);
    ends[0]!();
    await settle();
    expect(resumed).toBe(100);
    await link.close();
  });

  it('of subscriptions that nobody wants any more are ended', async () => {
    const kept: string[][] = [];
    const remembered = {
      filters: () => ['old/#', 'a'],
      keep: async (filters: readonly string[]) => void kept.push([...filters]),
    };
    const { link, last } = createTestLink({ remembered });
    link.subscribe('a', async () => {});
    link.open();
    expect(last().options.clean).toBe(false);
    await welcome(last(), { sessionPresent: true });
    expect(last().unsubscribed).toEqual(['old/#']);
    expect(kept).toEqual([['a']]);
    expect(last().subscribed).toEqual(['a']);
    await link.close();
  });
});

describe('a connection that ends', () => {
  it('is made anew, later each time, and told once', async () => {
    const { link, dialled, entries, last } = createTestLink();
    link.open();
    for (let at = 0; at < 5; at++) {
      last().events.onEnd({ kind: 'lost', message: 'nothing listens there' });
      await vi.advanceTimersByTimeAsync(30_100);
    }
    expect(dialled.length).toBe(6);
    expect(entries.filter(({ level }) => level === 'warn')).toHaveLength(1);
    await link.close();
  });

  it('as refused is tried again slowly, with an error for the operator', async () => {
    const { link, dialled, entries, last } = createTestLink();
    link.open();
    last().events.onEnd({ kind: 'refused', message: 'it does not take this password' });
    expect(link.status()).toMatchObject({ state: 'refused', lastError: 'it does not take this password' });
    await expect(link.publish({ topic: 'a', payload: '' })).rejects.toMatchObject({ stalled: true });
    await vi.advanceTimersByTimeAsync(29_000);
    expect(dialled.length).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(dialled.length).toBe(2);
    expect(entries.filter(({ level }) => level === 'error')).toHaveLength(1);
    await link.close();
  });

  it('because MQTT 5 is unknown is made anew at once in 3.1.1, and stays there', async () => {
    const { link, dialled, last } = createTestLink();
    link.open();
    expect(last().options.version).toBe(5);
    last().events.onEnd({ kind: 'version', message: 'it does not speak this version of MQTT' });
    await settle();
    await vi.advanceTimersByTimeAsync(1);
    expect(last().options.version).toBe(4);
    await welcome(last());
    last().events.onEnd({ kind: 'lost', message: 'gone' });
    await vi.advanceTimersByTimeAsync(30_100);
    expect(dialled.map(({ options }) => options.version)).toEqual([5, 4, 4]);
    await link.close();
  });

  it('without a word three times is tried once in 3.1.1', async () => {
    const { link, dialled, last } = createTestLink();
    link.open();
    for (let at = 0; at < 4; at++) {
      last().events.onEnd({ kind: 'mute', message: 'the broker ended the connection' });
      await vi.advanceTimersByTimeAsync(30_100);
    }
    expect(dialled.map(({ options }) => options.version)).toEqual([5, 5, 5, 4, 5]);
    await link.close();
  });

  it('has a will of its own each time', async () => {
    let wills = 0;
    const { link, dialled, last } = createTestLink({ will: () => ({ topic: `will/${++wills}`, payload: '' }) });
    link.open();
    last().events.onEnd({ kind: 'lost', message: 'gone' });
    await vi.advanceTimersByTimeAsync(30_100);
    expect(dialled.map(({ options }) => options.will?.topic)).toEqual(['will/1', 'will/2']);
    await link.close();
  });

  it('by close stays ended, and nothing is left running', async () => {
    const { link, dialled, last } = createTestLink();
    link.open();
    await welcome(last());
    await Promise.all([link.close(), link.close()]);
    expect(dialled[0]!.isClosed).toBe(true);
    expect(link.status().state).toBe('closed');
    expect(vi.getTimerCount()).toBe(0);
  });
});
