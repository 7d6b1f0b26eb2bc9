/** What both halves of the AsyncAPI document, the device socket and MQTT, are made of. */
import type { Schema } from './route.ts';

/** A message as AsyncAPI describes it; `headers` are MQTT 5 properties. */
export interface Message {
  name: string;
  title: string;
  summary: string;
  contentType?: string;
  headers?: Schema;
  correlationId?: Schema;
  payload: Schema;
  bindings?: Schema;
  examples: { payload: unknown }[];
}

/** By name. */
export type Messages = Record<string, Message>;

/** Unix milliseconds. */
export const EXAMPLE_TS = 1_760_000_000_000;
export const EXAMPLE_DEVICE = 'meter-7';
/** Of a command. */
export const EXAMPLE_ID = '0mgj6k3cw00019f2c4b7a10de';

/** Of a schema among the components. */
export const refTo = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** The messages of a channel. */
export const messageRefs = (messages: Messages) =>
  Object.fromEntries(Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]));
