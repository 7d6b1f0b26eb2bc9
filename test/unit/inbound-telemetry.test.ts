import { describe, expect, it } from 'vitest';
import { epochOf, originOf } from '../../hub/bridge/origin.ts';
import { createEchoes } from '../../hub/bridge/rules/echoes.ts';
import { createInboundTelemetry, type InboundTelemetryDeps } from '../../hub/bridge/rules/inbound-telemetry.ts';
import type { RuleConfig } from '../../hub/bridge/rules/rule-parts.ts';
import { compileRules } from '../../hub/bridge/rules/rules.ts';
import { createIngest } from '../../hub/telemetry/ingest.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { loadCatalog } from '../../schemas/index.ts';
import { incoming } from '../helpers/fake-link.ts';

const NOW = 1_760_000_000_000;
const { streams } = loadCatalog();
const ingest = createIngest({ streams, readingsPerFrame: 10, clockAheadMs: 300_000, retentionMs: 0 });
const RULE: RuleConfig = {
  ...{ topic: 'a/{device}', stream: 'environment' },
  fields: { temperature: '$.temperature', humidity: '$.humidity' },
  time: { path: '$.ts' },
};

function open(configs: Partial<RuleConfig>[] = [{}], deps: Partial<InboundTelemetryDeps> = {}) {
  const { rules, mistakes } = compileRules(
    configs.map((config) => ({ ...RULE, ...config })),
    { streams },
  );
  expect(mistakes).toEqual([]);
  const devices = new Map([
    ['x', { enabled: true }],
    ['off', { enabled: false }],
  ]);
  const frames: Frame[] = [];
  const warned: string[] = [];
  const counts = { accepted: 0, rejected: 0 };
  const inbound = createInboundTelemetry({
    ...{ broker: 'home', hubId: 'hub-a', rules, ingest, counts },
    append(frame) {
      frames.push(frame);
      queueMicrotask(() => frame.owner?.durable(0));
      return true;
    },
    quarantine: { admits: () => true, drop() {} },
    device: (id) => devices.get(id),
    register: async (id) => void devices.set(id, { enabled: true }),
    echoes: () => undefined,
    log: { warn: (_, text) => void warned.push(text) },
    now: () => NOW,
    retryMs: 1,
    ...deps,
  });
  const say = (topic: string, payload: unknown, rest = {}) => inbound.receive('a/+', incoming(topic, payload, rest));
  return { inbound, frames, warned, counts, devices, say, count: () => inbound.status()[0]! };
}

const from = (...hubs: string[]) => ({ properties: { userProperties: { hub: hubs } } });

