/** Describes the device socket and MQTT as an AsyncAPI 3 document, made of the protocol's and the catalog's own schemas. */
import type { Catalog, CommandType, FrameSchema, ProtocolSchema, Stream } from '../../schemas/index.ts';
import { readingSchemaOf } from '../../schemas/stream.ts';
import type { MqttContract } from '../bridge/brokers.ts';
import { DEVICE_PATH, SUBPROTOCOL } from '../gateway/admission.ts';
import { REFUSALS } from '../kit/errors.ts';
import { mqttPartsOf } from './asyncapi-mqtt.ts';
import { EXAMPLE_ID, EXAMPLE_TS, type Message, type Messages, messageRefs, refTo } from './asyncapi-parts.ts';
import { exampleOf } from './example.ts';
import type { Schema } from './route.ts';

export interface AsyncApiSources {
  version: string;
  catalog: Catalog;
  protocol: { uplink: ProtocolSchema; downlink: ProtocolSchema };
  mqtt: MqttContract;
}

/** What devices do and what the hub does, as seen by the hub: which frames it receives, and which are the answers. */
const OPERATIONS = {
  begin: {
    action: 'receive',
    frames: ['hello'],
    replies: ['welcome'],
    summary: 'A device says which counter it uses.',
  },
  report: { action: 'receive', frames: ['telemetry'], replies: ['ack', 'reject', 'flow'], summary: 'Readings come.' },
  command: {
    action: 'send',
    frames: ['command'],
    replies: ['progress', 'result'],
    summary: 'The hub asks for something.',
  },
  settle: { action: 'receive', frames: ['result'], replies: ['result-ack'], summary: 'A command has come to its end.' },
  renew: { action: 'send', frames: ['token'], replies: [], summary: 'The hub gives the device its next token.' },
  complain: { action: 'send', frames: ['error'], replies: [], summary: 'The hub cannot make sense of a frame.' },
} as const;

const TTL_MS = 3_600_000;

/** The document, ready to be sent as JSON. Pure; fit to be made once. */
export function asyncapiOf({ version, catalog, protocol, mqtt }: AsyncApiSources): Record<string, unknown> {
  const streams = [...catalog.streams.values()];
  const commands = [...catalog.commands.values()];
  const frames = Object.entries({ ...protocol.uplink.$defs, ...protocol.downlink.$defs });
  const messages: Messages = Object.fromEntries(
    frames.flatMap(([key, frame]) => messagesOf(key, frame, streams, commands)).map((each) => [each.name, each]),
  );
  const overMqtt = mqttPartsOf(catalog, mqtt);
  return {
    asyncapi: '3.0.0',
    info: { title: 'Telemetry Hub', version, description: DESCRIPTION },
    defaultContentType: 'application/json',
    servers: { hub: SERVER, ...overMqtt.servers },
    channels: { device: channelOf(messages), ...overMqtt.channels },
    operations: { ...operationsOf(messages), ...overMqtt.operations },
    components: {
      securitySchemes: { device: DEVICE_TOKEN, ...overMqtt.securitySchemes },
      messages: { ...messages, ...overMqtt.messages },
      schemas: {
        ...overMqtt.schemas,
        ...Object.fromEntries(frames.map(([key, { examples: _, ...schema }]) => [key, schema])),
        ...Object.fromEntries(streams.map(({ name, schema }) => [`reading.${name}`, readingSchemaOf(schema)])),
        ...Object.fromEntries(commands.flatMap(({ name, schema }) => schemasOfCommand(name, schema))),
      },
    },
    'x-close-codes': closeCodes(),
    'x-refusals': REFUSALS,
  };
}

const DESCRIPTION =
  `One WebSocket for each device at ${DEVICE_PATH}, subprotocol ${SUBPROTOCOL}, text frames of one JSON object each. ` +
  'Unknown fields are ignored by both sides. Why a connection was closed is said by its code (`x-close-codes`): after ' +
  '1001 and 4000 to 4499 come back with a back-off, after 4500 to 4999 stay away until something changes. Over MQTT the ' +
  'hub publishes readings, presence and the ends of commands, and takes commands; each message with QoS 1.';

const DEVICE_TOKEN = { type: 'http', scheme: 'bearer', description: 'The device token, thd_….' };

