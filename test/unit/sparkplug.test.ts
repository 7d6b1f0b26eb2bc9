/** The hub as a Sparkplug edge node: what hosts read, decoded by Google's protoc. */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Message } from '../../hub/bridge/link/link-port.ts';
import { Newest } from '../../hub/bridge/sparkplug/edge-history.ts';
import { createEdgeNode, type EdgeNodeDeps } from '../../hub/bridge/sparkplug/edge-node.ts';
import { metricsOfCommand } from '../../hub/bridge/sparkplug/sparkplug.ts';
import { sparkplugCodec } from '../../hub/bridge/sparkplug/sparkplug-codec.ts';
import type { Command } from '../../hub/commands/command.ts';
import type { CommandRequest } from '../../hub/commands/command-request.ts';
import type { Device } from '../../hub/devices/devices.ts';
import type { Presence } from '../../hub/devices/presence.ts';
import { RefusedError, Unavailable } from '../../hub/kit/errors.ts';
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';
import { loadCatalog } from '../../schemas/index.ts';
import { decodeSparkplug, encodeSparkplug } from '../helpers/protoc.ts';
import { createScriptedLink, type ScriptedLink } from '../helpers/scripted-link.ts';

const DOUBLE = 10;
const INT64 = 4;
const BOOLEAN = 11;
const STRING = 12;

const catalog = loadCatalog();
const frameOf = (device: string, stream: string, ...readings: Reading[]): Frame => ({
  ...{ device, stream, readings, epoch: 'e', seq: 1, receivedAt: Date.now() },
});

/** An edge node on a link of the test's own, with two devices of which `a` is online. */
async function startNode({ isConnected = true } = {}) {
  const states: Record<string, Presence['state']> = { a: 'online', b: 'offline' };
  const rows = new Map<string, number>();
  const asked: CommandRequest[] = [];
  const on = {
    presence: (_: string) => {},
    command: (_: Command) => {},
    device: (_: string, __: Device | undefined) => {},
  };
  let link!: ScriptedLink;
  const last: Record<string, Record<string, Reading>> = {};
  const refusals: Record<string, RefusedError> = {};
  const tokenless = new Set<string>();
  const deps = {
    connect: (will: () => Message) => {
      link = createScriptedLink('broker', will);
      return link;
    },
    codec: sparkplugCodec,
    catalog,
    devices: {
      get: (id: string) => (states[id] ? { id, tokens: tokenless.has(id) ? [] : [{}] } : undefined),
      list: () => ({ devices: Object.keys(states).map((id) => ({ id })) }),
      onChange: (listener: typeof on.device) => (on.device = listener),
    },
    presence: {
      of: (id: string) => ({ state: states[id] }),
      onChange: (listener: typeof on.presence) => (on.presence = listener),
    },
    live: { lastOf: (id: string) => last[id] ?? {} },
    repertoire: { of: (id: string) => new Map(Object.keys(last[id] ?? {}).map((stream) => [stream, new Set()])) },
    commands: {
      send: async (request: CommandRequest) => {
        const refusal = refusals[request.name];
        if (refusal) throw refusal;
        asked.push(request);
      },
      onChange: (listener: typeof on.command) => (on.command = listener),
    },
    births: {
      get: (key: string) => (rows.has(key) ? { key, value: rows.get(key)!, revision: 1 } : undefined),
      set: async (key: string, value: number) => rows.set(key, value),
    },
    log: { warn() {}, debug() {} },
  } as unknown as EdgeNodeDeps;
  const make = () =>
    createEdgeNode(deps, { broker: 'b1', group: 'plant', node: 'hub1', version: '1.0.0', markTopic: 'hub/$sparkplug' });
  const node = make();
  onTestFinished(() => node.close());
  if (isConnected) await link.connect();
  return {
    ...{ node, states, rows, asked, last, on, refusals, tokenless, make },
    get link() {
      return link;
    },
    /** What was published since it was asked last. */
    said: () =>
      link.published.splice(0).flatMap(({ topic, payload, qos, retain }) => {
        if (!topic.startsWith('spBv1.0/')) return [];
        return [{ topic, qos, retain, ...decodeSparkplug(payload as Buffer) }];
      }),
    /** Presence and commands are told in the background. */
    settle: () => new Promise((resolve) => setTimeout(resolve, 20)),
  };
}