describe('telemetry from a broker', () => {
  it('goes up the road as a frame that says where it came from', async () => {
    const { frames, say, count, counts } = open();
    await say('a/x', { ts: NOW - 1, temperature: 21 }, from('hub-b'));
    const { owner, ...frame } = frames[0]!;
    expect(frame).toEqual({
      ...{ device: 'x', stream: 'environment', seq: 0, receivedAt: NOW },
      epoch: epochOf({ broker: 'home', topic: 'a/x', hubs: ['hub-b'] }),
      readings: [{ ts: NOW - 1, temperature: 21 }],
    });
    expect(owner).toBeDefined();
    expect(count()).toMatchObject({ messages: 1, readings: 1, refused: 0 });
    expect(counts).toEqual({ accepted: 1, rejected: 0 });
  });

  it('is acknowledged when it is durable, and not before', async () => {
    const frames: Frame[] = [];
    const { say } = open([{}], { append: (frame) => frames.push(frame) > 0 });
    let isAcknowledged = false;
    const receipt = say('a/x', { temperature: 21 }).then(() => {
      isAcknowledged = true;
    });
    await expect.poll(() => frames).toHaveLength(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAcknowledged).toBe(false);
    frames[0]!.owner!.durable(0);
    await receipt;
    expect(isAcknowledged).toBe(true);
  });

  it('waits for a journal that takes nothing, and begins again with what was lost there', async () => {
    const answers = ['full', 'lost', 'taken'];
    const { say, count } = open([{}], {
      append(frame) {
        const answer = answers.shift();
        if (answer === 'lost') queueMicrotask(() => frame.owner?.refused(0));
        if (answer === 'taken') queueMicrotask(() => frame.owner?.durable(0));
        return answer !== 'full';
      },
    });
    await say('a/x', { temperature: 21 });
    expect(answers).toEqual([]);
    expect(count().readings).toBe(1);
  });

  it('is left to the broker when the journal takes nothing for long', async () => {
    const { say, count } = open([{}], { append: () => false });
    await expect(say('a/x', { temperature: 21 })).rejects.toThrow('cannot take');
    expect(count().readings).toBe(0);
  });

  it.each([
    ['a value out of range', { temperature: 200 }, '/temperature', 'maximum', { temperature: 200 }],
    ['a clock ahead', { ts: NOW * 2, temperature: 1 }, '/ts', 'clock', { ts: NOW * 2, temperature: 1 }],
    ['a time that is none', { ts: 'x', temperature: 1 }, '/ts', 'time', { ts: 'x', temperature: 1 }],
    ['what is not JSON', 'warm', '', 'not-json', 'warm'],
  ])('goes to the quarantine: %s', async (_, payload, path, code, reading) => {
    const { frames, say, count, counts } = open();
    await say('a/x', payload);
    expect(frames).toMatchObject([{ device: 'x', readings: [], rejected: [{ index: 0, path, code, reading }] }]);
    expect(count()).toMatchObject({ readings: 0, refused: 1 });
    expect(counts).toEqual({ accepted: 0, rejected: 1 });
  });

  it.each([
    [{ temperature: 'warm' }, 'x: temperature must be number', 'a message was refused: temperature must be number'],
    ['warm', 'x: it is not JSON', 'a message was refused: it is not JSON'],
  ])('is told in a sentence: %j', async (payload, lastRefusal, line) => {
    const { say, count, warned } = open();
    await say('a/x', payload);
    expect(count()).toMatchObject({ lastRefusal });
    expect(warned).toEqual([line]);
  });

  it('keeps no token that strayed into a payload', async () => {
    const { frames, say } = open();
    await say('a/x', 'my token is thd_ABCDEFGHIJKL_secretsecretsecret');
    expect(JSON.stringify(frames[0]!.rejected)).toContain('thd_ABCDEFGHIJKL_***');
  });

  it.each([
    ['not known', 'a/stranger', 'is no device of this hub'],
    ['disabled', 'a/off', 'its device is disabled'],
    ['no possible name', 'a/Living room', 'is no device id'],
    ['hostile', 'a/x\u0007', 'no device has its topic'],
    ['65 characters long', `a/${'x'.repeat(65)}`, 'is no device id'],
    ['as long as MQTT allows', `a/${'x'.repeat(65_000)}`, 'no device has its topic'],
    ['empty', 'a/', 'is no device id'],
    ['one with wildcards', 'a/+', 'no device has its topic'],
  ])('is refused and counted when the device is %s', async (_, topic, why) => {
    const { frames, say, count, warned } = open();
    await say(topic, { temperature: 1 });
    await say(topic, { temperature: 2 });
    expect(frames).toEqual([]);
    expect(count()).toMatchObject({ messages: 2, refused: 2, lastRefusal: expect.stringContaining(why) });
    expect(warned).toHaveLength(1);
  });

  it('adds devices where the rule says so, once, and only for what can be read', async () => {
    const registered: string[] = [];
    const { devices, frames, say } = open([{ register: true }], {
      async register(id) {
        registered.push(id);
        await new Promise((resolve) => setImmediate(resolve));
        devices.set(id, { enabled: true });
      },
    });
    await say('a/bad', 'no JSON');
    await say('a/hot', { temperature: 1_000 });
    await Promise.all([say('a/new', { temperature: 1 }), say('a/new', { temperature: 2 }), say('a/new', 'no JSON')]);
    expect(registered).toEqual(['new']);
    expect(frames.map(({ readings, rejected }) => [readings.length, rejected?.length])).toEqual([
      [1, undefined],
      [1, undefined],
      [0, 1],
    ]);
  });

  it('leaves out retained messages, unless the rule takes them', async () => {
    const { frames, say, count } = open();
    await say('a/x', { temperature: 1 }, { retain: true });
    expect(count()).toMatchObject({ messages: 1, skipped: 1 });
    expect(frames).toEqual([]);
    const other = open([{ retained: true }]);
    await other.say('a/x', { ts: NOW, temperature: 1 }, { retain: true });
    expect(other.frames).toHaveLength(1);
  });

  it('passes one message to each rule of its topic, and subscribes once', async () => {
    const { inbound, frames, say } = open([
      { name: 'one' },
      { name: 'two' },
      { broker: 'plant' },
      { topic: 'b/{device}' },
    ]);
    expect(inbound.filters).toEqual(['a/+', 'b/+']);
    await say('a/x', { temperature: 1 });
    expect(frames).toHaveLength(2);
    expect(inbound.status().map(({ messages }) => messages)).toEqual([1, 1, 0]);
  });

  it('keeps readings without a time apart', async () => {
    const { frames, say } = open();
    await Promise.all([say('a/x', { temperature: 1 }), say('a/x', { temperature: 1 })]);
    expect(new Set(frames.map(({ readings }) => readings[0]!.ts)).size).toBe(2);
  });
});

