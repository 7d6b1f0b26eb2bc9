/** The routes of the contract with devices: the catalog of streams and commands, and the AsyncAPI document. */
import { type Catalog, protocolSchemas } from '../../schemas/index.ts';
import type { MqttContract } from '../bridge/brokers.ts';
import { asyncapiOf } from './asyncapi.ts';
import { object, type Route, type Schema } from './route.ts';

export interface ContractRouteDeps {
  catalog: Catalog;
  version: string;
  /** What goes over brokers, as configured. */
  mqtt: MqttContract;
}

const DOCUMENT: Schema = {
  type: 'object',
  required: ['asyncapi', 'channels'],
  examples: [{ asyncapi: '3.0.0', channels: {} }],
};
const LIST: Schema = { type: 'array', items: { type: 'object' } };

/** The catalog does not change while the hub runs, so both answers are made once. */
export function contractRoutes({ catalog, version, mqtt }: ContractRouteDeps): Route[] {
  const schemas = {
    streams: [...catalog.streams.values()].map(({ name, title, description, fields, schema }) => {
      return { name, title, description, fields: [...fields.values()], schema };
    }),
    commands: [...catalog.commands.values()].map(({ checkParams: _, checkResult: __, ...command }) => command),
  };
  const asyncapi = asyncapiOf({ version, catalog, protocol: protocolSchemas, mqtt });
  return [
    {
      method: 'GET',
      path: '/v1/schemas',
      role: 'viewer',
      tag: 'contract',
      summary: 'The streams devices may send and the commands they may be told, with their JSON Schemas.',
      answers: { 200: { description: 'The catalog.', schema: object({ streams: LIST, commands: LIST }) } },
      handle: () => ({ body: schemas }),
    },
    {
      method: 'GET',
      path: '/asyncapi.json',
      role: 'viewer',
      tag: 'contract',
      summary: 'What the hub and devices say to each other, and what it says and hears over MQTT, as AsyncAPI.',
      answers: { 200: { description: 'AsyncAPI 3.0.', schema: DOCUMENT } },
      handle: () => ({ body: asyncapi }),
    },
  ];
}
