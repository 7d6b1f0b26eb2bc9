import { describe, expect, it } from 'vitest';
import { compilePath } from '../../hub/bridge/rules/json-path.ts';
import type { RuleConfig } from '../../hub/bridge/rules/rule-parts.ts';
import { compileRules, MAX_PAYLOAD_BYTES } from '../../hub/bridge/rules/rules.ts';
import { compilePattern } from '../../hub/bridge/rules/topic-pattern.ts';
import { loadCatalog } from '../../schemas/index.ts';

const { streams } = loadCatalog();
const CONTEXT = { streams, brokers: ['home', 'plant'] };
const RULE: RuleConfig = { topic: 'a/{device}', stream: 'environment', fields: { temperature: '$.t' } };

function compile(config: Partial<RuleConfig>) {
  const { rules, mistakes } = compileRules([{ ...RULE, ...config }], CONTEXT);
  expect(mistakes).toEqual([]);
  return rules[0]!;
}

function apply(config: Partial<RuleConfig>, payload: unknown, topic = 'a/x') {
  return compile(config).apply(topic, Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)));
}

describe('a topic pattern', () => {
  it.each([
    ['a/{device}/b', 'a/+/b', 'a/x/b', { device: 'x' }],
    ['a/+/{n}', 'a/+/+', 'a/x/y', { n: 'y' }],
    ['{a}/{b}/#', '+/+/#', '1/2/3/4', { a: '1', b: '2' }],
    ['a/#', 'a/#', 'a', {}],
    ['$SYS/{x}', '$SYS/+', '$SYS/up', { x: 'up' }],
    ['/{x}', '/+', '/y', { x: 'y' }],
  ])('%s subscribes to %s and takes %s', (text, filter, topic, captures) => {
    const pattern = compilePattern(text);
    expect(pattern).toMatchObject({ filter });
    if (typeof pattern === 'object') expect(pattern.match(topic)).toEqual(captures);
  });

  it.each([
    ['a/{device}', 'a/x/y'],
    ['a/{device}', 'a'],
    ['a/{device}', 'b/x'],
    ['+/x', '$SYS/x'],
    ['#', '$SYS/x'],
  ])('%s leaves %s alone', (text, topic) => {
    const pattern = compilePattern(text);
    if (typeof pattern === 'string') throw new Error(pattern);
    expect(pattern.match(topic)).toBeUndefined();
  });

  it.each([
    ['a/#/b', 'after #'],
    ['a/b+', 'wildcard within the level "b+"'],
    ['a/x{device}', 'braces within the level'],
    ['a/{x', 'braces within the level'],
    ['{x}/{x}', 'names {x} twice'],
    ['$share/g/t', 'shared subscription'],
    ['a\u0000b', 'control character'],
  ])('%j is a mistake: %s', (text, why) => {
    expect(compilePattern(text)).toContain(why);
  });
});

describe('a path', () => {
  const payload = { a: { 'b c': [10, { d: 5 }] }, 'e-1': 0 };
  it.each([
    ['$', payload],
    ['$.a', payload.a],
    ["$.a['b c'][1].d", 5],
    ['$.e-1', 0],
    ['$.a.x.y', undefined],
    ['$.constructor', undefined],
    ['$.__proto__', undefined],
    ['$.e-1.toFixed', undefined],
  ])('%s finds %j', (text, value) => {
    expect(compilePath(text)?.(payload)).toEqual(value);
  });

  it.each(['', 'a', '$a', '$.', '$..a', '$[x]', '$.a[', '$.a[*]', '$.a b'])('%j is none', (text) => {
    expect(compilePath(text)).toBeUndefined();
  });
});

