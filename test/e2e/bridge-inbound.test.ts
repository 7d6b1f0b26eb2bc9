/** Telemetry of devices that live on a real Mosquitto: stored once, through kills; refused with reasons; no loops. */
import { afterEach, describe, expect, it } from 'vitest';
import type { RuleStatus } from '../../hub/bridge/rules/inbound-telemetry.ts';
import type { QuarantinedReading } from '../../hub/telemetry/quarantine.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Mosquitto, startMosquitto } from '../helpers/mosquitto.ts';
import { type Paho, startPaho } from '../helpers/paho.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const RULE = {
  ...{ name: 'sensors', topic: 'site/{device}/state', stream: 'environment', register: true },
  fields: { temperature: '$.temperature', humidity: { path: '$.humidity', scale: 0.1 } },
  time: { path: '$.at' },
};

async function broker(): Promise<Mosquitto> {
  const mosquitto = await startMosquitto();
  cleanups.push(() => mosquitto.remove());
  return mosquitto;
}

async function hubOn({ url }: Mosquitto, rules: object[], options: object = {}, env: Record<string, string> = {}) {
  const hub = await startTestHub({
    HUB_MQTT__BROKERS: JSON.stringify([{ name: 'home', url, ...options }]),
    HUB_MQTT__RULES: JSON.stringify(rules),
    ...env,
  });
  cleanups.push(() => hub.dispose());
  await connected(hub);
  return hub;
}

async function connected(hub: TestHub): Promise<void> {
  const state = async () => (await bridge(hub)).brokers[0]!.state;
  await expect.poll(state, { interval: 50 }).toBe('connected');
}

async function client({ port }: Mosquitto): Promise<Paho> {
  const paho = await startPaho(port);
  cleanups.push(() => paho.close());
  return paho;
}

const bridge = (hub: TestHub) => hub.call<{ brokers: { state: string }[]; rules: RuleStatus[] }>('GET', '/v1/bridge');
const ruleOf = async (hub: TestHub) => (await bridge(hub)).rules[0]!;

async function stored(hub: TestHub, device: string, stream = 'environment') {
  const path = `/v1/devices/${device}/telemetry?stream=${stream}&from=-1h&limit=10000&order=asc`;
  const { rows } = await hub.call<{ rows: Record<string, unknown>[] }>('GET', path).catch(() => ({ rows: [] }));
  return rows;
}

const eventually = <T>(look: () => Promise<T>) => expect.poll(look, { interval: 50 });
const say = (device: string, payload: unknown) => ({
  topic: `site/${device}/state`,
  payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
});

describe('a device that lives on a broker', () => {
  it('has its readings stored, is seen live, and is online', async () => {
    const mosquitto = await broker();
    const hub = await hubOn(mosquitto, [RULE]);
    const paho = await client(mosquitto);
    await paho.subscribe('hub/#');
    const at = Date.now() - 1_000;
    await paho.publish(say('boiler', { at, temperature: 61, humidity: 482 }));
    await eventually(() => stored(hub, 'boiler')).toMatchObject([{ temperature: 61, humidity: 48.2 }]);
    const device = await hub.call<Record<string, unknown>>('GET', '/v1/devices/boiler');
    expect(device).toMatchObject({
      tokens: [],
      presence: { state: 'online', reason: 'reading came', detail: 'over home' },
    });
    expect(device).toMatchObject({ last: { environment: { ts: at, temperature: 61 } } });
    expect(await ruleOf(hub)).toMatchObject({ name: 'sensors', messages: 1, readings: 1, refused: 0 });
    expect(await hub.call('GET', '/v1/status')).toMatchObject({ readings: { accepted: 1 } });
    const published = await paho.until(({ topic }) => topic === 'hub/boiler/telemetry/environment');
    expect(published.user).toContainEqual(['origin', 'mqtt:home']);
    await paho.until(({ topic, payload }) => topic === 'hub/boiler/status' && payload === 'online');
  });

  it('is refused when the hub does not know it, and when it is disabled', async () => {
    const mosquitto = await broker();
    const hub = await hubOn(mosquitto, [{ ...RULE, register: false }]);
    const paho = await client(mosquitto);
    await hub.addDevice('off');
    await hub.call('PATCH', '/v1/devices/off', { enabled: false });
    await paho.publish(say('stranger', { temperature: 1 }), say('off', { temperature: 1 }));
    await eventually(() => ruleOf(hub)).toMatchObject({ messages: 2, readings: 0, refused: 2 });
    await expect(hub.call('GET', '/v1/devices/stranger')).rejects.toThrow('404');
  });

  it('finds what does not fit in the quarantine, and nobody else is disturbed', async () => {
    const mosquitto = await broker();
    const hub = await hubOn(mosquitto, [RULE]);
    const paho = await client(mosquitto);
    const token = await hub.addDevice('meter');
    const meter = await connectRaw(hub, { token });
    cleanups.push(() => meter.close());
    const bad = [
      'warm',
      '',
      '{"temperature":200}',
      '[[[[[[[[[[1]]]]]]]]]]',
      '{"at":"x","temperature":1}',
      '{"temperature":{}}',
    ];
    await paho.publish(
      say('boiler', { temperature: 60 }),
      ...bad.map((payload) => say('boiler', payload)),
      ...['Living room', '', 'a;drop table', "x' or 1=1", 'Küche', `x${'y'.repeat(60_000)}`].map((device) =>
        say(device, { temperature: 1 }),
      ),
      { topic: 'site/boiler/state', bytes: 'fffe00ff' },
      say('boiler', { temperature: 61 }),
    );
    meter.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ temperature: 20 }] });
    expect(await meter.next()).toMatchObject({ type: 'ack', seq: 1 });
    await eventually(async () => (await stored(hub, 'boiler')).map(({ temperature }) => temperature)).toEqual([60, 61]);
    const codes = async () => {
      const path = '/v1/quarantine?device=boiler';
      const { readings } = await hub.call<{ readings: QuarantinedReading[] }>('GET', path);
      return readings.map(({ code }) => code).sort();
    };
    await eventually(codes).toEqual(['maximum', 'not-json', 'not-json', 'not-json', 'time', 'too-deep', 'type']);
    const { devices } = await hub.call<{ devices: { id: string }[] }>('GET', '/v1/devices');
    expect(devices.map(({ id }) => id).sort()).toEqual(['boiler', 'meter']);
    expect(await ruleOf(hub)).toMatchObject({ readings: 2, refused: 13 });
  });

  it('loses nothing that the broker has acknowledged when the hub is killed again and again, and has it once', async () => {
    const mosquitto = await broker();
    const hub = await hubOn(mosquitto, [RULE]);
    const paho = await client(mosquitto);
    const from = Date.now() - 60_000;
    const rounds = 4;
    const each = 250;
    for (let round = 0; round < rounds; round++) {
      const numbers = Array.from({ length: each }, (_, index) => round * each + index);
      const published = paho.publish(
        ...numbers.map((number) => say(`d${number % 5}`, { at: from + number, temperature: number / 100 })),
      );
      await eventually(async () => paho.acknowledged).toBeGreaterThan(round * each + 20 * round);
      await hub.kill();
      await published;
      await hub.start();
    }
    const all = async () => {
      const rows = await Promise.all([0, 1, 2, 3, 4].map((number) => stored(hub, `d${number}`)));
      return rows.flat().map(({ temperature }) => Math.round(Number(temperature) * 100));
    };
    await eventually(async () => (await all()).length).toBe(rounds * each);
    expect((await all()).sort((a, b) => a - b)).toEqual(Array.from({ length: rounds * each }, (_, number) => number));
  }, 180_000);
});

