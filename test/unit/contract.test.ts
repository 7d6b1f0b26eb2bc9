/** The contract told once: protocol schemas, generated types, refusals, AsyncAPI and the catalog say the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import asyncapiSpecs from '@asyncapi/specs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { asyncapiOf } from '../../hub/api/asyncapi.ts';
import { contractRoutes } from '../../hub/api/contract-routes.ts';
import { exampleOf } from '../../hub/api/example.ts';
import type { Route } from '../../hub/api/route.ts';
import { REFUSALS } from '../../hub/kit/errors.ts';
import { loadCatalog, loadUplinkChecks, protocolSchemas } from '../../schemas/index.ts';
import { mqttContract } from '../helpers/mqtt-contract.ts';

const ROOT = join(import.meta.dirname, '../..');
const catalog = loadCatalog(join(ROOT, 'test/fixtures/schemas'));
const mqtt = mqttContract();
const document = asyncapiOf({ version: '1.2.3', catalog, protocol: protocolSchemas, mqtt });
const frames = Object.entries({ ...protocolSchemas.uplink.$defs, ...protocolSchemas.downlink.$defs });

interface Shown {
  channels: { device: { messages: Record<string, unknown> } };
  operations: Record<string, { messages: { $ref: string }[]; reply?: { messages: { $ref: string }[] } }>;
  components: { messages: Record<string, Message>; schemas: Record<string, object> };
  'x-close-codes': Record<string, { retry: boolean; reasons: Record<string, string> }>;
}
interface Message {
  name: string;
  title: string;
  summary: string;
  payload: object;
  examples: { payload: unknown }[];
}
const shown = document as unknown as Shown;
const messages = Object.values(shown.components.messages);

/** A validator that knows the whole document, so that its references resolve. */
function checkOf(schema: object) {
  const ajv = new Ajv({ strict: false });
  return ajv.compile({ ...schema, components: shown.components });
}

describe('the frames of the protocol', () => {
  it.each(frames)('%s has a sentence, a type word and examples that fit it', (name, frame) => {
    expect(frame).toMatchObject({ title: name, description: expect.stringMatching(/.{10,}/) });
    expect(frame.examples.length).toBeGreaterThan(0);
    const direction = name in protocolSchemas.uplink.$defs ? protocolSchemas.uplink : protocolSchemas.downlink;
    const check = new Ajv({ strict: false }).compile(direction);
    for (const example of frame.examples) {
      expect(example.type).toBe(frame.properties.type!.const);
      expect([example, check(example), check.errors]).toEqual([example, true, null]);
    }
  });

  it('that devices send are those the gateway checks', () => {
    const types = Object.values(protocolSchemas.uplink.$defs).map(({ properties }) => properties.type!.const);
    expect(Object.keys(loadUplinkChecks()).sort()).toEqual([...types].sort());
  });

  it('each have a type in types.gen.ts', () => {
    const types = readFileSync(join(ROOT, 'schemas/types.gen.ts'), 'utf8');
    for (const [name, { properties }] of frames) {
      expect(types).toMatch(new RegExp(`^export interface ${name} \\{\ntype: "${properties.type!.const}"$`, 'm'));
    }
  });
});