const topics = (messages: { topic: string }[]) => messages.map(({ topic }) => topic.replace('spBv1.0/plant/', ''));

describe('a birth', () => {
  it('has the number of the will, and the node before its devices', async () => {
    const edge = await startNode({ isConnected: false });
    edge.last.a = { power: { ts: 1_700_000_000_000.5, power: 12.5 } };
    const will = (await edge.link.connect())!;
    expect(will.topic).toBe('spBv1.0/plant/NDEATH/hub1');
    const death = decodeSparkplug(will.payload as Buffer);
    expect(death.seq).toBeUndefined();
    const [birth, device, ...others] = edge.said();
    expect(topics([birth!, device!])).toEqual(['NBIRTH/hub1', 'DBIRTH/hub1/a']);
    expect(others).toEqual([]);
    expect([birth!.seq, device!.seq]).toEqual([0, 1]);
    expect([birth!.qos, birth!.retain ?? false]).toEqual([0, false]);
    const numbers = [death, birth!].map(({ metrics }) => metrics.find(({ name }) => name === 'bdSeq'));
    expect(numbers[0]!.value).toBe(0n);
    expect(numbers[1]!.value).toBe(0n);
    const rebirth = birth!.metrics.find(({ name }) => name === 'Node Control/Rebirth');
    expect(rebirth).toMatchObject({ datatype: BOOLEAN, value: false });
  });

  it('offers no commands of a device that lives on a broker, for nobody would take them', async () => {
    const edge = await startNode({ isConnected: false });
    edge.last.a = { power: { ts: 1_700_000_000_000, power: 12.5 } };
    const commandsOf = (birth: { metrics: { name: string }[] } | undefined) =>
      birth!.metrics.filter(({ name }) => name.startsWith('commands/'));
    await edge.link.connect();
    expect(commandsOf(edge.said()[1])).not.toEqual([]);
    edge.tokenless.add('a');
    edge.link.disconnect();
    await edge.link.connect();
    expect(commandsOf(edge.said()[1])).toEqual([]);
  });

  it('tells every field of the streams a device has, with type, unit and last value', async () => {
    const edge = await startNode({ isConnected: false });
    edge.last.a = { machine: { ts: 1_700_000_000_000, temperature: 20.5, cycles: -3, state: 'idle' } };
    await edge.link.connect();
    const { metrics } = edge.said()[1]!;
    const at = 1_700_000_000_000;
    const of = (name: string) => metrics.find((metric) => metric.name === name);
    expect(of('machine/temperature')).toEqual({
      ...{ name: 'machine/temperature', datatype: DOUBLE, timestamp: at, value: 20.5, unit: '°C' },
    });
    // Two's complement, as the specification wants it.
    expect(of('machine/cycles')).toMatchObject({ datatype: INT64, value: 2n ** 64n - 3n });
    expect(of('machine/state')).toMatchObject({ datatype: STRING, value: 'idle' });
    expect(of('machine/rpm')).toMatchObject({ datatype: DOUBLE, is_null: true, unit: 'rpm' });
    expect(of('environment/temperature')).toBeUndefined();
  });

  it('tells how each command is asked for', () => {
    const written = [...catalog.commands.values()].flatMap(metricsOfCommand).map(({ name, type }) => `${name} ${type}`);
    expect(written.sort()).toEqual([
      'commands/identify Boolean',
      'commands/identify/seconds Int64',
      'commands/read-now Boolean',
      'commands/reboot Boolean',
      'commands/reboot/delaySeconds Int64',
      'commands/set-config String',
      'commands/set-interval/seconds Double',
    ]);
  });

  it('comes again with each connection, with the next number, also after a restart', async () => {
    const edge = await startNode();
    edge.said();
    edge.link.disconnect();
    await edge.link.connect();
    expect(edge.said()[0]!.metrics[0]).toMatchObject({ name: 'bdSeq', value: 1n });
    edge.rows.set('sparkplug-b1', 255);
    const restarted = edge.make();
    await edge.link.connect();
    expect(edge.said()[0]!.metrics[0]!.value).toBe(0n);
    await restarted.close();
  });

  it('comes again when a host asks, and once when it asks ten times', async () => {
    const edge = await startNode();
    await edge.node.write([frameOf('a', 'power', { ts: Date.now(), power: 1 })]);
    edge.said();
    const rebirth = encodeSparkplug(
      'timestamp: 1 metrics { name: "Node Control/Rebirth" datatype: 11 boolean_value: true }',
    );
    for (let time = 0; time < 10; time++) await edge.link.deliver('spBv1.0/plant/NCMD/hub1', rebirth);
    await expect.poll(() => edge.link.published.length).toBeGreaterThan(0);
    await edge.settle();
    const births = edge.said();
    expect(topics(births)).toEqual(['NBIRTH/hub1', 'DBIRTH/hub1/a']);
    expect(births.map(({ seq }) => seq)).toEqual([0, 1]);
  });
});

