/** The MQTT half of the AsyncAPI document: the configured brokers and topics, as seen by the hub. */
import type { Catalog } from '../../schemas/index.ts';
import { willOf } from '../bridge/births.ts';
import type { MqttContract, MqttServer } from '../bridge/brokers.ts';
import type { TopicTemplates } from '../bridge/topics.ts';
import {
  commandMessages,
  readingMessages,
  resultMessages,
  resultSchema,
  stateMessages,
  statusMessages,
} from './asyncapi-mqtt-messages.ts';
import { EXAMPLE_DEVICE, type Messages, messageRefs } from './asyncapi-parts.ts';
import type { Schema } from './route.ts';

/** Members of the document, each by name. */
export interface MqttParts {
  servers: Record<string, Schema>;
  channels: Record<string, Schema>;
  operations: Record<string, Schema>;
  messages: Messages;
  schemas: Record<string, Schema>;
  securitySchemes: Record<string, Schema>;
}

/** A channel, on which brokers it is, and what the hub does there. */
interface Traffic {
  channel: string;
  /** Undefined: a topic that is told by a message. */
  template?: keyof TopicTemplates;
  title: string;
  isOn(broker: MqttServer): boolean;
  messages(catalog: Catalog, payload: string): Messages;
  operation?: { id: string; action: 'send' | 'receive'; summary: string; retain?: boolean };
}

const BINDING = '0.2.0';
const REPLY = 'mqtt.reply';
const PROTOCOLS: Record<string, string> = { 'mqtt:': 'mqtt', 'mqtts:': 'secure-mqtt', 'ws:': 'ws', 'wss:': 'wss' };
const SCHEMES = {
  password: {
    type: 'userPassword',
    description: "The broker's own users; of the embedded broker: name and token of an operator.",
  },
  certificate: { type: 'X509', description: 'A client certificate that the broker knows.' },
};
/** So that the document tells of MQTT to those who have not configured it yet. */
const EXAMPLE: MqttServer = {
  ...{ name: 'example', url: 'mqtt://broker.example:1883', version: 5, signIn: [] },
  ...{ telemetry: true, commands: true },
};

/** With the messages of a catalog. */
type Shown = Omit<Traffic, 'messages'> & { messages: Messages };

const telemetry = (broker: MqttServer) => broker.telemetry;
const commands = (broker: MqttServer) => broker.commands;

const TRAFFIC: readonly Traffic[] = [
  {
    ...{ channel: 'mqtt.telemetry', template: 'telemetry', title: 'Readings', isOn: telemetry },
    messages: readingMessages,
    operation: { id: 'mqttReport', action: 'send', summary: 'Every acknowledged reading, at least once and in order.' },
  },
  {
    ...{ channel: 'mqtt.status', template: 'status', title: 'Presence of a device', isOn: telemetry },
    messages: statusMessages,
    operation: { id: 'mqttPresence', action: 'send', retain: true, summary: 'Whether a device is there.' },
  },
  {
    ...{ channel: 'mqtt.state', template: 'state', title: 'Presence of the hub', isOn: () => true },
    messages: stateMessages,
    operation: { id: 'mqttState', action: 'send', retain: true, summary: 'Whether the hub is there; its last will.' },
  },
  {
    ...{ channel: 'mqtt.command', template: 'command', title: 'Commands', isOn: commands },
    messages: commandMessages,
    operation: { id: 'mqttCommand', action: 'receive', summary: 'The hub is asked for a command to a device.' },
  },
  {
    ...{ channel: 'mqtt.result', template: 'result', title: 'Ends of commands', isOn: telemetry },
    messages: resultMessages,
    operation: { id: 'mqttResult', action: 'send', summary: 'How a command ended, whoever sent it.' },
  },
  {
    ...{ channel: REPLY, title: 'The response topic of a command, MQTT 5', isOn: commands },
    messages: resultMessages,
  },
];

