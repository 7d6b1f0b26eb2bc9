/** What a verb of the CLI is given, and the exit codes it ends with, in code and in words. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Role } from '../operators/operators.ts';
import type { Colors } from './tables.ts';

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

/** What the exit code of most verbs says, for their help. */
export const EXIT_CODES = `
Exit codes: 0 done · 1 the hub refused it, it failed, or you said no · 2 wrong usage · 3 no hub could be reached ·
  130 interrupted.`;

/** The same for verbs that wait for the end of commands. */
export const WAITING_EXIT_CODES = `
Exit codes:
    0  done; with --wait: succeeded (a group: on every device)
    1  the hub refused it, or you said no
    2  wrong usage
    3  no hub could be reached
    4  with --wait: failed (a group: finished, and not every device succeeded)
    5  with --wait: rejected by the device
    6  with --wait: expired or cancelled
    7  with --wait: unknown, which is sent, and no answer in time
    8  with --wait: not ended yet
  130  interrupted`;

/** Speaks to a running hub; whatever is under way when Ctrl-C comes rejects with an AbortError. */
export interface Client {
  /** Where the hub is reached. */
  url: string;
  /** The parsed body, undefined when there is none. Throws `UserError` (failed, unreachable) and `RequestMistake`. */
  json<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** The body as text, as it comes and no faster than it is read. Throws `UserError` (failed; unreachable, also when it breaks). */
  text(path: string, accept: string): AsyncGenerator<string>;
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
  /** Writes an answer of any length as its reader takes it; resolves early when nobody reads any more. */
  pour(texts: AsyncIterable<string>): Promise<void>;
  /** Writes a line for people, apart from the answer. */
  hint(text: string): void;
  /** Writes an answer in place of the one before; below it when the output is no terminal. */
  reprint(text: string): void;
  /** Asks a person; anything but a yes is a no. Absent when there is no terminal to ask on. */
  ask?: (question: string) => Promise<boolean>;
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

/** A path with its values escaped. */
export function pathOf(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return String.raw({ raw: parts }, ...values.map(encodeURIComponent));
}

/** Ctrl-C ends it early. */
export async function pause(ms: number, stopped: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal: stopped }).catch(() => {});
}
