/** `hub bridge test` and the shipped examples, with payloads as Zigbee2MQTT and Tasmota document them. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Trial } from '../../hub/bridge/rules/rule-trial.ts';

const ROOT = join(import.meta.dirname, '../..');

function hub(args: string[], input = '', env: Record<string, string> = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HUB_')));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['hub/main.ts', ...args], {
    ...{ cwd: ROOT, input, env: { ...clean, ...env } },
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

function readingsOf(example: string, topic: string, payload: object) {
  const asked = [
    '--config',
    `config/${example}.yaml`,
    '--topic',
    topic,
    '--payload',
    JSON.stringify(payload),
    '--json',
  ];
  const { code, stdout } = hub(['bridge', 'test', ...asked]);
  const trials: Trial[] = JSON.parse(stdout);
  const made = trials.flatMap(({ device, stream, reading }) => {
    const { ts, ...fields } = reading ?? {};
    return reading ? [{ device, stream, timed: typeof ts, ...fields }] : [];
  });
  return { code, made, trials };
}

const timed = 'number';

describe('the example for Zigbee2MQTT', () => {
  it.each<[string, string, object, object]>([
    [
      'a sensor of climate',
      'kitchen',
      { temperature: 27.34, humidity: 44.72 },
      { stream: 'environment', temperature: 27.34, humidity: 44.72 },
    ],
    [
      'one with a barometer and the state of its battery',
      '0x00158d00036c1821',
      { temperature: 22.75, linkquality: 97, humidity: 55.43, pressure: 1000.6, battery: 86, voltage: 2995 },
      { stream: 'environment', temperature: 22.75, humidity: 55.43, pressure: 1000.6 },
    ],
    [
      'a motion sensor',
      'hall',
      { occupancy: true, illuminance: 7 },
      { stream: 'environment', occupied: true, light: 7 },
    ],
    [
      'a plug',
      'washer',
      { state: 'ON', power: 95.2, current: 0.41, voltage: 230, energy: 2.86, linkquality: 120, update: null },
      { stream: 'power', power: 95.2, current: 0.41, energy: 2.86 },
    ],
  ])('takes %s', (_, device, payload, reading) => {
    const { code, made } = readingsOf('zigbee2mqtt', `zigbee2mqtt/${device}`, payload);
    expect(made).toEqual([{ device, timed, ...reading }]);
    expect(code).toBe(0);
  });

  it.each<[string, object]>([
    ['a lamp', { state: 'ON', brightness: 215, color_temp: 325 }],
    ['a switch', { action: 'single' }],
    ['a water leak sensor', { battery: '100.00', voltage: 3045, linkquality: 99, water_leak: false }],
  ])('leaves %s alone', (_, payload) => {
    const { code, trials } = readingsOf('zigbee2mqtt', 'zigbee2mqtt/x', payload);
    expect(trials.map(({ skipped }) => skipped)).toEqual(Array(2).fill('none of the fields is in the payload'));
    expect(code).toBe(1);
  });
});

describe('the example for Tasmota', () => {
  it.each<[string, object, object]>([
    [
      'a plug',
      {
        Time: '2017-12-16T11:48:55',
        ENERGY: {
          Total: 0.212,
          Yesterday: 0,
          Today: 0.212,
          Period: 12,
          Power: 22,
          Factor: 0.95,
          Voltage: 233,
          Current: 0.099,
        },
      },
      { stream: 'power', energy: 0.212, power: 22, powerFactor: 0.95, voltage: 233, current: 0.099 },
    ],
    [
      'a DHT11 beside an analog meter',
      {
        Time: '2021-06-13T06:59:52',
        ANALOG: { CTEnergy: { Energy: 0.006, Power: 2068, Voltage: 230, Current: 8.992 } },
        DHT11: { Temperature: 23, Humidity: 37, DewPoint: 7.5 },
        TempUnit: 'C',
      },
      { stream: 'environment', temperature: 23, humidity: 37 },
    ],
    [
      'a BME280',
      {
        Time: '2019-11-03T20:45:37',
        BME280: { Temperature: 21, Humidity: 50.1, Pressure: 985.6 },
        PressureUnit: 'hPa',
        TempUnit: 'C',
      },
      { stream: 'environment', temperature: 21, humidity: 50.1, pressure: 985.6 },
    ],
  ])('takes %s', (_, payload, reading) => {
    const { code, made } = readingsOf('tasmota', 'tele/tasmota_C59B5E/SENSOR', payload);
    expect(made).toEqual([{ device: 'tasmota_C59B5E', timed, ...reading }]);
    expect(code).toBe(0);
  });
});

describe('hub bridge test', () => {
  const RULES = {
    HUB_MQTT__RULES: '[{"name":"warm","topic":"a/{device}","stream":"environment","fields":{"temperature":"$.t"}}]',
  };
  const test = (topic: string, payload: string, ...more: string[]) =>
    hub(['bridge', 'test', '--topic', topic, '--payload', payload, ...more], '{"t":7}', RULES);

  it('shows rule, device, stream and reading; the payload may come from the standard input', () => {
    const { code, stdout } = test('a/x', '-');
    expect(stdout).toMatch(/^rule +warm\ndevice +x\nstream +environment\nreading +\{"temperature":7,"ts":\d+\}\n$/);
    expect(code).toBe(0);
  });

  it.each([
    ['a/x', '{"t":200}', /refused +temperature must be <= 85 \(maximum\)/],
    ['a/x', 'warm', /refused +is not JSON \(not-json\)/],
    ['a/', '{"t":1}', /refused +"" is no device id \(device\)/],
    ['a/x', '{"u":1}', /skipped +none of the fields is in the payload/],
  ])('says why %s with %s is no reading', (topic, payload, why) => {
    const { code, stdout } = test(topic, payload);
    expect(stdout).toMatch(why);
    expect(code).toBe(1);
  });

  it('shows what became a reading or was refused, and the rules that leave the message alone in one line', () => {
    const rule = (name: string, field: string) => ({
      ...{ name, topic: 'a/{device}', stream: 'environment', fields: { temperature: `$.${field}` } },
    });
    const rules = [rule('one', 'u'), rule('warm', 't'), rule('two', 'v'), rule('hot', 'w')];
    const { code, stdout } = hub(['bridge', 'test', '--topic', 'a/x', '--payload', '{"t":7,"w":900}'], '', {
      HUB_MQTT__RULES: JSON.stringify(rules),
    });
    expect(stdout.match(/^rule +\w+/gm)!.map((line) => line.split(/ +/)[1])).toEqual(['warm', 'hot']);
    expect(stdout.split('\n').at(-2)).toBe('2 rules leave it alone: none of the fields is in the payload.');
    expect(code).toBe(1);
  });

  it.each(['a/+', 'a/#', 'zigbee2mqtt/+', ''])('says that nothing can be published to %j', (topic) => {
    expect(test(topic, '{"t":7}')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /^--topic (holds a wildcard \(\+ or #\)|is empty): nothing can be published to it\.\n$/,
      ),
    });
  });

  it('says when no rule is for the topic, when there is no rule, no such broker, or a mistake', () => {
    expect(test('b/x', '{}')).toMatchObject({
      code: 1,
      stderr: 'No rule is for the topic b/x. Their topics: a/{device}\n',
    });
    expect(hub(['bridge', 'test', '--topic', 'a', '--payload', 'b'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no rules'),
    });
    expect(test('a/x', '{}', '--broker', 'x')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no broker "x"'),
    });
    expect(test('a/x', '{"t":1}', '--retain')).toMatchObject({ code: 1, stdout: expect.stringContaining('retained') });
    const wrong = { HUB_MQTT__RULES: '[{"topic":"a/{device}","stream":"environment","fields":{"warmth":"$.t"}}]' };
    expect(hub(['bridge', 'test', '--topic', 'a/x', '--payload', '1'], '', wrong)).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('mqtt.rules.0.fields.warmth is no field of the stream environment'),
    });
  });
});