describe('two hubs on one broker, with rules that would send readings round in circles,', () => {
  const circle = (from: string, changes: object = {}) => ({
    ...{ topic: `${from}/{device}/telemetry/environment`, stream: 'environment', register: true },
    fields: { temperature: '$.temperature', humidity: '$.humidity' },
    ...changes,
  });
  const COUNT = 30;

  it.each<[string, number, object]>([
    ['over MQTT 5', 5, { time: { path: '$.ts' } }],
    ['over MQTT 5, with times of their own', 5, {}],
    ['over MQTT 3.1.1', 4, { time: { path: '$.ts' } }],
    ['over MQTT 3.1.1, with times of their own', 4, {}],
    ['over MQTT 3.1.1, with a part of the fields', 4, { fields: { temperature: '$.temperature' } }],
  ])(
    '%s store each once and end',
    async (_, version, changes) => {
      const mosquitto = await broker();
      const names = ['left', 'right'];
      const hubs = await Promise.all(
        names.map((name) => {
          const rules = [circle('left', changes), circle('right', changes)];
          return hubOn(mosquitto, rules, { version }, { HUB_MQTT__PREFIX: name, HUB_MQTT__HUB_ID: name });
        }),
      );
      const paho = await client(mosquitto);
      await paho.subscribe('+/+/telemetry/#');
      const [left, right] = hubs as [TestHub, TestHub];
      const meter = await connectRaw(left, { token: await left.addDevice('meter') });
      cleanups.push(() => meter.close());
      for (let seq = 1; seq <= COUNT; seq++) {
        const reading = { temperature: 20 + (seq % 3), humidity: 50 };
        meter.say({ type: 'telemetry', seq, stream: 'environment', readings: [reading] });
      }
      for (const hub of hubs) await eventually(async () => (await stored(hub, 'meter')).length).toBe(COUNT);
      const passed = async () => (await bridge(left)).rules.map(({ looped }) => looped);
      // What was sent back to the hub it came from has arrived there, too.
      await eventually(async () => (await passed())[1]).toBe(COUNT);
      await eventually(async () => paho.heard.length).toBe(2 * COUNT);
      // One more round trip, which would carry on any circle that is left.
      meter.say({ type: 'telemetry', seq: COUNT + 1, stream: 'environment', readings: [{ temperature: -20 }] });
      await eventually(async () => (await passed())[1]).toBe(COUNT + 1);
      await paho.until(({ topic, payload }) => topic.startsWith('right/') && payload.includes('-20'));
      expect(paho.heard).toHaveLength(2 * (COUNT + 1));
      for (const hub of hubs) expect(await stored(hub, 'meter')).toHaveLength(COUNT + 1);
      expect((await bridge(right)).rules.map(({ readings }) => readings)).toEqual([COUNT + 1, 0]);
    },
    120_000,
  );
});
