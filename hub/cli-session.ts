/** What a verb of the CLI is given, and the exit codes it ends with. */
import type { Command } from 'commander';
import type { Colors } from './cli-tables.ts';
import type { Role } from './operators/operators.ts';

/** What the process's exit code says. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  commandFailed: 4,
  commandRejected: 5,
  commandExpired: 6,
  commandUnknown: 7,
  commandPending: 8,
  interrupted: 130,
} as const;

/** Speaks to a running hub; whatever is under way when Ctrl-C comes rejects with an AbortError. */
export interface Client {
  /** The parsed body, undefined when there is none. Throws `UserError` (failed, unreachable). */
  json<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** The body as text. Throws `UserError` (failed, unreachable). */
  text(path: string, accept: string): Promise<string>;
  /** `open`, then server-sent events until the hub ends the stream. Throws `UserError` (failed; unreachable, also when it breaks). */
  events(path: string): AsyncGenerator<ServerEvent>;
}

export interface ServerEvent {
  event: string;
  data: string;
}

export interface Session {
  client: Client;
  /** Finds the hub again, which may have been restarted elsewhere. Throws `UserError` (unreachable). */
  reconnect(): Promise<Client>;
  options: Record<string, string | number | boolean | string[] | undefined>;
  tags: Record<string, string>;
  color: Colors;
  /** Writes a line of the answer. */
  print(text: string): void;
  /** Writes a line for people, apart from the answer. */
  hint(text: string): void;
  /** Writes an answer in place of the one before; below it when the output is no terminal. */
  reprint(text: string): void;
  /** Aborted by Ctrl-C, and when nobody reads the answer any more. */
  stopped: AbortSignal;
}

/** Resolves when the verb is done; throws `UserError`. */
export type Verb = (session: Session, ...args: string[]) => Promise<void>;

/** Adds a verb to the program, with what all verbs share: where the hub is, examples, exit codes, its role (viewer). */
export type AddVerb = (
  parent: Command,
  usage: string,
  description: string,
  run: Verb,
  examples: string[],
  role?: Role,
) => Command;
