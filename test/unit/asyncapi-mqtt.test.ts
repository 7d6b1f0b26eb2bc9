/** MQTT in the AsyncAPI document: the configured brokers and topics, and payloads that fit what the hub publishes. */
import { join } from 'node:path';
import asyncapiSpecs from '@asyncapi/specs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { asyncapiOf } from '../../hub/api/asyncapi.ts';
import { compilePayload } from '../../hub/bridge/payload.ts';
import { loadCatalog, protocolSchemas } from '../../schemas/index.ts';
import { mqttContract } from '../helpers/mqtt-contract.ts';

const catalog = loadCatalog(join(import.meta.dirname, '../fixtures/schemas'));
const READING = { ts: 1_760_000_000_000, temperature: 21.4 };

interface Message {
  contentType: string;
  payload: object;
  examples: { payload: unknown }[];
}
interface Shown {
  servers: Record<string, Record<string, unknown> & { host: string }>;
  channels: Record<
    string,
    { address: string | null; servers: { $ref: string }[]; parameters?: Record<string, object> }
  >;
  operations: Record<string, { action: string; channel: object; bindings?: object; reply?: object }>;
  components: { messages: Record<string, Message>; schemas: object; securitySchemes: object };
}

function documentOf(yaml = ''): Shown {
  const made = asyncapiOf({ version: '1', catalog, protocol: protocolSchemas, mqtt: mqttContract(yaml) });
  return JSON.parse(JSON.stringify(made));
}

/** The words of the first misfit; empty when the payload fits the message. */
function misfit({ components }: Shown, message: string, payload: unknown): string {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const check = ajv.compile({ ...components.messages[message]!.payload, components });
  return check(payload) ? '' : ajv.errorsText(check.errors);
}

const SEVERAL = `
mqtt:
  prefix: site
  embedded: true
  listener: { port: 0 }
  payload: '{"device":{device},"on":{stream},"at":{iso},"warmth":[{fields.temperature},1],"whole":{reading}}'
  topics: { telemetry: 'data/{device}/{stream}' }
  brokers:
    - { url: "mqtts://user.example", username: hub, password: fox-in-the-snow, certFile: /c, keyFile: /k, commands: false }
    - { name: web, url: "wss://web.example/mqtt", version: 4, telemetry: false }
`;
const CONFIGURATIONS = [
  ['without brokers', ''],
  ['with several', SEVERAL],
  ['with a broker for nothing', 'mqtt: { brokers: [{ url: "mqtt://b", telemetry: false, commands: false }] }'],
  ['with payloads that are no JSON', 'mqtt: { payload: "t={ts} {fields.temperature}" }'],
] as const;

describe.each(CONFIGURATIONS)('the AsyncAPI document %s', (_, yaml) => {
  const document = documentOf(yaml);

  it('fits the AsyncAPI 3.0 schema', () => {
    const schema = asyncapiSpecs.schemasWithoutId['3.0.0'] as object;
    const check = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    expect([check(document), check.errors]).toEqual([true, null]);
  });

  it('has references that lead somewhere', () => {
    const paths = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!);
    const found = (path: string) =>
      path.split('/').reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
    expect(paths.filter((path) => found(path) === undefined)).toEqual([]);
  });

  it('has examples that fit', () => {
    const messages = Object.entries(document.components.messages).filter(([name]) => name.startsWith('mqtt.'));
    for (const [name, { examples }] of messages) {
      expect([name, examples.length > 0]).toEqual([name, true]);
      for (const { payload } of examples) expect([name, misfit(document, name, payload)]).toEqual([name, '']);
    }
  });
});

