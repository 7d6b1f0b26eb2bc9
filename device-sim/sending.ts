/** How readings leave the outbox: within the window, not while the hub has asked us to wait, and until acknowledged. */
import type { Flow } from '../schemas/types.gen.ts';
import type { Link } from './link.ts';
import type { Outbox } from './outbox.ts';

/** What became of a frame. */
export interface Answered {
  seq: number;
  readings: number;
  /** Those of them that the hub refused for good. */
  rejected: number;
  /** From first sending to ack. */
  latencyMs: number;
}

export class Sending {
  /** Frames that were sent more than once. */
  resent = 0;
  readonly #outbox: Outbox;
  readonly #link: Pick<Link, 'state' | 'send' | 'restart'>;
  readonly #onAck: (answered: Answered) => void;
  /** Frames on their way at most. */
  #window = 0;
  /** On this connection: the highest number sent, and the highest acknowledged. What lies between is the window. */
  #sent = 0;
  #acked = 0;
  /** Set while the hub has asked us to wait. */
  #flow: NodeJS.Timeout | undefined;

  constructor(outbox: Outbox, link: Pick<Link, 'state' | 'send' | 'restart'>, onAck: (answered: Answered) => void) {
    this.#outbox = outbox;
    this.#link = link;
    this.#onAck = onAck;
  }

  /** A new connection: the hub holds everything up to `resume`. */
  begin(resume: number, window: number): void {
    this.#window = window;
    this.#release(resume);
    this.#sent = this.#acked = this.#outbox.first - 1;
  }

  /** Sends what the window allows. */
  pump(): void {
    if (this.#link.state !== 'online' || this.#flow) return;
    while (this.#sent - this.#acked < this.#window) {
      const seq = Math.max(this.#sent + 1, this.#outbox.first);
      const frame = this.#outbox.get(seq);
      if (!frame) return;
      this.#link.send(`{"type":"telemetry","seq":${seq},${frame.body}`);
      this.#sent = seq;
      if (frame.sentAt === undefined) frame.sentAt = performance.now();
      else this.resent++;
    }
  }

  /** The hub holds everything up to this number. */
  acknowledge(seq: number): void {
    this.#acked = Math.max(this.#acked, seq);
    this.#release(seq);
    this.pump();
  }

  /** The hub has asked us to wait, perhaps to go on from an earlier frame. */
  wait({ from, retryAfterMs }: Flow): void {
    if (from !== undefined) this.#sent = Math.min(this.#sent, from - 1);
    this.pause();
    this.#flow = setTimeout(() => {
      this.#flow = undefined;
      // The full outbox has dropped meanwhile what the hub waits for; only a new connection makes the hub move on.
      if (from !== undefined && from < this.#outbox.first) return this.#link.restart();
      this.pump();
    }, retryAfterMs);
  }

  /** The connection is gone, and with it the wish to wait. */
  pause(): void {
    clearTimeout(this.#flow);
    this.#flow = undefined;
  }

  #release(upTo: number): void {
    let seq = this.#outbox.first;
    const now = performance.now();
    for (const { readings, rejected, sentAt = now } of this.#outbox.release(upTo)) {
      this.#onAck({ seq: seq++, readings, rejected, latencyMs: now - sentAt });
    }
  }
}
