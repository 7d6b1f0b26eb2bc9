/** A connected device in plain numbers: what came, when it was last heard, and how long it may be quiet. */
import type { Presence, SessionRecord } from './presence.ts';

/** Nobody is taken for silent sooner, unless an operator said what to expect. */
const LEAST_QUIET_MS = 60_000;
/** Until its rhythm is known: a device that was added a moment ago may send once in five minutes. */
const UNKNOWN_QUIET_MS = 600_000;
/** A device may miss two readings before it is missed itself. */
const TOLERANCE = 3;
/** Closer readings count as one: they cannot lift the limit above the least, and a backlog sent at once is no rhythm. */
const MARK_MS = LEAST_QUIET_MS / TOLERANCE;
/** Gaps whose median is the rhythm, and how many it takes to believe it. */
const GAPS = 7;
const ENOUGH_GAPS = 3;

export class Connected {
  readonly session: SessionRecord;
  /** It has no connection of its own: its readings come over an MQTT broker. */
  isOnBroker = false;
  /** Replaced by the book with every change. */
  presence!: Presence;
  /** Absent until enough gaps were seen, now or in an earlier session. */
  learntMs: number | undefined;
  #frames = 0;
  #readings = 0;
  #heardAt = 0;
  #markedAt = 0;
  readonly #gaps: number[] = [];

  constructor(session: SessionRecord, learntMs: number | undefined) {
    this.session = session;
    this.learntMs = learntMs;
  }

  /** A frame with so many accepted readings. */
  heard(at: number, readings: number): void {
    this.#frames += 1;
    if (readings === 0) return;
    this.#readings += readings;
    this.#heardAt = at;
    if (at - this.#markedAt >= MARK_MS) this.#mark(at);
  }

  #mark(at: number): void {
    if (this.#markedAt > 0) this.#gaps.push(at - this.#markedAt);
    this.#markedAt = at;
    if (this.#gaps.length > GAPS) this.#gaps.shift();
    if (this.#gaps.length < ENOUGH_GAPS) return;
    const sorted = this.#gaps.toSorted((a, b) => a - b);
    this.learntMs = Math.max(LEAST_QUIET_MS, TOLERANCE * sorted[sorted.length >> 1]!);
  }

  /** When it becomes silent if nothing comes, and the sentence for it. `expectedMs`: as an operator said, if one did. */
  quietAt(expectedMs: number | undefined): { since: number; detail: string } {
    const quietMs = expectedMs ?? this.learntMs ?? UNKNOWN_QUIET_MS;
    const last = Math.max(this.#heardAt, this.session.connectedAt);
    const what = this.#heardAt >= this.session.connectedAt ? 'the last came at' : 'none since it connected at';
    return { since: last + quietMs, detail: `expected within ${quietMs} ms; ${what} ${new Date(last).toISOString()}` };
  }

  /** The session as history keeps it. */
  record(end: Partial<SessionRecord>): SessionRecord {
    return { ...this.session, frames: this.#frames, readings: this.#readings, ...end };
  }
}
