/** What the bridge publishes of readings, presence and removed devices, over a link in memory. */
import { describe, expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import { createBirths, willOf } from '../../hub/bridge/births.ts';
import { type ClearingRow, createClearings } from '../../hub/bridge/clearings.ts';
import type { BrokerLink, Message } from '../../hub/bridge/link/link-port.ts';
import { RefusedByBroker } from '../../hub/bridge/link/link-port.ts';
import { epochOf, MAX_HUBS } from '../../hub/bridge/origin.ts';
import { createOutbound } from '../../hub/bridge/outbound.ts';
import { compilePayload } from '../../hub/bridge/payload.ts';
import { compileTopics } from '../../hub/bridge/topics.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { frameOf, T0 } from '../helpers/frames.ts';

const topics = compileTopics('hub', {
  telemetry: '{prefix}/{device}/telemetry/{stream}',
  status: '{prefix}/{device}/status',
  command: '{prefix}/{device}/command/{command}',
  result: '{prefix}/{device}/result/{command}',
  state: '{prefix}/$state',
});

/** Takes everything, unless `answer` says otherwise. */
class MemoryLink implements BrokerLink {
  readonly name = 'b';
  isConnected = true;
  readonly sent: Message[] = [];
  answer: (message: Message) => Error | undefined = () => undefined;
  readonly #births: (() => Promise<void>)[] = [];

  async publish(message: Message): Promise<void> {
    await Promise.resolve();
    const error = this.answer(message);
    if (error) throw error;
    this.sent.push(message);
  }
  subscribe(): void {}
  onConnect(listener: () => Promise<void>): void {
    this.#births.push(listener);
  }
  async connect(): Promise<void> {
    for (const birth of this.#births) await birth();
    this.isConnected = true;
  }
  status() {
    const state = this.isConnected ? ('connected' as const) : ('connecting' as const);
    return { ...{ name: 'b', url: 'mqtt://b', state, since: 0, version: 5 as const }, ...COUNTS };
  }
  async close(): Promise<void> {}
  said() {
    return this.sent.map(({ topic, payload }) => `${topic} ${payload}`);
  }
}

const COUNTS = { inFlight: 0, window: 1, published: 0, received: 0 };
const options = { topics, payloadOf: compilePayload(''), hubId: 'h1' };
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
const fail = (error: unknown) => {
  throw error;
};

describe('the sink of a broker', () => {
  const frames = ['a', 'b', 'c'].map((device, at) => frameOf(device, 'power', [{ ts: T0 + at, power: at }]));

  it('publishes each reading with the hub and the origin', async () => {
    const link = new MemoryLink();
    const sink = createOutbound(link, options);
    expect(sink).toMatchObject({ name: 'mqtt-b', begin: 'end' });
    expect(
      await sink.write([
        frameOf('a', 'power', [
          { ts: T0, power: 1 },
          { ts: T0 + 1, power: 2 },
        ]),
      ]),
    ).toEqual([]);
    expect(link.said()).toEqual([
      `hub/a/telemetry/power {"ts":${T0},"power":1}`,
      `hub/a/telemetry/power {"ts":${T0 + 1},"power":2}`,
    ]);
    expect(link.sent[0]!.properties?.userProperties).toEqual({ hub: ['h1'], origin: 'device' });
  });

  it('is unavailable while the broker is away, and publishes nothing then', async () => {
    const link = new MemoryLink();
    link.isConnected = false;
    const failure = await createOutbound(link, options)
      .write(frames)
      .catch((error) => error);
    expect(failure).toBeInstanceOf(Unavailable);
    // The link waits for the broker already: a back-off of the sink on top would only delay what waits.
    expect(failure.retryAfterMs).toBeLessThan(1_000);
    expect(link.sent).toEqual([]);
  });

  it('goes on behind what was acknowledged when a batch is tried again', async () => {
    const link = new MemoryLink();
    const sink = createOutbound(link, options);
    link.answer = ({ topic }) => (topic.includes('/b/') ? new Unavailable('gone') : undefined);
    await expect(sink.write(frames)).rejects.toThrow('gone');
    link.answer = () => undefined;
    link.sent.length = 0;
    expect(await sink.write(frames)).toEqual([]);
    expect(link.sent.map(({ topic }) => topic)).toEqual(['hub/b/telemetry/power', 'hub/c/telemetry/power']);
  });

  it('names the readings that the broker will never take, also when the batch had to be tried again', async () => {
    const link = new MemoryLink();
    const sink = createOutbound(link, options);
    const answers = [new RefusedByBroker('too large'), new Unavailable('gone')];
    link.answer = () => answers.shift();
    await expect(sink.write(frames)).rejects.toThrow('gone');
    const refused = await sink.write(frames);
    expect(refused.map(({ frame, message }) => `${frame.device} ${message}`)).toEqual(['a b: too large']);
  });

  it('hands over a large batch in slices, for the link takes only so many at a time', async () => {
    const link = new MemoryLink();
    let waiting = 0;
    let most = 0;
    link.publish = async () => {
      most = Math.max(most, ++waiting);
      await turn();
      waiting -= 1;
    };
    const readings = Array.from({ length: 1_000 }, (_, at) => ({ ts: T0 + at, power: at }));
    const batch = Array.from({ length: 12 }, (_, at) => frameOf(`d${at}`, 'power', readings));
    expect(await createOutbound(link, options).write(batch)).toEqual([]);
    expect(most).toBe(5_000);
  });

  it('sends nothing back to the topic it came from, and carries on the list of hubs elsewhere', async () => {
    const link = new MemoryLink();
    const sink = createOutbound(link, options);
    const from = (broker: string, topic: string, hubs: string[]) => ({
      ...frameOf('a', 'power', [{ ts: T0, power: 1 }]),
      epoch: epochOf({ broker, topic, hubs }),
    });
    const own = from('b', 'hub/a/telemetry/power', []);
    expect(await sink.write([own, from('b', 'zigbee2mqtt/a', ['h0'])])).toEqual([]);
    expect(link.sent).toHaveLength(1);
    expect(link.sent[0]!.properties?.userProperties).toEqual({ hub: ['h0', 'h1'], origin: 'mqtt:b' });
    expect(sink.countOf?.(own)).toBe(0);
    const round = Array.from({ length: MAX_HUBS }, (_, at) => `h${at}`);
    await sink.write([from('c', 'x', round)]);
    expect(link.sent).toHaveLength(1);
  });
});

describe('births', () => {
  function createTestBirths(announcesDevices = true) {
    const link = new MemoryLink();
    link.isConnected = false;
    const states = new Map([
      ['a', 'online'],
      ['b', 'offline'],
    ]);
    const clearings = { clear: (list: readonly string[]) => void cleared.push(...list), keep() {} };
    const cleared: string[] = [];
    const births = createBirths(link, {
      ...{ topics, clearings, announcesDevices, onError: fail },
      devices: () => states.keys(),
      stateOf: (device) => states.get(device),
    });
    return { link, births, states, cleared };
  }

  it('announce every device and then the hub at each connect, retained', async () => {
    const { link } = createTestBirths();
    await link.connect();
    expect(link.said()).toEqual(['hub/a/status online', 'hub/b/status offline', 'hub/$state online']);
    expect(link.sent.every(({ retain }) => retain)).toBe(true);
    await link.connect();
    expect(link.sent).toHaveLength(6);
  });

  it('tell the newest state of each change', async () => {
    const { link, births, states } = createTestBirths();
    await link.connect();
    link.sent.length = 0;
    states.set('a', 'silent');
    births.changed('a');
    states.set('a', 'offline');
    births.changed('a');
    await turn();
    expect(link.said().at(-1)).toBe('hub/a/status offline');
  });

  it('keep nothing while the broker is away: the next connect says all', async () => {
    const { link, births, states } = createTestBirths();
    await link.connect();
    link.isConnected = false;
    link.sent.length = 0;
    states.set('a', 'offline');
    births.changed('a');
    await turn();
    expect(link.sent).toEqual([]);
    await link.connect();
    expect(link.said()).toContain('hub/a/status offline');
  });

  it('clear a removed device, and say goodbye', async () => {
    const { link, births, states, cleared } = createTestBirths();
    await link.connect();
    states.delete('a');
    births.removed('a');
    expect(cleared).toEqual(['hub/a/status']);
    await births.close();
    expect(link.sent.at(-1)).toEqual(willOf(topics));
  });

  it('are of the hub alone on a broker that gets no telemetry', async () => {
    const { link, births } = createTestBirths(false);
    await link.connect();
    births.changed('a');
    await turn();
    expect(link.said()).toEqual(['hub/$state online']);
  });
});

describe('clearings', () => {
  const openTable = () => {
    const backplane = openBackplane(':memory:');
    return { backplane, table: backplane.table<ClearingRow>('mqtt-clearings') };
  };

  it('are remembered until the broker has taken them', async () => {
    const { backplane, table } = openTable();
    const away = new MemoryLink();
    away.answer = () => new Unavailable('away');
    createClearings(away, { table, onError: fail }).clear(['hub/a/status', 'hub/b/status']);
    await expect.poll(() => table.size).toBe(2);
    const back = new MemoryLink();
    createClearings(back, { table, onError: fail });
    await back.connect();
    expect(back.said()).toEqual(['hub/a/status ', 'hub/b/status ']);
    expect(back.sent.every(({ retain }) => retain)).toBe(true);
    expect(table.size).toBe(0);
    await backplane.close();
  });

  it('are given up when the device is there again', async () => {
    const { backplane, table } = openTable();
    const link = new MemoryLink();
    link.answer = () => new Unavailable('away');
    const clearings = createClearings(link, { table, onError: fail });
    clearings.clear(['hub/a/status']);
    await expect.poll(() => table.size).toBe(1);
    clearings.keep('hub/a/status');
    await expect.poll(() => table.size).toBe(0);
    await backplane.close();
  });
});