describe('data', () => {
  it('is counted from the birth on, and begins again after 255', async () => {
    const edge = await startNode();
    const now = Date.now();
    const frames = Array.from({ length: 300 }, (_, at) => frameOf('a', 'power', { ts: now + at, power: at }));
    edge.link.published.splice(0);
    await edge.node.write(frames);
    const sent = edge.link.published.filter(({ topic }) => topic.startsWith('spBv1.0/'));
    // The stream was not in the birth: the device is born again with it.
    expect(sent.map(({ topic }) => topic.split('/')[2])).toEqual(['DBIRTH', ...frames.map(() => 'DDATA')]);
    const ends = [0, 1, 253, 254, 300].map((at) => decodeSparkplug(sent[at]!.payload as Buffer).seq);
    expect(ends).toEqual([2, 3, 255, 0, 46]);
  });

  it('carries the time of each reading and only the fields it has', async () => {
    const edge = await startNode();
    const ts = Date.now();
    await edge.node.write([frameOf('a', 'environment', { ts, temperature: 21.5, occupied: true })]);
    expect(edge.said().at(-1)).toMatchObject({
      topic: 'spBv1.0/plant/DDATA/hub1/a',
      qos: 0,
      metrics: [
        { name: 'environment/temperature', datatype: DOUBLE, timestamp: ts, value: 21.5 },
        { name: 'environment/occupied', datatype: BOOLEAN, timestamp: ts, value: true },
      ],
    });
  });

  it('ends each batch with a message that the broker must acknowledge', async () => {
    const edge = await startNode();
    await edge.node.write([frameOf('a', 'power', { ts: Date.now(), power: 1 })]);
    const mark = edge.link.published.at(-1)!;
    expect([mark.topic, mark.qos ?? 1]).toEqual(['hub/$sparkplug', 1]);
  });

  it('is delivered when the broker answers, if only that nobody may publish the mark', async () => {
    const edge = await startNode();
    edge.link.refuse = /sparkplug$/;
    await expect(edge.node.write([frameOf('a', 'power', { ts: Date.now(), power: 1 })])).resolves.toEqual([]);
  });

  it('is unavailable while there is no broker', async () => {
    const edge = await startNode({ isConnected: false });
    const write = edge.node.write([frameOf('a', 'power', { ts: 1, power: 1 })]);
    await expect(write).rejects.toBeInstanceOf(Unavailable);
  });

  it('of a connection that ended is not said in the next one', async () => {
    const edge = await startNode();
    const frames = Array.from({ length: 50 }, (_, at) => frameOf('a', 'power', { ts: Date.now() + at, power: at }));
    const write = edge.node.write(frames).catch((error) => error);
    edge.link.disconnect();
    edge.link.published.splice(0);
    await edge.link.connect();
    expect(await write).toBeInstanceOf(Unavailable);
    expect(topics(edge.said())).toEqual(['NBIRTH/hub1', 'DBIRTH/hub1/a']);
  });

  it('that the broker refuses for good leaves no hole in the count', async () => {
    const edge = await startNode();
    await edge.node.write([frameOf('a', 'power', { ts: Date.now(), power: 1 })]);
    edge.link.refuse = /DDATA/;
    await edge.node.write([frameOf('a', 'power', { ts: Date.now(), power: 2 })]);
    edge.link.refuse = undefined;
    edge.said();
    await edge.node.write([frameOf('a', 'power', { ts: Date.now(), power: 3 })]);
    expect(edge.said()[0]!.seq).toBe(4);
  });
});

