/** The section `mqtt` of the configuration: every mistake is found at the start, with its place; secrets stay secret. */
import { describe, expect, it } from 'vitest';
import { loadConfig, OPTIONS } from '../../hub/config.ts';
import { redacted } from '../../hub/config-secrets.ts';
import { UserError } from '../../hub/kit/errors.ts';

const PEM = '-----BEGIN CERTIFICATE-----\n';
const FILES: Record<string, string> = {
  '/run/pw': 'fox-in-the-snow\n',
  '/run/empty': '\n',
  '/ca.pem': PEM,
  '/junk': 'x',
};

const load = (text: string, env: Record<string, string> = {}) =>
  loadConfig({
    file: { name: 'hub.yaml', text },
    env,
    readFile(path) {
      if (!(path in FILES)) throw new Error('ENOENT: no such file');
      return FILES[path]!;
    },
  });

function mistakesOf(text: string, env?: Record<string, string>): string {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('no mistake was found');
}

const broker = (yaml: string) => `mqtt:\n  brokers:\n    - { ${yaml} }\n`;

describe('brokers', () => {
  it('have defaults of their own, and are none without any', () => {
    expect(load('').mqtt).toMatchObject({ brokers: [], rules: [], prefix: 'hub', embedded: false });
    expect(load(broker('url: "mqtt://b"')).mqtt.brokers[0]).toMatchObject({
      ...{ version: 5, windowMessages: 200, timeoutMs: 15_000, telemetry: true, commands: true },
    });
  });

  it('come from the environment as JSON', () => {
    const env = { HUB_MQTT__BROKERS: '[{"url":"mqtt://b","windowMessages":7}]' };
    expect(load('', env).mqtt.brokers).toMatchObject([{ url: 'mqtt://b', windowMessages: 7 }]);
    expect(mistakesOf('', { HUB_MQTT__BROKERS: 'mqtt://b' })).toContain(
      'environment HUB_MQTT__BROKERS: mqtt.brokers must be array',
    );
    expect(mistakesOf('', { HUB_MQTT__BROKERS: '[{"url":"http://b"}]' })).toContain(
      'environment HUB_MQTT__BROKERS: mqtt.brokers.0.url must match',
    );
  });

  it('get their password from a file or a variable, and it is shown nowhere', () => {
    const fromFile = load(broker('url: "mqtt://b", username: hub, passwordFile: /run/pw'));
    expect(fromFile.mqtt.brokers[0]!.password).toBe('fox-in-the-snow');
    const text = broker('url: "mqtt://b", username: hub, passwordEnv: BROKER_PASSWORD');
    const fromEnv = load(text, { BROKER_PASSWORD: 'cat' });
    expect(fromEnv.mqtt.brokers[0]!.password).toBe('cat');
    expect(redacted(fromFile).mqtt.brokers[0]).toMatchObject({
      password: '***',
      username: 'hub',
      passwordFile: '/run/pw',
    });
    expect(JSON.stringify(redacted(fromFile))).not.toContain('fox');
  });

  it.each([
    ['url: "mqtt://hub:fox@b"', 'mqtt.brokers.0.url must not hold credentials'],
    ['url: "wss://b/mqtt?token=fox"', 'mqtt.brokers.0.url must not hold a query (?) or a fragment (#)'],
    ['url: "mqtt://b/#fox"', 'mqtt.brokers.0.url must not hold a query (?) or a fragment (#)'],
    ['url: "mqtt://b:fox?fox"', 'mqtt.brokers.0.url is no address'],
    ['url: "http://b?fox"', 'mqtt.brokers.0.url must match'],
    ['url: "mqtt://"', 'mqtt.brokers.0.url is no address'],
    ['url: "mqtt://b", username: u, passwordFile: /none', 'mqtt.brokers.0.passwordFile cannot be read: ENOENT'],
    ['url: "mqtt://b", username: u, passwordFile: /run/empty', 'mqtt.brokers.0.passwordFile is empty'],
    [
      'url: "mqtt://b", username: u, passwordEnv: NOT_SET',
      'mqtt.brokers.0.passwordEnv names NOT_SET, which is not set',
    ],
    [
      'url: "mqtt://b", username: u, password: a, passwordFile: /run/pw',
      'passwordFile and password exclude each other',
    ],
    ['url: "mqtt://b", password: a', 'mqtt.brokers.0 has a password and no username'],
    ['url: "mqtts://b", certFile: /ca.pem', 'mqtt.brokers.0 needs both certFile and keyFile'],
    ['url: "mqtts://b", caFile: /none', 'mqtt.brokers.0.caFile cannot be read'],
    ['url: "mqtts://b", caFile: /junk', 'mqtt.brokers.0.caFile holds no PEM'],
    ['url: "mqtt://b", caFile: /ca.pem', 'mqtt.brokers.0.caFile is of no use without TLS'],
    ['url: "mqtt://b", colour: blue', 'mqtt.brokers.0.colour is not a known field'],
    ['name: b', 'mqtt.brokers.0.url is missing'],
  ])('are refused with words when they cannot be used: %s', (yaml, words) => {
    const message = mistakesOf(broker(yaml));
    expect(message).toContain(words);
    expect(message).toMatch(/hub\.yaml:3:\d+: /);
    expect(message).not.toContain('fox');
  });

  it('have names that differ, for each is a cursor in the journal', () => {
    const two = 'mqtt:\n  brokers:\n    - { url: "mqtt://B" }\n    - { url: "mqtt://b:1883" }\n';
    expect(mistakesOf(two)).toContain('hub.yaml:4:7: mqtt.brokers.1 is called b:1883, as one before');
    const named = 'mqtt:\n  brokers:\n    - { url: "mqtt://b" }\n    - { name: two, url: "mqtt://b:1883/" }\n';
    expect(mistakesOf(named)).toContain('is the same broker as one before: give it another clientId');
    expect(mistakesOf('mqtt: { embedded: true, brokers: [{ name: embedded, url: "mqtt://b" }] }')).toContain(
      "as the hub's own",
    );
  });
});

