/** One command's life: its states, what moves it from one to the next (one table), and when time does so. Pure. */

export const COMMAND_STATES = [
  'queued',
  'sent',
  'accepted',
  'succeeded',
  'failed',
  'rejected',
  'expired',
  'cancelled',
  'unknown',
] as const;

/**
 * `queued`: durable, not sent yet. `sent`: handed to the device's socket, perhaps more than once. `accepted`: the device has
 * it. `succeeded`, `failed`: it ran. `rejected`: the device refused to run it. `expired`: never sent before its time was over.
 * `cancelled`: before it was sent. `unknown`: sent, then silence past its deadline; it may have run.
 */
export type CommandState = (typeof COMMAND_STATES)[number];

/** A command as it is stored and shown. Times are Unix milliseconds. */
export interface Command {
  id: string;
  device: string;
  name: string;
  params: Record<string, unknown>;
  state: CommandState;
  createdAt: number;
  /** Not sent any more from then on. */
  expiresAt: number;
  /** How long the device may take from the first sending. */
  timeoutMs: number;
  /** First sending plus `timeoutMs`; absent until then. */
  deadlineAt?: number;
  /** How often it was sent; counted durably before each sending. */
  attempt: number;
  /** Who asked: `operator:<name>`, `schedule:<id>`, `mqtt:<broker>`, with `/<client>` when it said its name. */
  actor: string;
  /** The device said first that it has it; it is not sent again from then on. */
  acceptedAt?: number;
  /** Part done, 0 to 1, as the device last said. */
  progress?: number;
  /** What the device answered. */
  value?: unknown;
  error?: CommandFailure;
  /** In what the result does not fit its schema; it is kept all the same. */
  misfit?: string;
  /** When it reached an end; a late truth moves it. */
  finishedAt?: number;
  updatedAt: number;
  group?: string;
  schedule?: string;
}

export interface CommandFailure {
  code: string;
  message: string;
}

/** What can happen to a command. */
export type CommandEvent =
  | { type: 'send' | 'expire' | 'timeout' | 'remove' }
  | { type: 'cancel'; by: string }
  | { type: 'progress'; progress?: number }
  | { type: 'succeed'; value?: unknown; misfit?: string }
  | { type: 'fail' | 'reject'; error: CommandFailure };

const ANSWERS = { succeed: 'succeeded', fail: 'failed', reject: 'rejected' } as const;

/**
 * The table of transitions; what is not in it changes nothing. A result ends every state that has no truth yet, even
 * `queued` (a hub restored from a backup does not know that it had sent) and `unknown` (the late truth wins). `remove`:
 * the device was removed.
 */
export const TRANSITIONS: Record<CommandState, Partial<Record<CommandEvent['type'], CommandState>>> = {
  queued: {
    ...{ send: 'sent', progress: 'accepted', ...ANSWERS },
    ...{ expire: 'expired', cancel: 'cancelled', remove: 'cancelled' },
  },
  sent: { send: 'sent', progress: 'accepted', ...ANSWERS, timeout: 'unknown', remove: 'unknown' },
  accepted: { progress: 'accepted', ...ANSWERS, timeout: 'unknown', remove: 'unknown' },
  unknown: { send: 'unknown', progress: 'unknown', ...ANSWERS, remove: 'unknown' },
  succeeded: {},
  failed: {},
  rejected: {},
  expired: {},
  cancelled: {},
};

const FINAL = new Set<CommandState>(['succeeded', 'failed', 'rejected', 'expired', 'cancelled']);

/** Nothing changes it any more. */
export const isFinal = (state: CommandState): boolean => FINAL.has(state);

/** Nobody waits for it any more: final, or `unknown`, which a late result still changes. */
export const hasEnded = (state: CommandState): boolean => FINAL.has(state) || state === 'unknown';

/** The device has yet to be told: never sent, or sent and neither answered nor past its time. */
export function isDeliverable({ state, acceptedAt, expiresAt }: Command, now: number): boolean {
  return TRANSITIONS[state].send !== undefined && acceptedAt === undefined && now < expiresAt;
}

/** When time itself moves it on, and how; undefined when it does not. */
export function dueOf(command: Command): { at: number; event: CommandEvent } | undefined {
  const { state, expiresAt, deadlineAt } = command;
  if (state === 'queued') return { at: expiresAt, event: { type: 'expire' } };
  if (deadlineAt === undefined || hasEnded(state)) return undefined;
  return { at: deadlineAt, event: { type: 'timeout' } };
}

/** The command after the event; undefined when the event changes nothing. */
export function advance(command: Command, event: CommandEvent, now: number): Command | undefined {
  const state = TRANSITIONS[command.state][event.type];
  if (state === undefined) return undefined;
  const next: Command = { ...command, state, updatedAt: now };
  if (event.type === 'send') next.attempt = command.attempt + 1;
  if (event.type === 'progress') {
    next.acceptedAt = command.acceptedAt ?? now;
    if (event.progress !== undefined) next.progress = event.progress;
  }
  if (event.type === 'succeed') {
    if (event.value !== undefined) next.value = event.value;
    if (event.misfit !== undefined) next.misfit = event.misfit;
  }
  if (event.type === 'fail' || event.type === 'reject') next.error = event.error;
  if (event.type === 'cancel') next.error = { code: 'cancelled', message: `by ${event.by}` };
  // A device of the same id that is added later is another one.
  if (event.type === 'remove') {
    next.expiresAt = Math.min(command.expiresAt, now);
    next.error = { code: 'device-removed', message: 'the device was removed' };
  }
  if (state === 'sent' || state === 'accepted') next.deadlineAt = command.deadlineAt ?? now + command.timeoutMs;
  if (hasEnded(state) && command.state !== state) next.finishedAt = now;
  return next;
}

/** Codes by which a device says that it did not even begin. */
const REFUSED = new Set(['rejected', 'unknown-command', 'expired', 'busy', 'invalid-params']);

/** What a result that is not ok means: refused before it began (`rejected`), or begun and failed (`failed`). */
export function eventOfFailure(error: CommandFailure): CommandEvent {
  return { type: REFUSED.has(error.code) ? 'reject' : 'fail', error };
}