const SERVER = {
  host: '{host}',
  protocol: 'wss',
  description: 'The gateway of the hub.',
  variables: {
    host: { default: 'localhost:8443', description: 'Host and port, as gateway.host and gateway.port say.' },
  },
  security: [{ $ref: '#/components/securitySchemes/device' }],
};

function channelOf(messages: Messages) {
  const text = (value: Schema) => ({ type: 'string', ...value });
  const headers = {
    Authorization: text({ description: 'Bearer and the device token.', pattern: '^Bearer thd_' }),
    'Sec-WebSocket-Protocol': text({
      description: `Offers ${SUBPROTOCOL}; bearer.<token> beside it replaces the header.`,
    }),
  };
  return {
    address: DEVICE_PATH,
    title: 'The device socket',
    servers: [{ $ref: '#/servers/hub' }],
    messages: messageRefs(messages),
    bindings: { ws: { method: 'GET', headers: { type: 'object', properties: headers }, bindingVersion: '0.1.0' } },
  };
}

function operationsOf(messages: Messages) {
  const channel = { $ref: '#/channels/device' };
  const named = (frames: readonly string[]) =>
    Object.keys(messages)
      .filter((name) => frames.includes(name.split('.')[0]!))
      .map((name) => ({ $ref: `#/channels/device/messages/${name}` }));
  return Object.fromEntries(
    Object.entries(OPERATIONS).map(([id, { action, summary, frames, replies }]) => {
      const reply = replies.length > 0 ? { reply: { channel, messages: named(replies) } } : {};
      return [id, { action, channel, summary, messages: named(frames), ...reply }];
    }),
  );
}

/** A message for each frame; telemetry has one for each stream, and a command one for each name. */
function messagesOf(key: string, frame: FrameSchema, streams: Stream[], commands: CommandType[]): Message[] {
  const type = String(frame.properties.type?.const);
  if (type === 'telemetry') return streams.map((stream) => streamMessage(key, stream));
  if (type === 'command') return commands.map((command) => commandMessage(key, command));
  const { title, description: summary, examples } = frame;
  return [{ name: type, title, summary, payload: refTo(key), examples: examples.map((payload) => ({ payload })) }];
}

function streamMessage(key: string, { name, title, description, schema, check }: Stream): Message {
  const reading = { ts: EXAMPLE_TS, ...(exampleOf(schema) as object) };
  const payload = { type: 'telemetry', seq: 41, stream: name, readings: [reading] };
  const narrowed = { stream: { const: name }, readings: { items: refTo(`reading.${name}`) } };
  return {
    name: `telemetry.${name}`,
    title,
    summary: description || `Readings of ${name}.`,
    payload: { allOf: [refTo(key), { type: 'object', properties: narrowed }] },
    // An example that does not fit would be worse than none.
    examples: check(reading) ? [] : [{ payload }],
  };
}

function commandMessage(key: string, { name, title, description, schema, checkParams }: CommandType): Message {
  const params = exampleOf(schema.params ?? { type: 'object' });
  const payload = { type: 'command', id: EXAMPLE_ID, name, params, expires: EXAMPLE_TS + TTL_MS, attempt: 1 };
  const narrowed = { name: { const: name }, params: refTo(`params.${name}`) };
  return {
    name: `command.${name}`,
    title,
    summary: description || `The command ${name}; its result's value fits value.${name}.`,
    payload: { allOf: [refTo(key), { type: 'object', properties: narrowed }] },
    examples: checkParams(params).length > 0 ? [] : [{ payload }],
  };
}

function schemasOfCommand(name: string, { params, result }: Schema): [string, unknown][] {
  return [
    [`params.${name}`, params ?? { type: 'object', additionalProperties: false }],
    [`value.${name}`, result ?? {}],
  ];
}

/** Every close code the hub uses, with the words of the table of refusals that lead to it. */
function closeCodes() {
  const codes = new Map<number, { retry: boolean; reasons: Record<string, string> }>();
  for (const [word, { close, retry, title }] of Object.entries(REFUSALS)) {
    if (close === 0) continue;
    const { reasons } = codes.get(close) ?? { reasons: {} };
    codes.set(close, { retry, reasons: { ...reasons, [word]: title } });
  }
  return Object.fromEntries([...codes].sort(([a], [b]) => a - b));
}