/** Pure; channels that no broker has are left out. */
export function mqttPartsOf(catalog: Catalog, contract: MqttContract): MqttParts {
  const isExample = contract.brokers.length === 0;
  const brokers = isExample ? [EXAMPLE] : contract.brokers;
  const traffic = TRAFFIC.filter(({ isOn }) => brokers.some(isOn)).map((each) => {
    return { ...each, messages: each.messages(catalog, contract.payload) };
  });
  const topic = topicsOf(contract);
  const channels = traffic.map((each) => [each.channel, channelOf(each, brokers, topic, catalog)]);
  const operations = traffic.flatMap((each) => (each.operation ? [[each.operation.id, operationOf(each)]] : []));
  const schemes = new Set(brokers.flatMap(({ signIn }) => signIn));
  return {
    servers: Object.fromEntries(brokers.map((each, at) => [keyOf(at), serverOf(each, topic('state'), isExample)])),
    channels: Object.fromEntries(channels),
    operations: Object.fromEntries(operations),
    messages: Object.assign({}, ...traffic.map(({ messages }) => messages)),
    schemas: { 'mqtt.result': resultSchema() },
    securitySchemes: Object.fromEntries(Array.from(schemes, (each) => [`mqtt.${each}`, SCHEMES[each]])),
  };
}

const keyOf = (at: number) => `mqtt-${at + 1}`;

/** The topic of a template, with names in braces as AsyncAPI wants them. */
const topicsOf =
  ({ prefix, topics }: MqttContract) =>
  (key: keyof TopicTemplates) =>
    topics[key].replaceAll('{prefix}', prefix);

function serverOf({ name, url, version, signIn }: MqttServer, stateTopic: string, isExample: boolean): Schema {
  const { protocol, host, pathname } = new URL(url);
  const isAnyPort = host.endsWith(':0');
  const { topic, payload: message, retain } = willOf({ state: stateTopic });
  const description = `The MQTT broker ${name}${/^ws/.test(protocol) ? ', over WebSocket' : ''}.`;
  return {
    ...{ host: isAnyPort ? host.replace(/0$/, '{port}') : host, protocol: PROTOCOLS[protocol] },
    ...{ protocolVersion: version === 5 ? '5.0' : '3.1.1', title: name },
    ...(pathname.length > 1 && { pathname }),
    description: isExample ? 'No broker is configured: what a hub with one in mqtt.brokers would say.' : description,
    ...(isAnyPort && { variables: { port: { description: 'A free one, told in hub.json of the data folder.' } } }),
    ...(signIn.length > 0 && {
      security: signIn.map((each) => ({ $ref: `#/components/securitySchemes/mqtt.${each}` })),
    }),
    bindings: { mqtt: { lastWill: { topic, message, retain, qos: 1 }, bindingVersion: BINDING } },
  };
}

function channelOf(
  { template, title, isOn, messages }: Shown,
  brokers: readonly MqttServer[],
  topic: (key: keyof TopicTemplates) => string,
  catalog: Catalog,
): Schema {
  const address = template ? topic(template) : null;
  const parameters = parametersOf(address ?? '', catalog);
  const servers = brokers.flatMap((each, at) => (isOn(each) ? [{ $ref: `#/servers/${keyOf(at)}` }] : []));
  return {
    ...{ address, title, servers, messages: messageRefs(messages) },
    ...(Object.keys(parameters).length > 0 && { parameters }),
  };
}

function parametersOf(address: string, { streams, commands }: Catalog): Record<string, Schema> {
  const known: Record<string, Schema> = {
    device: { description: 'Id of the device.', examples: [EXAMPLE_DEVICE] },
    stream: { description: 'Name of the stream.', enum: [...streams.keys()] },
    command: { description: 'Name of the command.', examples: [...commands.keys()] },
  };
  return Object.fromEntries(Object.entries(known).filter(([name]) => address.includes(`{${name}}`)));
}

function operationOf({ channel, messages, operation }: Shown): Schema {
  const { action, summary, retain = false } = operation!;
  const isAsked = channel === 'mqtt.command';
  return {
    ...{
      action,
      summary,
      channel: { $ref: `#/channels/${channel}` },
      messages: refsIn(channel, Object.keys(messages)),
    },
    ...(isAsked && { reply: REPLY_ADDRESS }),
    bindings: {
      mqtt: {
        ...{ qos: 1, bindingVersion: BINDING },
        ...(action === 'send' && { retain }),
      },
    },
  };
}

/** Without messages of its own: all of the channel. */
const REPLY_ADDRESS = {
  address: {
    location: '$message.header#/responseTopic',
    description: 'The response topic of the command; without one the end is told on the topic of results only.',
  },
  channel: { $ref: `#/channels/${REPLY}` },
};

const refsIn = (channel: string, names: readonly string[]) =>
  names.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` }));
