/** Where one epoch of a device stands: which frame numbers were taken, are durable, and were acknowledged. */
import type { GivenTimes } from '../telemetry/ingest.ts';
import type { Offset } from '../telemetry/journal.ts';
import type { FrameOwner } from '../telemetry/reading.ts';

/** What a sequence tells the session that is connected now. */
export interface SequenceListener {
  ack(seq: number): void;
  /** The journal could not keep the frames from `from` on. */
  lost(from: number): void;
}

/** It outlives the session, so that frames in flight at a reconnect are acknowledged to the new socket. */
export class Sequence implements FrameOwner {
  readonly epoch: string;
  /** The highest number taken from the device, the highest that is durable, and the highest that was acknowledged. */
  accepted: number;
  durableSeq: number;
  acked: number;
  /** After `flow`: the number the device must begin again with; nothing else is taken until then. */
  waitingFor: number | undefined;
  /** Durable before this hub started, and perhaps not stored: the hub does not know what the device knows of it. */
  #inherited = 0;
  /** An ack waits for the telemetry store, not only for the journal. */
  #waitsForStore = false;
  readonly given: GivenTimes = new Map();
  listener: SequenceListener | undefined;
  /** `stored` acks: each number becomes due when the store's cursor has passed its offset. */
  #due: { seq: number; offset: Offset }[] = [];

  /** `held`: the highest number of the epoch that is durable already. */
  constructor(epoch: string, held = 0) {
    this.epoch = epoch;
    this.accepted = held;
    this.durableSeq = held;
    this.acked = held;
  }

  get settled(): boolean {
    return this.accepted === this.acked;
  }

  /** Frames that wait for their ack, as the window counts them. */
  get inFlight(): number {
    return this.accepted - Math.max(this.acked, this.#inherited);
  }

  get waitsForStore(): boolean {
    return this.#waitsForStore;
  }

  /**
   * What an ack means from now on, as the device chose in `hello`; it resumes after `acked`. The telemetry store has
   * everything before the offset `stored`, the journal everything before `next`: what is durable but perhaps not
   * stored yet is not acknowledged to a device that waits for the store.
   */
  begin(ack: 'journaled' | 'stored', stored: Offset, next: Offset): void {
    if (ack === 'journaled') {
      this.acked = this.durableSeq;
      this.#due = [];
    } else if (!this.#waitsForStore && stored < next && this.durableSeq > 0) {
      this.acked = 0;
      this.#inherited = this.durableSeq;
      this.#due = [{ seq: this.durableSeq, offset: next }];
    }
    this.#waitsForStore = ack === 'stored';
    this.waitingFor = undefined;
  }

  /** How many numbers the device has left out when this one is the next. */
  skippedBefore(seq: number): number {
    return seq - this.accepted - 1;
  }

  /** The frame of this number was taken. */
  take(seq: number): void {
    this.accepted = seq;
    this.waitingFor = undefined;
  }

  durable(seq: number): void {
    this.durableSeq = seq;
    if (!this.#waitsForStore) this.#ack(seq);
  }

  refused(seq: number): void {
    // Not `seq` - 1: a gap before it was refused with it, and is one again when it comes again.
    this.accepted = this.durableSeq;
    this.waitingFor = seq;
    this.listener?.lost(seq);
  }

  /** The group that made `durableSeq` durable ends before `offset`. */
  committedUpTo(offset: Offset): void {
    const last = this.#due.at(-1)?.seq ?? this.acked;
    if (this.durableSeq > last) this.#due.push({ seq: this.durableSeq, offset });
  }

  /** The telemetry store has taken everything before `offset`. */
  storedUpTo(offset: Offset): void {
    let seq = 0;
    while (this.#due.length > 0 && this.#due[0]!.offset <= offset) seq = this.#due.shift()!.seq;
    if (seq > this.acked) this.#ack(seq);
  }

  #ack(seq: number): void {
    this.acked = seq;
    this.listener?.ack(seq);
  }
}