describe('what waited', () => {
  it('is history, but for the newest reading of each series', () => {
    const now = 1_000_000;
    const frame = frameOf('a', 'power', { ts: 1, power: 1 }, { ts: 2, power: 2 });
    const older = frame.readings[0]!;
    const newer = frame.readings[1]!;
    const alone = new Newest([frame], { lastOf: () => ({}) }, now);
    expect([older, newer].map((reading) => alone.isHistory(frame, reading))).toEqual([true, false]);
    const since = new Newest([frame], { lastOf: () => ({ power: { ts: 3 } }) }, now);
    expect(since.isHistory(frame, newer)).toBe(true);
    expect(new Newest([frame], { lastOf: () => ({}) }, 5_000).isHistory(frame, older)).toBe(false);
  });

  it('has the flag on the wire', async () => {
    const edge = await startNode();
    await edge.node.write([frameOf('a', 'power', { ts: 1_700_000_000_000, power: 1 }, { ts: Date.now(), power: 2 })]);
    const { metrics } = edge.said().at(-1)!;
    expect(metrics.map(({ value, is_historical = false }) => [value, is_historical])).toEqual([
      [1, true],
      [2, false],
    ]);
  });

  it('of a device that is away is told between its birth and its death', async () => {
    const edge = await startNode();
    edge.said();
    await edge.node.write([frameOf('b', 'power', { ts: 1_700_000_000_000, power: 1 })]);
    expect(topics(edge.said())).toEqual(['DBIRTH/hub1/b', 'DDATA/hub1/b', 'DDEATH/hub1/b']);
  });

  it('of a device that was removed is left out', async () => {
    const edge = await startNode();
    edge.said();
    await edge.node.write([frameOf('gone', 'power', { ts: 1, power: 1 })]);
    expect(edge.said()).toEqual([]);
  });
});

describe('a device', () => {
  it('dies when it goes and is born when it comes', async () => {
    const edge = await startNode();
    edge.said();
    for (const [id, state] of [
      ['a', 'offline'],
      ['b', 'online'],
    ] as const) {
      edge.states[id] = state;
      edge.on.presence(id);
      await edge.settle();
    }
    const told = edge.said();
    expect(topics(told)).toEqual(['DDEATH/hub1/a', 'DBIRTH/hub1/b']);
    expect(told.map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it('that comes while others are born is born after them', async () => {
    const edge = await startNode({ isConnected: false });
    const connecting = edge.link.connect();
    edge.states.b = 'online';
    edge.states.a = 'offline';
    await new Promise((resolve) => setImmediate(resolve));
    edge.on.presence('b');
    edge.on.presence('a');
    await connecting;
    await edge.settle();
    const told = edge.said();
    expect(topics(told)).toContain('DBIRTH/hub1/b');
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, at) => at));
  });

  it('that changes while the broker is coming back is told after the birth of the node', async () => {
    const edge = await startNode();
    edge.said();
    edge.link.disconnect();
    edge.states.b = 'online';
    edge.on.presence('b');
    const connecting = edge.link.connect();
    edge.on.presence('b');
    await connecting;
    await edge.settle();
    expect(topics(edge.said())).toEqual(['NBIRTH/hub1', 'DBIRTH/hub1/a', 'DBIRTH/hub1/b']);
  });

  it('that is only silent lives', async () => {
    const edge = await startNode();
    edge.said();
    edge.states.a = 'silent';
    edge.on.presence('a');
    await edge.settle();
    expect(edge.said()).toEqual([]);
  });

  it('dies when it is removed', async () => {
    const edge = await startNode();
    edge.said();
    delete edge.states.a;
    edge.on.device('a', undefined);
    await edge.settle();
    expect(topics(edge.said())).toEqual(['DDEATH/hub1/a']);
  });
});