describe('a loop', () => {
  it('ends where the hub finds its own name, or too many names', async () => {
    const { frames, say, count } = open();
    await say('a/x', { temperature: 1 }, from('hub-b', 'hub-a'));
    await say('a/x', { temperature: 1 }, { properties: { userProperties: { hub: 'hub-a' } } });
    await say('a/x', { temperature: 1 }, from(...Array.from({ length: 9 }, (_, index) => `h${index}`)));
    expect(frames).toEqual([]);
    expect(count()).toMatchObject({ looped: 3 });
  });

  it('does not take the names of others for hubs', async () => {
    const { frames, say } = open();
    await say('a/x', { temperature: 1 }, from('no hub', '"'));
    expect(originOf(frames[0]!.epoch)?.hubs).toEqual([]);
  });

  describe('over MQTT 3.1.1, which tells no names,', () => {
    const seen = (reading: object, topic?: string): Frame => ({
      ...{ device: 'x', stream: 'environment', seq: 0, receivedAt: NOW, readings: [{ ts: NOW - 5, ...reading }] },
      epoch: topic === undefined ? 'e' : epochOf({ broker: 'home', topic, hubs: [] }),
    });
    function openAfter(frame: Frame, at = NOW) {
      const echoes = createEchoes();
      echoes.remember([frame], at);
      return open([{}], { echoes: () => echoes });
    }

    it.each([
      ['the same series and time', { ts: NOW - 5, temperature: 7 }],
      ['all the same values and no time', { temperature: 1 }],
    ])('ends at %s from elsewhere', async (_, payload) => {
      for (const topic of [undefined, 'b/x']) {
        const { frames, say, count } = openAfter(seen({ temperature: 1, humidity: 2 }, topic));
        await say('a/x', payload);
        expect(frames).toEqual([]);
        expect(count()).toMatchObject({ looped: 1 });
      }
    });

    it.each([
      ['from the same topic', seen({ temperature: 1 }, 'a/x'), { temperature: 1 }, NOW],
      ['of long ago', seen({ temperature: 1 }), { temperature: 1 }, NOW - 60_001],
      ['with another value', seen({ temperature: 1 }), { temperature: 2 }, NOW],
      ['with other fields', seen({ humidity: 1 }), { ts: NOW - 5, temperature: 2 }, NOW],
      ['of another time', seen({ temperature: 1 }), { ts: NOW - 6, temperature: 1 }, NOW],
    ])('is none %s', async (_, frame, payload, at) => {
      const { frames, say } = openAfter(frame, at);
      await say('a/x', payload);
      expect(frames).toHaveLength(1);
    });

    it('is remembered within its bound', () => {
      const echoes = createEchoes(3);
      const has = (value: number) => echoes.has('x', 'environment', { ts: 0, temperature: value }, true, 'a', NOW);
      for (let value = 1; value <= 8; value++) echoes.remember([seen({ temperature: value })], NOW);
      expect([1, 5, 6, 7, 8].map(has)).toEqual([false, false, true, true, true]);
    });
  });
});
