/** The shape of a route: routes are data, so that the server, the OpenAPI document and the tests read one table. */
import type { RefusalCode } from '../kit/errors.ts';
import type { Operator, Role } from '../operators/operators.ts';
import type { Asker } from './identify.ts';

/** A JSON Schema. */
export type Schema = Record<string, unknown>;

/** What a handler is told; `params`, `query` and `body` fit the route's schemas. */
export interface Call {
  params: Record<string, string>;
  query: Record<string, string | number | undefined>;
  body: unknown;
  /** The `Accept` header. */
  accept: string;
  /** Absent on routes for anyone. */
  operator: Operator | undefined;
  /** What the client calls this request, so that it can be sent again. */
  idempotencyKey?: string;
  /** How the operator was recognised; absent on routes for anyone. */
  asker?: Asker;
  /** The `Host` header. */
  host?: string;
  /** Whether it came over TLS, as far as the hub or a proxy it trusts can tell. */
  isSecure?: boolean;
  /** It asks for a WebSocket. */
  isUpgrade?: boolean;
}

/** Where a streaming answer writes. */
export interface Outlet {
  /** Resolves when the reader can take more; rejects when it went away. */
  write(text: string): Promise<void>;
  /** Aborted when the reader went away or the server closes. */
  signal: AbortSignal;
}

/** Writes a streaming answer, which ends with the promise. */
export type Writing = (outlet: Outlet) => Promise<void>;

/** A WebSocket on its way to a handler. */
export interface Peer {
  /** Resolves when the reader can take more; rejects when it went away. */
  send(text: string): Promise<void>;
  /** Says goodbye with the close code of a refusal. Idempotent. */
  close(code: RefusalCode, reason: string): void;
  /** Aborted when the socket is gone. */
  signal: AbortSignal;
}

/** What a handler answers: a body (an object is sent as JSON, text as `type`) or a stream that lasts as long as the promise. */
export interface Answer {
  /** 200 unless it says otherwise. */
  status?: number;
  /** Content type of text and streams. */
  type?: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** Who turned out to ask on a route for anyone, for the audit log. */
  operator?: Operator;
  stream?: Writing;
  /** Instead of an answer to an upgrade: a conversation; returns who hears the peer's texts. */
  socket?: (peer: Peer) => (text: string) => void;
}

export interface Route {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With `:name` for parameters. */
  path: string;
  /** GET only: its answer may be a stream, which is not begun for its headers alone. */
  noHead?: true;
  /** The least role that may; `anyone` needs no token. */
  role: Role | 'anyone';
  /** Of a route for anyone: `asker` is there when somebody is recognised; a token that opens nothing is refused. */
  asksWho?: true;
  tag: string;
  /** What the audit log says of it, the verb twice: `rotate/rotated the token`. Every route that changes something has one. */
  deed?: string;
  summary: string;
  params?: Schema;
  query?: Schema;
  body?: Schema;
  /** The body is a secret that may be guessed: it may hold a token, and failures of one address are throttled. */
  takesSecret?: true;
  /** Each successful answer, for the OpenAPI document; `texts`: examples of what is no JSON, by content type. */
  answers: Record<number, { description: string; schema?: Schema; texts?: Record<string, string> }>;
  /** Throws `RefusedError` (its row in the table of refusals is the answer) or `Unavailable` (503). */
  handle(call: Call): Answer | Promise<Answer>;
  /**
   * What is answered in place of the body that was made, when the request wants to wait for more, or when it is repeated.
   * What was made is durable and in the audit log by then, so this changes nothing and throws nothing.
   */
  follow?(made: unknown, call: Call, repeated: boolean): unknown;
}

/** Whether a request without a body is a mistake: some member must be there. */
export function needsBody({ body }: Route): boolean {
  const { required = [], minProperties = 0 } = (body ?? {}) as { required?: string[]; minProperties?: number };
  return required.length > 0 || minProperties > 0;
}

/** A closed object; every property is required unless it is in `optional`. */
export function object(properties: Record<string, Schema>, optional: string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', additionalProperties: false, properties, ...(required.length > 0 && { required }) };
}

/** A query string: all optional. */
export function query(properties: Record<string, Schema>): Schema {
  return object(properties, Object.keys(properties));
}