describe('a DCMD', () => {
  const topic = 'spBv1.0/plant/DCMD/hub1/a';
  const interval = encodeSparkplug(
    'timestamp: 1700000000000 metrics { name: "commands/set-interval/seconds" datatype: 10 double_value: 5 }',
  );

  it('is a command, and the same one when it comes twice', async () => {
    const edge = await startNode();
    await edge.link.deliver(topic, interval);
    await edge.link.deliver(topic, interval, { dup: true });
    expect(edge.asked[0]).toMatchObject({
      ...{ device: 'a', name: 'set-interval', params: { seconds: 5 }, actor: 'mqtt:sparkplug-b1' },
    });
    expect(edge.asked[0]!.id).toMatch(/^sp-[0-9a-f]{40}$/);
    expect(edge.asked[1]!.id).toBe(edge.asked[0]!.id);
  });

  it('runs what needs no parameters, gathers those of one command, and takes JSON', async () => {
    const edge = await startNode();
    const payload = encodeSparkplug(`timestamp: 2
      metrics { name: "commands/reboot" datatype: 11 boolean_value: true }
      metrics { name: "commands/reboot/delaySeconds" datatype: 4 long_value: 30 }
      metrics { name: "commands/read-now" datatype: 11 boolean_value: false }
      metrics { name: "commands/set-config" datatype: 12 string_value: "{\\"settings\\":{\\"a\\":1}}" }`);
    await edge.link.deliver(topic, payload);
    expect(edge.asked.map(({ name, params }) => [name, params])).toEqual([
      ['reboot', { delaySeconds: 30 }],
      ['set-config', { settings: { a: 1 } }],
    ]);
  });

  it('that cannot be taken is counted and harms nothing', async () => {
    const edge = await startNode();
    edge.refusals['read-now'] = new RefusedError('queue-full', 'full');
    const metrics = ['metrics { name: "commands/nothing" datatype: 11 boolean_value: true }', 'metrics { alias: 7 }'];
    metrics.push('metrics { name: "commands/set-config" datatype: 12 string_value: "[1" }');
    metrics.push('metrics { name: "commands/read-now" datatype: 11 boolean_value: true }');
    await edge.link.deliver(topic, encodeSparkplug(metrics.join('\n')));
    for (const garbage of ['', '\xff\xff\xff', '{"a":1}', '\x12\xff\xff\xff\xff\x0f']) {
      await edge.link.deliver(topic, Buffer.from(garbage, 'latin1'));
    }
    expect(edge.asked).toEqual([]);
    expect(edge.node.refused).toBe(7);
  });

  it('that succeeded becomes the value of its metric', async () => {
    const edge = await startNode();
    edge.said();
    const command = { device: 'a', name: 'set-interval', params: { seconds: 5 }, finishedAt: 1_700_000_000_000 };
    edge.on.command({ ...command, state: 'sent' } as unknown as Command);
    edge.on.command({ ...command, state: 'succeeded' } as unknown as Command);
    await edge.settle();
    expect(edge.said()).toMatchObject([
      {
        topic: 'spBv1.0/plant/DDATA/hub1/a',
        metrics: [{ name: 'commands/set-interval/seconds', value: 5, timestamp: 1_700_000_000_000 }],
      },
    ]);
  });
});

describe('the end', () => {
  it('is said before the goodbye, with the number of the birth', async () => {
    const edge = await startNode();
    const [birth] = edge.said();
    await edge.node.close();
    const death = edge.said();
    expect(topics(death)).toEqual(['NDEATH/hub1']);
    expect(death[0]!.metrics[0]!.value).toBe(birth!.metrics[0]!.value);
    await edge.node.close();
    expect(edge.said()).toEqual([]);
  });
});
