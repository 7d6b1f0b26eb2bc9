/** Commands of all devices: durable before anything else happens, delivered in order, and every one comes to an end. */
import type { CommandType } from '../../schemas/index.ts';
import type { Command as CommandFrame, Downlink, Progress, Result } from '../../schemas/types.gen.ts';
import type { Table } from '../backplane/backplane.ts';
import type { Command, CommandState } from './command.ts';

/** What a command is asked with. */
export interface CommandRequest {
  device: string;
  name: string;
  /** Checked by the command's schema; `{}` without it. */
  params?: Record<string, unknown>;
  /** How long it may wait to be sent: 1 minute to 30 days, 1 hour without it. */
  ttlMs?: number;
  /** How long the device may take; the schema's without it. */
  timeoutMs?: number;
  /** `operator:<name>`, `schedule:<id>`, `mqtt:<client>`. */
  actor: string;
  group?: string;
  schedule?: string;
  /** Makes the call repeatable: asked for twice with one id it is one command. The hub makes one without it. */
  id?: string;
}

export interface CommandQuery {
  device?: string;
  state?: CommandState;
  group?: string;
  limit: number;
  /** The `next` of the page before. */
  before?: string;
}

/** Where a device's frames go: its newest session. */
export interface Outlet {
  send(frame: Downlink): void;
  /** False while it has much to send already. */
  readonly hasRoom: boolean;
}

export interface Commands {
  /** Durable when it resolves. Throws `RefusedError` (not-found, unknown-command, invalid, queue-full, exists), `Unavailable`. */
  send(request: CommandRequest): Promise<Command>;
  get(id: string): Command | undefined;
  /** Newest first; `next` is absent on the last page. */
  list(query: CommandQuery): { commands: Command[]; next?: string };
  /** Only before it was sent. Durable when it resolves. Throws `RefusedError` (not-found, already-sent). */
  cancel(id: string, actor: string): Promise<Command>;
  /** The command when it has ended (or is `unknown`), or as it is after `withinMs`. Throws `RefusedError` (not-found). */
  wait(id: string, withinMs: number): Promise<Command>;
  /** Called after each durable change. */
  onChange(listener: (command: Command) => void): void;
}