describe('the table of refusals', () => {
  const closing = Object.entries(REFUSALS).filter(([, { close }]) => close !== 0);

  it.each(closing)('%s closes with a code whose range says whether to come back', (_, { close, retry }) => {
    if (close >= 4_000) expect(close < 4_500).toBe(retry);
    else expect([1001, 1003]).toContain(close);
  });

  it('names every close code and error code that the gateway uses in its source', () => {
    const source = ['session', 'sessions', 'listener.ws', 'admission']
      .map((file) => readFileSync(join(ROOT, `hub/gateway/${file}.ts`), 'utf8'))
      .join('\n');
    const used = [...source.matchAll(/(?:#error|\.close|refuse)\(\s*'([a-z-]+)'/g)].map(([, code]) => code!);
    expect(used.length).toBeGreaterThan(15);
    expect(used.filter((code) => !(code in REFUSALS))).toEqual([]);
  });

  it('has words for errors that the examples of frames use', () => {
    for (const { code } of protocolSchemas.downlink.$defs.ErrorFrame!.examples)
      expect(REFUSALS).toHaveProperty([String(code)]);
  });

  it('is told whole by AsyncAPI', () => {
    const told = Object.entries(shown['x-close-codes']).flatMap(([code, { retry, reasons }]) =>
      Object.entries(reasons).map(([word, title]) => ({ word, close: Number(code), retry, title })),
    );
    const byWord = (a: { word: string }, b: { word: string }) => a.word.localeCompare(b.word);
    const expected = closing.map(([word, { close, retry, title }]) => ({ word, close, retry, title }));
    expect(told.sort(byWord)).toEqual(expected.sort(byWord));
  });
});

describe('the AsyncAPI document', () => {
  it('fits the AsyncAPI 3.0 schema', () => {
    const schema = asyncapiSpecs.schemasWithoutId['3.0.0'] as object;
    const check = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    expect([check(JSON.parse(JSON.stringify(document))), check.errors]).toEqual([true, null]);
  });

  it('has references that lead somewhere', () => {
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!);
    expect(references.length).toBeGreaterThan(30);
    for (const path of references) {
      const found = path.split('/').reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
      expect([path, found !== undefined]).toEqual([path, true]);
    }
  });

  it('has a message for each frame, each stream and each command, and every one in an operation', () => {
    const types = frames.map(([, { properties }]) => String(properties.type!.const));
    const expected = types.flatMap((type) => {
      if (type === 'telemetry') return [...catalog.streams.keys()].map((name) => `telemetry.${name}`);
      return type === 'command' ? [...catalog.commands.keys()].map((name) => `command.${name}`) : [type];
    });
    const ofSocket = Object.keys(shown.components.messages).filter((name) => !name.startsWith('mqtt.'));
    expect(ofSocket.sort()).toEqual(expected.sort());
    expect(Object.keys(shown.channels.device.messages).sort()).toEqual(expected);
    const used = Object.entries(shown.operations).flatMap(([id, { messages, reply }]) =>
      id.startsWith('mqtt') ? [] : [...messages, ...(reply?.messages ?? [])],
    );
    expect([...new Set(used.map(({ $ref }) => $ref.split('/').at(-1)!))].sort()).toEqual(expected);
  });

  it.each(messages.map((message) => [message.name, message] as const))(
    'describes %s with examples that fit',
    (_, message) => {
      expect(message.title).not.toBe('');
      expect(message.summary.length).toBeGreaterThan(10);
      expect(message.examples.length).toBeGreaterThan(0);
      const check = checkOf(message.payload);
      for (const { payload } of message.examples)
        expect([payload, check(payload), check.errors]).toEqual([payload, true, null]);
    },
  );

  it('says of a stream what its schema says', () => {
    const check = checkOf(shown.components.messages['telemetry.environment']!.payload);
    const frame = (reading: object, stream = 'environment') => ({ type: 'telemetry', stream, readings: [reading] });
    expect(check(frame({ age: 5, temperature: 20 }))).toBe(true);
    expect(check(frame({ temperature: 'warm' }))).toBe(false);
    expect(check(frame({ colour: 1 }))).toBe(false);
    expect(check(frame({ temperature: 20 }, 'power'))).toBe(false);
  });
});

describe('examples made of a schema', () => {
  it.each([
    [{ type: 'number', minimum: -60, maximum: 85 }, 20],
    [{ type: 'number', minimum: 300 }, 300],
    [{ type: 'integer', maximum: 7, multipleOf: 7 }, 7],
    [{ type: 'number', examples: [21.4] }, 21.4],
    [{ type: 'string', enum: ['on', 'off'] }, 'on'],
    [{ type: 'string', minLength: 6, maxLength: 8 }, 'texttt'],
    [{ const: 5 }, 5],
    [{ type: 'boolean', default: false }, false],
    [{ type: 'array', items: { type: 'boolean' } }, [true]],
    [{ type: 'object', properties: { a: { type: 'boolean' } } }, { a: true }],
  ])('%j: %j', (schema, example) => {
    expect(exampleOf(schema)).toEqual(example);
  });

  it('are left out when they do not fit', () => {
    const stream = catalog.streams.get('environment')!;
    const misfit = { ...stream, check: () => ({ path: '', code: 'pattern', message: 'does not match' }) };
    const streams = new Map([['environment', misfit]]);
    const made = asyncapiOf({ version: '1', catalog: { ...catalog, streams }, protocol: protocolSchemas, mqtt });
    expect((made as unknown as Shown).components.messages['telemetry.environment']!.examples).toEqual([]);
  });
});

describe('GET /v1/schemas', () => {
  const route = contractRoutes({ catalog, version: '1', mqtt }).find(({ path }) => path === '/v1/schemas') as Route;
  const { body } = route.handle({ params: {}, query: {}, body: undefined, accept: '', operator: undefined }) as {
    body: { streams: { name: string }[]; commands: { name: string }[] };
  };
  const fileOf = (kind: string, name: string) =>
    JSON.parse(readFileSync(join(ROOT, `schemas/${kind}/${name}.json`), 'utf8'));

  it('has every stream as it is written, annotations and all', () => {
    expect(body.streams.map(({ name }) => name)).toEqual([...catalog.streams.keys()]);
    expect(body.streams).toContainEqual(
      expect.objectContaining({
        name: 'machine',
        title: 'Machine',
        schema: fileOf('telemetry', 'machine'),
        fields: expect.arrayContaining([
          { name: 'state', type: 'string', tag: true, title: 'State' },
          { name: 'rpm', type: 'number', tag: false, title: 'Rotation speed', unit: '/min' },
        ]),
      }),
    );
  });

  it('has every command with its parameters, its result and what to know before sending it', () => {
    expect(body.commands.map(({ name }) => name)).toEqual([...catalog.commands.keys()]);
    const { title, description, timeoutMs, idempotent, confirm } = fileOf('commands', 'reboot');
    expect(body.commands).toContainEqual({
      ...{ name: 'reboot', title, description, timeoutMs, idempotent, confirm },
      schema: fileOf('commands', 'reboot'),
    });
  });
});