describe('the rest of the bridge', () => {
  it.each([
    ['mqtt: { topics: { status: "{prefix}/+" } }', 'mqtt.topics.status must have {device}'],
    ['mqtt: { payload: "{valeu}" }', 'mqtt.payload has {valeu}, which stands for nothing'],
    ['mqtt: { prefix: "a/+" }', 'mqtt.prefix must match'],
    ['mqtt: { prefix: "a/" }', 'mqtt.prefix must not end with a slash'],
    ['mqtt: { homeAssistant: { prefix: "ha/" } }', 'mqtt.homeAssistant.prefix must not end with a slash'],
    [`mqtt: { payload: '{"d":{device}' }`, 'mqtt.payload begins like JSON'],
    [`mqtt: { payload: '[{ts}, {reading},]' }`, 'mqtt.payload begins like JSON'],
    ['mqtt: { homeAssistant: { prefix: "ha/#" } }', 'mqtt.homeAssistant.prefix'],
    [
      'mqtt: { rules: [{ topic: "a/b+", stream: power, fields: { power: $.p } }] }',
      'mqtt.rules.0.topic has a wildcard',
    ],
    [
      'mqtt: { rules: [{ topic: "a/{device}", broker: x, stream: power, fields: { power: $.p } }] }',
      'mqtt.rules.0.broker is "x", but the brokers are none',
    ],
    ['mqtt: { embedded: true, listener: { host: 0.0.0.0 } }', 'mqtt.listener.host must be a loopback address'],
    ['mqtt: { listener: { certFile: /ca.pem } }', 'mqtt.listener needs both certFile and keyFile'],
  ])('is refused with words when it cannot work: %s', (yaml, words) => {
    expect(mistakesOf(yaml)).toContain(words);
  });

  it('documents each option of a broker and of a rule', () => {
    const brokers = OPTIONS.find(({ env }) => env === 'HUB_MQTT__BROKERS')!;
    expect(brokers.items!.map(({ path }) => path.join('.'))).toContain('mqtt.brokers[].passwordFile');
    for (const { schema } of OPTIONS.flatMap(({ items = [] }) => items)) expect(schema.description).toMatch(/\.$/);
  });
});
