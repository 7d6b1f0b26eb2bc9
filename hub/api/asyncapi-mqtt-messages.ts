/** The messages that go over MQTT, for the AsyncAPI document; their payloads are made of the schemas that the hub checks by. */
import type { Catalog, CommandType, Stream } from '../../schemas/index.ts';
import { HUBS_PROPERTY } from '../bridge/origin.ts';
import { ORIGIN_PROPERTY } from '../bridge/outbound.ts';
import { compilePayload, schemaOfPayload } from '../bridge/payload.ts';
import { CLIENT_PROPERTY } from '../bridge/sender.ts';
import { COMMAND_STATES, hasEnded } from '../commands/command.ts';
import { PRESENCE_STATES } from '../devices/presence.ts';
import { EXAMPLE_DEVICE, EXAMPLE_ID, EXAMPLE_TS, type Message, type Messages, refTo } from './asyncapi-parts.ts';
import { COMMAND } from './command-routes.ts';
import { exampleOf } from './example.ts';
import { object, type Schema } from './route.ts';

const JSON_TYPE = 'application/json';
const TEXT_TYPE = 'text/plain';
const HUBS: Schema = {
  type: ['string', 'array'],
  items: { type: 'string' },
  description: 'Ids of the hubs that it passed.',
};
const ORIGIN: Schema = { type: 'string', pattern: '^(device$|mqtt:)', description: 'Where the reading came from.' };

const byName = (messages: Message[]): Messages => Object.fromEntries(messages.map((each) => [each.name, each]));
const headersOf = (properties: Record<string, Schema>) => ({ type: 'object', properties });

/** One for each stream; `template` is that of the configuration. */
export function readingMessages({ streams }: Catalog, template: string): Messages {
  return byName(Array.from(streams.values(), (stream) => readingMessage(stream, template)));
}

function readingMessage(stream: Stream, template: string): Message {
  const { name, title, description, schema, check, fields } = stream;
  const reading = { ts: EXAMPLE_TS, ...(exampleOf(schema) as object) };
  const whole = { allOf: [refTo(`reading.${name}`), { type: 'object', required: ['ts'] }] };
  const payload = schemaOfPayload(template, {
    ...{ stream: name, reading: whole },
    fieldOf: (field) => (fields.has(field) ? (schema.properties as Record<string, Schema>)[field] : undefined),
  });
  const text = compilePayload(template)(EXAMPLE_DEVICE, name, reading);
  return {
    name: `mqtt.telemetry.${name}`,
    title,
    summary: description || `One reading of ${name}.`,
    contentType: payload ? JSON_TYPE : TEXT_TYPE,
    headers: headersOf({ [HUBS_PROPERTY]: HUBS, [ORIGIN_PROPERTY]: ORIGIN }),
    payload: payload ?? { type: 'string', description: `Made by the template ${template}` },
    examples: check(reading) ? [] : [{ payload: payload ? JSON.parse(text) : text }],
  };
}

/** Retained: of each device. */
export function statusMessages(): Messages {
  const summary = 'The device came, went or fell silent; empty when it was removed.';
  return wordMessage('mqtt.status', 'State of a device', summary, [...PRESENCE_STATES, '']);
}

/** Retained: of the hub itself. */
export function stateMessages(): Messages {
  const summary = 'The hub came or went; offline is its last will.';
  return wordMessage('mqtt.state', 'State of the hub', summary, ['online', 'offline']);
}

function wordMessage(name: string, title: string, summary: string, words: readonly string[]): Messages {
  const payload = { type: 'string', enum: [...words] };
  const examples = words.map((word) => ({ payload: word }));
  return byName([{ name, title, summary, contentType: TEXT_TYPE, payload, examples }]);
}

/** One for each command; the payload is its params. */
export function commandMessages({ commands }: Catalog): Messages {
  return byName(Array.from(commands.values(), commandMessage));
}

function commandMessage({ name, title, description, schema, checkParams }: CommandType): Message {
  const params = exampleOf(schema.params ?? { type: 'object' });
  return {
    ...{ name: `mqtt.command.${name}`, title, contentType: JSON_TYPE },
    summary: description || `The params of ${name}; nothing at all stands for {}.`,
    headers: headersOf({
      [CLIENT_PROPERTY]: { type: 'string', description: 'Who asks, for the audit log.' },
      responseTopic: { type: 'string', description: 'MQTT 5 property: where the answer is wanted.' },
      correlationData: { type: 'string', description: 'MQTT 5 property: comes back with the answer.' },
      messageExpiryInterval: {
        type: 'integer',
        description: 'MQTT 5 property, seconds: how long the device may be away.',
      },
    }),
    payload: refTo(`params.${name}`),
    examples: checkParams(params).length > 0 ? [] : [{ payload: params }],
  };
}

/** How each command may end, and what is said of one that never came to be. */
export function resultMessages({ commands }: Catalog): Messages {
  return byName([...Array.from(commands.values(), resultMessage), REJECTION]);
}

function resultMessage({ name, title, schema, checkResult }: CommandType): Message {
  const value = exampleOf((schema.result as Schema | undefined) ?? { const: null });
  const payload = { id: EXAMPLE_ID, state: 'succeeded', device: EXAMPLE_DEVICE, command: name };
  const fits = { anyOf: [{ required: ['misfit'] }, { properties: { value: refTo(`value.${name}`) } }] };
  return {
    ...{ name: `mqtt.result.${name}`, title: `End of ${title}`, contentType: JSON_TYPE, headers: RESULT_HEADERS },
    summary: `How a command ${name} ended; its value fits the schema unless misfit says why it does not.`,
    correlationId: CORRELATION,
    payload: { allOf: [refTo('mqtt.result'), { type: 'object', properties: { command: { const: name } }, ...fits }] },
    examples: [{ payload: checkResult(value) ? payload : { ...payload, value } }],
  };
}

const CORRELATION = {
  location: '$message.header#/correlationData',
  description: 'That of the command, on its response topic only.',
};

const RESULT_HEADERS = headersOf({
  [HUBS_PROPERTY]: HUBS,
  correlationData: { type: 'string', description: 'MQTT 5 property, on the response topic only.' },
});

const { id, device, value, error, misfit } = COMMAND.properties as Record<string, Schema>;
const ALWAYS = { id: id!, device: device! };
const SOMETIMES = { value: value!, error: error!, misfit: misfit! };

/** What the results of all commands have. */
export function resultSchema(): Schema {
  const state = { enum: COMMAND_STATES.filter(hasEnded), description: '`unknown`: a late truth may still come.' };
  const command = { type: 'string', examples: ['set-interval'] };
  return object({ ...ALWAYS, state, command, ...SOMETIMES }, Object.keys(SOMETIMES));
}

const REFUSED = { code: 'queue-full', message: 'So many commands wait for the device already.' };
const REJECTION: Message = {
  ...{ name: 'mqtt.rejection', title: 'Refusal', contentType: JSON_TYPE, headers: RESULT_HEADERS },
  summary: 'A command was refused at once: it never came to be and has no id.',
  correlationId: CORRELATION,
  payload: object({
    state: { const: 'rejected' },
    device: { type: 'string' },
    command: { type: 'string' },
    error: error!,
  }),
  examples: [{ payload: { state: 'rejected', device: EXAMPLE_DEVICE, command: 'set-interval', error: REFUSED } }],
};
