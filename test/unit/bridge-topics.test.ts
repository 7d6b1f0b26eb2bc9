/** Topic templates, payload templates and what MQTT allows as names: everything that is checked at the start. */
import { describe, expect, it } from 'vitest';
import { faultOfFilter, faultOfMessage, faultOfTopic, fitsFilter, overlap } from '../../hub/bridge/link/topic-name.ts';
import { compilePayload, faultOfPayload } from '../../hub/bridge/payload.ts';
import { compileTopics, faultsOfTopics, type TopicTemplates } from '../../hub/bridge/topics.ts';

const DEFAULTS: TopicTemplates = {
  telemetry: '{prefix}/{device}/telemetry/{stream}',
  status: '{prefix}/{device}/status',
  command: '{prefix}/{device}/command/{command}',
  result: '{prefix}/{device}/result/{command}',
  state: '{prefix}/$state',
};

const faults = (templates: Partial<TopicTemplates>, prefix = 'hub') =>
  faultsOfTopics(prefix, { ...DEFAULTS, ...templates }).map(({ key, message }) => `${key} ${message}`);

describe('topic templates', () => {
  it('name the topics of the protocol by default', () => {
    const topics = compileTopics('hub', DEFAULTS);
    expect(faults({})).toEqual([]);
    expect(topics.telemetry('meter-7', 'power')).toBe('hub/meter-7/telemetry/power');
    expect(topics.status('meter-7')).toBe('hub/meter-7/status');
    expect(topics.command('meter-7', 'reboot')).toBe('hub/meter-7/command/reboot');
    expect(topics.result('meter-7', 'reboot')).toBe('hub/meter-7/result/reboot');
    expect(topics.state).toBe('hub/$state');
    expect(topics.commandFilter).toBe('hub/+/command/+');
  });

  it('are read backwards for commands, and only for those', () => {
    const topics = compileTopics('site/hub', { ...DEFAULTS, command: 'do/{command}/{prefix}/{device}' });
    expect(topics.commandFilter).toBe('do/+/site/hub/+');
    expect(topics.commandOf('do/reboot/site/hub/meter-7')).toEqual({ device: 'meter-7', command: 'reboot' });
    for (const topic of ['do/reboot/site/meter-7', 'do/reboot/site/hub/meter-7/more', 'hub/meter-7/command/reboot', ''])
      expect(topics.commandOf(topic)).toBeUndefined();
  });

  it.each([
    [{ telemetry: '{prefix}/{device}' }, 'telemetry must have {stream}'],
    [{ telemetry: '{prefix}/{device}/{stream}/{field}' }, 'telemetry has {field}, which stands for nothing here'],
    [{ status: '{prefix}/+/{device}' }, 'status holds a wildcard'],
    [{ result: '{prefix}/#/{device}/{command}' }, 'result holds a wildcard'],
    [{ state: '$SYS/hub' }, 'state must not begin with $'],
    [{ state: 'hub/{state' }, 'state has a brace without its partner'],
    [
      { command: '{prefix}/{device}-{command}' },
      'command must have {device} and {command} once each, as a whole level',
    ],
    [{ command: '{prefix}/{device}/{device}/{command}' }, 'command must have {device} and {command} once each'],
    [{ status: '{prefix}/{device}/\u0000' }, 'status holds a control character'],
    [{ status: '{prefix}/{device}/\ud800' }, 'status is not well-formed'],
    [{ status: `{device}/${'x'.repeat(65_536)}` }, 'status has more than 65535 bytes'],
    [{ result: '{prefix}/{device}/telemetry/{command}' }, 'result could name the same topic as topics.telemetry'],
    [{ command: '{prefix}/{device}/result/{command}' }, 'result could name the same topic as topics.command'],
  ] as [Partial<TopicTemplates>, string][])('are refused when they cannot work: %j', (templates, words) => {
    expect(faults(templates).join('\n')).toContain(words);
  });
});

describe('names of MQTT', () => {
  it.each([
    ['a/b', 'a/b', true],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/b/c', false],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true],
    ['+/+', '/x', true],
  ])('filter %s and topic %s: %s', (filter, topic, fits) => {
    expect(fitsFilter(filter, topic)).toBe(fits);
  });

  it.each([
    ['a/+', '+/b', true],
    ['a/#', 'a/b/c', true],
    ['a/#', 'a', true],
    ['a/b', 'a/c', false],
    ['a/+', 'a/b/c', false],
  ])('filters %s and %s overlap: %s', (one, other, expected) => {
    expect(overlap(one, other)).toBe(expected);
    expect(overlap(other, one)).toBe(expected);
  });

  it('refuses what no broker takes, in words', () => {
    expect(faultOfTopic('')).toBe('is empty');
    expect(faultOfTopic('a/b')).toBeUndefined();
    expect(faultOfFilter('a/b+')).toContain('whole level');
    expect(faultOfFilter('a/#/b')).toContain('whole last level');
    expect(faultOfFilter('a/+/#')).toBeUndefined();
    expect(faultOfMessage({ topic: 'a', payload: 'x'.repeat(100) }, 120)).toContain('the broker takes 120');
    expect(faultOfMessage({ topic: 'a', payload: 'x' }, 120)).toBeUndefined();
    expect(faultOfMessage({ topic: 'a/+', payload: '' }, 120)).toContain('wildcard');
  });
});

describe('the payload of a reading', () => {
  const reading = { ts: 1_760_000_000_000, temperature: 21.5, label: 'a "b"' };
  const payloadOf = (template: string) => compilePayload(template)('meter-7', 'environment', reading);

  it('is the reading as JSON without a template', () => {
    expect(JSON.parse(payloadOf(''))).toEqual(reading);
  });

  it('is what the template makes of it; every part is JSON, and what is missing is null', () => {
    expect(payloadOf('{"d":{device},"t":{fields.temperature},"h":{fields.humidity},"at":{iso}}')).toBe(
      '{"d":"meter-7","t":21.5,"h":null,"at":"2025-10-09T08:53:20.000Z"}',
    );
    expect(payloadOf('{ts};{fields.label};{stream}')).toBe('1760000000000;"a \\"b\\"";"environment"');
    expect(JSON.parse(payloadOf('{"r":{reading}}'))).toEqual({ r: reading });
    expect(payloadOf('{fields.constructor}')).toBe('null');
  });

  it('is refused at the start when a part stands for nothing', () => {
    expect(faultOfPayload('{"a":{value}}')).toContain('{value}, which stands for nothing');
    expect(faultOfPayload('{fields.temprature}', new Set(['temperature']))).toContain(
      'no stream has a field temprature',
    );
    expect(faultOfPayload('{"a":{},"b":{ts}}', new Set())).toBeUndefined();
  });
});
