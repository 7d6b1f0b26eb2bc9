/** The messages of one connection that are in hand: acknowledged in the order in which they came, once each was dealt with. */

interface Entry {
  /** Undefined: QoS 0, nobody waits for an acknowledgement. */
  messageId: number | undefined;
  isDone: boolean;
}

export interface InboxOptions {
  /** Messages in hand at a time. Policy: hold, the connection is not read until there is room. */
  limit: number;
  acknowledge(messageId: number): void;
  /** A message was not dealt with, so neither it nor those after it are acknowledged. Called once. */
  onFailure(error: unknown): void;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #entries: Entry[] = [];
  #resume: (() => void) | undefined;
  #hasFailed = false;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** `resume` is called when the next message may come: at once, or when there is room again. */
  take(messageId: number | undefined, handled: Promise<unknown>, resume: () => void): void {
    const entry: Entry = { messageId, isDone: false };
    this.#entries.push(entry);
    handled.then(
      () => this.#done(entry),
      (error) => this.#failed(error),
    );
    if (this.#entries.length < this.#options.limit) resume();
    else this.#resume = resume;
  }

  #done(entry: Entry): void {
    entry.isDone = true;
    if (this.#hasFailed) return;
    while (this.#entries[0]?.isDone) {
      const { messageId } = this.#entries.shift()!;
      if (messageId !== undefined) this.#options.acknowledge(messageId);
    }
    if (this.#entries.length >= this.#options.limit) return;
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  #failed(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#options.onFailure(error);
  }
}