describe('the MQTT half of the AsyncAPI document', () => {
  it('has a channel for each topic, a message for each stream and command, and says who sends', () => {
    const { channels, operations, components } = documentOf();
    const addresses = Object.entries(channels).map(([name, { address }]) => [name, address]);
    expect(Object.fromEntries(addresses)).toEqual({
      device: '/v1/device',
      'mqtt.telemetry': 'hub/{device}/telemetry/{stream}',
      'mqtt.status': 'hub/{device}/status',
      'mqtt.state': 'hub/$state',
      'mqtt.command': 'hub/{device}/command/{command}',
      'mqtt.result': 'hub/{device}/result/{command}',
      'mqtt.reply': null,
    });
    expect(channels['mqtt.telemetry']!.parameters).toEqual({
      device: expect.anything(),
      stream: expect.objectContaining({ enum: [...catalog.streams.keys()] }),
    });
    const names = Object.keys(components.messages).filter((name) => name.startsWith('mqtt.'));
    expect(names.sort()).toEqual(
      [
        ...['mqtt.status', 'mqtt.state', 'mqtt.rejection'],
        ...Array.from(catalog.streams.keys(), (name) => `mqtt.telemetry.${name}`),
        ...Array.from(catalog.commands.keys(), (name) => [`mqtt.command.${name}`, `mqtt.result.${name}`]).flat(),
      ].sort(),
    );
    const actions = Object.entries(operations).filter(([id]) => id.startsWith('mqtt'));
    expect(actions.map(([id, { action }]) => `${id} ${action}`)).toEqual([
      ...['mqttReport send', 'mqttPresence send', 'mqttState send', 'mqttCommand receive', 'mqttResult send'],
    ]);
    expect(operations.mqttState!.bindings).toEqual({ mqtt: { qos: 1, retain: true, bindingVersion: '0.2.0' } });
    expect(operations.mqttCommand!.reply).toMatchObject({ channel: { $ref: '#/channels/mqtt.reply' } });
  });

  it('shows an example of a broker when there is none', () => {
    const { servers } = documentOf();
    expect(servers['mqtt-1']).toMatchObject({ host: 'broker.example:1883', protocol: 'mqtt', protocolVersion: '5.0' });
    expect(servers['mqtt-1']!.description).toContain('No broker is configured');
  });

  it('shows the configured ones without their secrets, each with its topics only', () => {
    const document = documentOf(SEVERAL);
    const lastWill = { topic: 'site/$state', message: 'offline', retain: true, qos: 1 };
    expect(document.servers).toMatchObject({
      'mqtt-1': {
        ...{ host: 'user.example', protocol: 'secure-mqtt', title: 'user.example:8883' },
        security: [
          { $ref: '#/components/securitySchemes/mqtt.password' },
          { $ref: '#/components/securitySchemes/mqtt.certificate' },
        ],
        bindings: { mqtt: { lastWill } },
      },
      'mqtt-2': { host: 'web.example', protocol: 'wss', pathname: '/mqtt', protocolVersion: '3.1.1' },
      'mqtt-3': { host: '127.0.0.1:{port}', title: 'embedded', variables: { port: expect.anything() } },
    });
    expect(JSON.stringify(document)).not.toContain('fox-in-the-snow');
    const serversOf = (channel: string) => document.channels[channel]!.servers.map(({ $ref }) => $ref.at(-1)).join('');
    expect(serversOf('mqtt.telemetry')).toBe('13');
    expect(serversOf('mqtt.command')).toBe('23');
    expect(serversOf('mqtt.state')).toBe('123');
  });

  it('leaves out what no broker has', () => {
    const { channels, operations } = documentOf(CONFIGURATIONS[2][1]);
    expect(Object.keys(channels)).toEqual(['device', 'mqtt.state']);
    expect(Object.keys(operations).filter((id) => id.startsWith('mqtt'))).toEqual(['mqttState']);
  });

  it('says of a payload what the template makes of a reading, with fields that are missing', () => {
    const document = documentOf(SEVERAL);
    const payloadOf = compilePayload(mqttContract(SEVERAL).payload);
    const made = JSON.parse(payloadOf('meter-7', 'environment', READING));
    const message = 'mqtt.telemetry.environment';
    expect(misfit(document, message, made)).toBe('');
    expect(misfit(document, message, { ...made, warmth: [null, 1] })).toBe('');
    expect(misfit(document, message, { ...made, warmth: ['hot', 1] })).not.toBe('');
    expect(misfit(document, message, { ...made, on: 'power' })).not.toBe('');
    expect(misfit(document, message, { ...made, more: 1 })).not.toBe('');
    expect(
      misfit(document, 'mqtt.telemetry.power', { ...made, on: 'power', warmth: [null, 1], whole: { ts: 1, power: 5 } }),
    ).toBe('');
  });

  it('wants a time in each reading, and a value that fits unless the result says that it does not', () => {
    const document = documentOf();
    const { ts: _, ...timeless } = READING;
    expect(misfit(document, 'mqtt.telemetry.environment', READING)).toBe('');
    expect(misfit(document, 'mqtt.telemetry.environment', timeless)).not.toBe('');
    const result = { id: 'x', state: 'succeeded', device: 'meter-7', command: 'set-interval', value: { seconds: 5 } };
    expect(misfit(document, 'mqtt.result.set-interval', result)).toBe('');
    expect(misfit(document, 'mqtt.result.set-interval', { ...result, value: 'often' })).not.toBe('');
    expect(misfit(document, 'mqtt.result.set-interval', { ...result, value: 'often', misfit: 'must be object' })).toBe(
      '',
    );
    expect(misfit(document, 'mqtt.result.set-interval', { ...result, state: 'sent' })).not.toBe('');
  });
});
