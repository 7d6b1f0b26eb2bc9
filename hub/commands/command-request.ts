/** Turns what somebody asks for into a command, or into the reason why not. */
import { randomBytes } from 'node:crypto';
import type { CommandType, Failure } from '../../schemas/index.ts';
import { RefusedError } from '../kit/errors.ts';
import type { Command } from './command.ts';

/** What a command is asked with. */
export interface CommandRequest {
  device: string;
  name: string;
  /** Checked by the command's schema; `{}` without it. */
  params?: Record<string, unknown>;
  /** How long it may wait to be sent: 1 second to 30 days, 1 hour without it. */
  ttlMs?: number;
  /** How long the device may take from the first sending; the schema's without it. */
  timeoutMs?: number;
  /** `operator:<name>`, `schedule:<id>`, `mqtt:<broker>`. */
  actor: string;
  group?: string;
  schedule?: string;
  /** Makes the call repeatable: asked for twice with one id it is one command. The hub makes one without it. */
  id?: string;
}

/** Parameters that do not fit the command's schema; the `path` of each failure is a JSON pointer into them. */
export class ParamsMisfit extends RefusedError {
  readonly failures: readonly Failure[];
  constructor(failures: readonly Failure[]) {
    super('invalid', failures.map(({ path, message }) => `params${path} ${message}`).join('; '));
    this.failures = failures;
  }
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
export const TTL_MS = { min: 1_000, max: 30 * DAY_MS, fallback: 60 * MINUTE_MS };
export const TIMEOUT_MS = { min: 100, max: DAY_MS };
/** A command is small; with this bound a device's backlog always has room for some. */
export const MAX_PARAMS_BYTES = 4_096;
export const COMMAND_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;

/** The type of that name. Throws `RefusedError` (unknown-command), naming those there are. */
export function typeOf(name: string, types: ReadonlyMap<string, CommandType>): CommandType {
  const type = types.get(name);
  if (type) return type;
  const known = [...types.keys()].join(', ');
  throw new RefusedError('unknown-command', `"${name.slice(0, 80)}" is none of the commands: ${known}.`);
}

/** Refuses parameters that no device could be asked with. Throws `RefusedError` (invalid). */
export function checkParams(type: CommandType, params: Record<string, unknown>): void {
  // First, for it bounds the work of finding every failure.
  if (Buffer.byteLength(JSON.stringify(params)) > MAX_PARAMS_BYTES)
    throw new RefusedError('invalid', `The params of a command have at most ${MAX_PARAMS_BYTES} bytes.`);
  const failures = type.checkParams(params);
  if (failures.length > 0) throw new ParamsMisfit(failures);
}

/** A command of that type in state `queued`; `createdAt` is its place in the order, `now` begins its TTL. Throws `RefusedError` (invalid). */
export function commandOf(
  request: CommandRequest,
  type: CommandType,
  id: string,
  { createdAt, now }: { createdAt: number; now: number },
): Command {
  const { device, params = {}, ttlMs = TTL_MS.fallback, timeoutMs = type.timeoutMs, actor, group, schedule } = request;
  checkParams(type, params);
  inRange('ttlMs', ttlMs, TTL_MS.min, TTL_MS.max);
  inRange('timeoutMs', timeoutMs, TIMEOUT_MS.min, TIMEOUT_MS.max);
  if (!COMMAND_ID.test(id)) throw new RefusedError('invalid', `"${id.slice(0, 80)}" is no command id.`);
  const origin = { ...(group !== undefined && { group }), ...(schedule !== undefined && { schedule }) };
  return {
    ...{ id, device, name: type.name, params, state: 'queued', actor, attempt: 0, ...origin },
    ...{ createdAt, updatedAt: now, expiresAt: now + ttlMs, timeoutMs },
  };
}

function inRange(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new RefusedError('invalid', `${name} is ${value}; it may be ${min} to ${max}.`);
}

/** Makes ids that sort in the order in which they are made, and that nobody can guess. */
export function createIds(): (now: number) => string {
  let count = 0;
  return (now) => {
    count = (count + 1) % 36 ** 4;
    const time = Math.floor(now).toString(36).padStart(9, '0');
    return `${time}${count.toString(36).padStart(4, '0')}${randomBytes(6).toString('hex')}`;
  };
}
