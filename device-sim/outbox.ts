/** What a device holds until the hub has it: numbered frames in order, bounded, the oldest dropped first. */

export interface HeldFrame {
  /** The frame without its number: `"stream":…,"readings":[…]}`. It is serialised once, however often it is sent. */
  body: string;
  readings: number;
  /** Readings of it that the hub refused for good. */
  rejected: number;
  /** When it was first sent, by the monotonic clock in milliseconds; undefined until then. */
  sentAt: number | undefined;
}

/**
 * Numbers are consecutive, so the frames are the range `first` … `last`, and nothing needs to be searched.
 * Policy when full: drop-oldest-and-count. A sensor that was cut off for days is worth more with its latest hours than
 * with its first; the hub sees the jump in the numbers and writes it to its ledger of gaps.
 */
export class Outbox {
  readonly #limitReadings: number;
  #frames: HeldFrame[] = [];
  #first: number;
  #readings = 0;
  #dropped = 0;

  /** `lastSeq`: the last number used before; a new epoch begins with 0. */
  constructor(limitReadings: number, lastSeq = 0) {
    this.#limitReadings = limitReadings;
    this.#first = lastSeq + 1;
  }

  /** Number of the oldest held frame (when empty: of the next frame). */
  get first(): number {
    return this.#first;
  }

  /** Number of the newest frame, held or not; `first` − 1 when empty. */
  get last(): number {
    return this.#first + this.#frames.length - 1;
  }

  /** Readings held. */
  get readings(): number {
    return this.#readings;
  }

  /** Readings that can be added before others are dropped. */
  get room(): number {
    return this.#limitReadings - this.#readings;
  }

  /** Readings dropped so far because the outbox was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Returns the frame's number. The newest frame is kept even if it is larger than the limit by itself. */
  add(body: string, readings: number): number {
    this.#frames.push({ body, readings, rejected: 0, sentAt: undefined });
    this.#readings += readings;
    while (this.#readings > this.#limitReadings && this.#frames.length > 1) {
      for (const frame of this.release(this.#first)) this.#dropped += frame.readings;
    }
    return this.last;
  }

  get(seq: number): HeldFrame | undefined {
    return this.#frames[seq - this.#first];
  }

  /** Removes and returns the frames up to and including `seq`. */
  release(seq: number): HeldFrame[] {
    const released = this.#frames.splice(0, Math.max(0, seq - this.#first + 1));
    this.#first += released.length;
    for (const frame of released) this.#readings -= frame.readings;
    return released;
  }

  /** A new epoch: what is held is numbered 1, 2, 3 … again. */
  renumber(): void {
    this.#first = 1;
  }
}
