/** What a journal must hold, by all that was sent and promised: the model that random lives are held against. */
import assert from 'node:assert/strict';
import type { Held, Journal, JournalStatus, Offset } from '../../hub/telemetry/journal.ts';
import type { Frame, FrameOwner } from '../../hub/telemetry/reading.ts';

/** A connection of a device that numbers its frames from where the hub says, and knows what it was promised. */
export class Session implements FrameOwner {
  readonly epoch: string;
  seq: number;
  acked: number;
  constructor(epoch: string, resume: number) {
    this.epoch = epoch;
    this.seq = resume;
    this.acked = resume;
  }

  durable(seq: number): void {
    assert(seq > this.acked && seq <= this.seq, `ack ${seq} after ${this.acked}, sent ${this.seq}`);
    this.acked = seq;
  }

  refused(seq: number): void {
    assert(seq > this.acked, `${seq} was refused after ${this.acked} was acked`);
    this.seq = seq - 1;
  }
}

export interface Device {
  name: string;
  session: Session;
}

/** What happened in a life, for the report. */
export interface LifeCounts {
  steps: number;
  frames: number;
  acked: number;
  notTaken: number;
  restarts: number;
  powerLosses: number;
  faults: number;
  damages: number;
  repairs: number;
  lostToDamage: number;
}

/** A log, the positions of its readers, and what was broken on purpose. */
export class Model {
  readonly counts: LifeCounts = {
    ...{ steps: 0, frames: 0, acked: 0, notTaken: 0, restarts: 0 },
    ...{ powerLosses: 0, faults: 0, damages: 0, repairs: 0, lostToDamage: 0 },
  };
  /** Every frame that was ever sent, by the number in its reading. */
  readonly sent: Frame[] = [];
  /** The number of the frame at each offset that is durable: a frame keeps its offset, and stays. */
  readonly log = new Map<Offset, number>();
  readonly cursors = new Map<string, Offset>();
  /** Offsets whose bytes were damaged: these, and no others, may be missing. */
  readonly spoilt = new Set<Offset>();
  readonly devices: Device[] = ['a', 'b', 'c'].map((name) => ({ name, session: new Session('e0', 0) }));
  #epochs = 0;
  /** What the hub may have forgotten of its devices through damage. */
  isHeldSpoilt = false;

  /** A group is durable whose first frame has this offset. */
  committed(frames: readonly Frame[], base: Offset): void {
    frames.forEach((frame, index) => {
      this.#learn(base + index, frame);
    });
    this.counts.acked += frames.length;
  }

  #learn(offset: Offset, frame: Frame): void {
    const id = frame.readings[0]!.id as number;
    assert.equal(this.log.get(offset) ?? id, id, `another frame is at offset ${offset}`);
    const { owner: _, ...rest } = frame;
    assert.deepEqual(rest, this.sent[id], `the frame at offset ${offset} was not sent`);
    this.log.set(offset, id);
  }

  #lose(offset: Offset): void {
    assert(this.spoilt.has(offset), `the frame at offset ${offset} is missing`);
    this.counts.lostToDamage++;
    this.log.delete(offset);
  }

  /** Behind the end of the journal offsets are given to other frames. */
  loseEnd(next: Offset): void {
    for (const offset of this.log.keys()) if (offset >= next) this.#lose(offset);
    for (const offset of this.spoilt) if (offset >= next) this.spoilt.delete(offset);
  }

  /** A sink goes on from here: never behind what it had read. */
  resumeSink(sink: string, cursor: Offset): void {
    const known = this.cursors.get(sink);
    if (known !== undefined) assert(cursor <= known, `${sink} would skip from ${known} to ${cursor}`);
    this.cursors.set(sink, cursor);
  }

  /** A device goes on from what the journal holds of it: all it was promised, but for damage. */
  resumeDevice(device: Device, held: Held | undefined): void {
    const { epoch, acked } = device.session;
    const seq = held?.epoch === epoch ? held.seq : 0;
    if (seq >= acked) device.session = new Session(epoch, seq);
    else {
      assert(this.isHeldSpoilt, `${device.name} was promised ${acked} of ${epoch}, held is ${JSON.stringify(held)}`);
      device.session = seq > 0 ? new Session(epoch, seq) : new Session(this.newEpoch(), 0);
    }
  }

  newEpoch(): string {
    return `e${++this.#epochs}`;
  }

  /** Nothing durable is missing but what was damaged, nothing is there that was not sent, all in order and once. */
  async check(journal: Journal, now: number): Promise<void> {
    const { first, next } = journal.status(now);
    for (const [sink, cursor] of this.cursors) {
      assert(first <= cursor, `${sink} is at ${cursor}, the journal begins at ${first}`);
    }
    const found = await this.#readAll(journal, first, next);
    for (const [offset, frame] of found) this.#learn(offset, frame);
    const status = journal.status(now);
    // What was delivered may have gone meanwhile.
    for (const offset of found.keys()) if (offset < status.first) found.delete(offset);
    this.#checkMissing(found, next, status);
    this.#checkOrder(found);
    for (const { name, session } of this.devices) {
      if (session.acked > 0) {
        assert.deepEqual(journal.held(name), { epoch: session.epoch, seq: session.acked }, `held of ${name}`);
      }
    }
  }

  async #readAll(journal: Journal, first: Offset, end: Offset): Promise<Map<Offset, Frame>> {
    const found = new Map<Offset, Frame>();
    // Across damage the offset of a frame in a larger batch cannot be told.
    const step = this.spoilt.size > 0 ? 1 : 7;
    for (let at = first; at < end; ) {
      const batch = await journal.read(at, step);
      assert(batch && batch.next > at, `reading stands still at ${at}`);
      batch.frames.forEach((frame, index) => {
        found.set(batch.next - batch.frames.length + index, frame);
      });
      at = batch.next;
    }
    return found;
  }

  #checkMissing(found: Map<Offset, Frame>, next: Offset, { first, damage }: JournalStatus): void {
    for (const offset of this.log.keys()) {
      if (offset < first || offset >= next || found.has(offset)) continue;
      this.#lose(offset);
      assert(damage.length > 0, `offset ${offset} is missing, and the journal does not say why`);
    }
    if (this.counts.damages > 0) return;
    const real = damage.filter(({ what }) => !what.includes('cut off'));
    assert.deepEqual(real, [], 'nothing is damaged but torn tails');
  }

  #checkOrder(found: Map<Offset, Frame>): void {
    const last = new Map<string, Frame & { offset: Offset }>();
    for (const [offset, frame] of found) {
      if (frame.seq === 0) continue;
      const before = last.get(frame.device);
      if (before?.epoch === frame.epoch) {
        const isBroken = [...this.spoilt].some((lost) => lost > before.offset && lost < offset);
        const isNext = isBroken ? frame.seq > before.seq : frame.seq === before.seq + 1;
        assert(isNext, `${frame.device} has ${frame.seq} after ${before.seq} at offset ${offset}`);
      }
      last.set(frame.device, { ...frame, offset });
    }
  }
}