describe('a rule', () => {
  it('takes fields from paths, with scale, offset, maps and constants', () => {
    const fields = {
      temperature: { path: '$.f', scale: 5 / 9, offset: -160 / 9 },
      humidity: { path: '$.h', scale: 0.1 },
      occupied: { path: '$.o', map: { ON: true, OFF: false } },
      battery: { const: 3 },
    };
    expect(apply({ fields }, { f: 70, h: '482', o: 'ON' })).toEqual({
      ...{ kind: 'reading', device: 'x' },
      reading: { temperature: 21.1111111111111, humidity: 48.2, occupied: true, battery: 3 },
    });
  });

  it('leaves out what is missing or null, and makes nothing of a payload without any field', () => {
    const fields = { temperature: '$.t', humidity: '$.h', battery: { const: 3 } };
    expect(apply({ fields }, { t: 1, h: null })).toMatchObject({ reading: { temperature: 1, battery: 3 } });
    expect(apply({ fields }, { other: 1 })).toEqual({ kind: 'nothing' });
    expect(apply({ fields }, [])).toEqual({ kind: 'nothing' });
  });

  it('names the device from the topic, the payload, or both', () => {
    const device = { topic: 'a/{room}', device: '{room}.{$.id}' };
    expect(apply(device, { id: 7, t: 1 })).toMatchObject({ device: 'x.7' });
    expect(apply(device, { t: 1 })).toMatchObject({ kind: 'refused', code: 'device', payload: { t: 1 } });
    expect(apply({ topic: 'a/b', device: 'boiler' }, { t: 1 }, 'a/b')).toMatchObject({ device: 'boiler' });
  });

  it.each([
    ['ms', 1_760_000_000_123.5, 1_760_000_000_123.5],
    ['s', 1_760_000_000.123, 1_760_000_000_123],
    ['s', '1760000000', 1_760_000_000_000],
    ['iso', '2025-10-09T08:53:20.123Z', 1_760_000_000_123],
    ['iso', '2025-10-09T10:53:20+02:00', 1_760_000_000_000],
    ['iso', '2025-10-09T08:53:20', 1_760_000_000_000],
  ] as const)('reads a time in %s: %j', (unit, at, ts) => {
    expect(apply({ time: { path: '$.at', unit } }, { t: 1, at })).toMatchObject({ reading: { ts } });
  });

  it.each([
    ['ms', 'soon'],
    ['s', true],
    ['iso', 'yesterday'],
    ['iso', 5],
  ] as const)('refuses a time in %s that is %j', (unit, at) => {
    expect(apply({ time: { path: '$.at', unit } }, { t: 1, at })).toMatchObject({
      kind: 'refused',
      path: '/ts',
      code: 'time',
    });
  });

  it('leaves the time to the arrival when it is missing, but not of a retained message', () => {
    const rule = compile({ time: { path: '$.at' }, retained: true });
    expect(rule.apply('a/x', Buffer.from('{"t":1}'))).toMatchObject({ reading: { temperature: 1 } });
    expect(rule.apply('a/x', Buffer.from('{"t":1}'), true)).toMatchObject({ kind: 'refused', path: '/ts' });
  });

  it('takes a payload that is a number, or with $ a text', () => {
    expect(apply({ fields: { temperature: '$' } }, '21.5')).toMatchObject({ reading: { temperature: 21.5 } });
    const onOff = { fields: { occupied: { path: '$', map: { ON: true } } } };
    expect(apply(onOff, 'ON')).toMatchObject({ reading: { occupied: true } });
    expect(apply(onOff, 'TOGGLE')).toMatchObject({
      ...{ kind: 'refused', device: 'x', path: '/occupied', code: 'map' },
      message: 'is "TOGGLE", and the rule maps only ON',
    });
  });

  it.each([
    ['text', Buffer.from('no'), 'not-json'],
    ['nothing', Buffer.alloc(0), 'not-json'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe]), 'not-json'],
    ['a pit of brackets', Buffer.from('['.repeat(1_000)), 'too-deep'],
    ['more than it may hold', Buffer.alloc(MAX_PAYLOAD_BYTES + 1, 32), 'too-big'],
  ])('refuses %s and still knows the device', (_, payload, code) => {
    expect(compile({}).apply('a/x', payload)).toMatchObject({ kind: 'refused', device: 'x', code });
  });

  it('passes on a value of the wrong type, so that the schema says what is wrong', () => {
    const fields = { temperature: { path: '$.t', scale: 2 } };
    expect(apply({ fields }, { t: { deep: 1 } })).toMatchObject({ reading: { temperature: { deep: 1 } } });
  });
});

describe('a mistake in a rule', () => {
  it.each<[string, Partial<RuleConfig>, string, string]>([
    ['a topic', { topic: 'a/#/b' }, '/topic', 'after #'],
    ['a broker', { broker: 'office' }, '/broker', 'the brokers are home, plant'],
    ['a stream', { stream: 'weather' }, '/stream', 'the streams are environment'],
    ['a field', { fields: { colour: '$.c' } }, '/fields/colour', 'is no field of the stream environment: temperature'],
    ['a path', { fields: { temperature: 't' } }, '/fields/temperature', 'is "t", which is no path'],
    ['a path of an object', { fields: { temperature: { path: 't' } } }, '/fields/temperature/path', 'no path'],
    ['neither path nor const', { fields: { temperature: {} } }, '/fields/temperature', 'path or a const'],
    ['path and const', { fields: { temperature: { path: '$', const: 1 } } }, '/fields/temperature', 'not both'],
    ['a const of the wrong type', { fields: { temperature: { const: 'x' } } }, '/fields/temperature', 'must be number'],
    ['a scaled const', { fields: { temperature: { const: 1, scale: 2 } } }, '/fields/temperature/scale', 'const'],
    ['a scaled boolean', { fields: { occupied: { path: '$', scale: 2 } } }, '/fields/occupied/scale', 'boolean'],
    ['a map', { fields: { occupied: { path: '$', map: { ON: 1 } } } }, '/fields/occupied', 'must be boolean'],
    ['a device', { device: '{room}' }, '/device', 'no level of the topic; the topic names {device}'],
    ['a path of the device', { device: '{$id}' }, '/device', 'no path'],
    ['a brace', { device: '{device' }, '/device', 'brace'],
    ['a time', { time: { path: 'now' } }, '/time/path', 'no path'],
    ['retained without time', { retained: true }, '/retained', 'needs time'],
  ])('is told with its place: %s', (_, config, path, message) => {
    const { rules, mistakes } = compileRules([RULE, { ...RULE, ...config }], CONTEXT);
    expect(rules).toHaveLength(1);
    expect(mistakes).toMatchObject([{ path: `/mqtt/rules/1${path}`, message: expect.stringContaining(message) }]);
  });
});
