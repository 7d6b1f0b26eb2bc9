/** How a device answers commands: each runs at most once, and its answer is repeated until the hub has it. */
import type { Command, Progress, Result } from '../schemas/types.gen.ts';

/**
 * Does what a command asks and returns the result's value (or a promise of it). What it throws becomes a failed result,
 * with the code of a `CommandError`. `report` tells how far it is, from 0 to 1.
 */
export type Handler = (command: Command, report: (done: number) => void) => Value | Promise<Value>;
type Value = Record<string, unknown> | undefined;

/** A failure that a program can tell from others by its code. */
export class CommandError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'CommandError';
    this.code = code;
  }
}

/** Handles every command that has no handler of its own. */
export const ANY_COMMAND = '*';

interface Answer {
  latest: Progress | Result;
  acknowledged: boolean;
}

const REMEMBERED = 100;
const REPEAT_MS = 10_000;

export class Answers {
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #send: (frame: Progress | Result) => void;
  /** The last commands by id, oldest first. Policy when full: forget the oldest that is settled, else refuse. */
  readonly #answers = new Map<string, Answer>();
  #timer: NodeJS.Timeout | undefined;
  #listening = false;

  /** `send` may drop a frame when there is no connection; `repeat` sends it again. */
  constructor(handlers: Record<string, Handler>, send: (frame: Progress | Result) => void) {
    this.#handlers = new Map(Object.entries(handlers));
    this.#send = send;
  }

  /** Runs a command, unless its id was seen before: then its latest answer goes out again. `now` by the hub's clock. */
  take(command: Command, now: number): void {
    const { id, name } = command;
    const earlier = this.#answers.get(id);
    if (earlier) return this.#send(earlier.latest);
    if (!this.#makeRoom()) return this.#send(failure(id, 'busy', `${REMEMBERED} commands are running`));
    const answer: Answer = { latest: { type: 'progress', id, state: 'accepted' }, acknowledged: false };
    this.#answers.set(id, answer);
    const handler = this.#handlers.get(name) ?? this.#handlers.get(ANY_COMMAND);
    if (now > command.expires) return this.#say(answer, failure(id, 'expired', 'it came after its time'));
    if (!handler) return this.#say(answer, failure(id, 'unknown-command', `this device knows no command "${name}"`));
    this.#say(answer, answer.latest);
    void this.#run(handler, command, answer);
  }

  async #run(handler: Handler, command: Command, answer: Answer): Promise<void> {
    const { id } = command;
    const report = (progress: number) => this.#say(answer, { type: 'progress', id, state: 'running', progress });
    try {
      const value = await handler(command, report);
      this.#say(answer, value ? { type: 'result', id, ok: true, value } : { type: 'result', id, ok: true });
    } catch (error) {
      const code = error instanceof CommandError ? error.code : 'failed';
      this.#say(answer, failure(id, code, error instanceof Error ? error.message : String(error)));
    }
  }

  #say(answer: Answer, frame: Progress | Result): void {
    answer.latest = frame;
    this.#send(frame);
    if (this.#listening) this.#timer ??= setTimeout(() => this.repeat(), REPEAT_MS);
  }

  /** The hub holds the result durably. It is kept all the same: the command may come a second time. */
  acknowledge(id: string): void {
    const answer = this.#answers.get(id);
    if (answer) answer.acknowledged = true;
  }

  /** Sends again whatever the hub has not acknowledged: after each reconnect, and every ten seconds. */
  repeat(): void {
    this.pause();
    this.#listening = true;
    const open = [...this.#answers.values()].filter((answer) => !answer.acknowledged);
    for (const answer of open) this.#send(answer.latest);
    if (open.length > 0) this.#timer = setTimeout(() => this.repeat(), REPEAT_MS);
  }

  /** Nobody is listening: stops repeating until `repeat` is called. */
  pause(): void {
    this.#listening = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #makeRoom(): boolean {
    if (this.#answers.size < REMEMBERED) return true;
    for (const [id, { acknowledged }] of this.#answers) if (acknowledged) return this.#answers.delete(id);
    return false;
  }
}

function failure(id: string, code: string, message: string): Result {
  return { type: 'result', id, ok: false, error: { code, message: message.slice(0, 1024) } };
}
