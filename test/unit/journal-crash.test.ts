/** Random lives of a journal on a disk that fails and forgets, held against what its devices were told. */
import { describe, expect, it } from 'vitest';
import type { Journal } from '../../hub/telemetry/journal.ts';
import type { Frame, FrameOwner } from '../../hub/telemetry/reading.ts';
import { CrashDisk, type Fault } from '../helpers/crash-fs.ts';
import { T0 } from '../helpers/frames.ts';
import { open, readAll } from '../helpers/journals.ts';

const SEGMENT_BYTES = 2000;
const FAULTS: (Fault | undefined)[] = ['EIO', 'ENOSPC', 'short'];

/** mulberry32: small, seeded, good enough to choose with. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A connection of a device that numbers its frames from where the hub says, and knows what it was promised. */
class Session implements FrameOwner {
  readonly epoch: string;
  seq: number;
  acked: number;
  constructor(epoch: string, resume: number) {
    this.epoch = epoch;
    this.seq = resume;
    this.acked = resume;
  }

  durable(seq: number): void {
    expect(seq, 'acks rise').toBeGreaterThan(this.acked);
    expect(seq, 'what is acked was sent').toBeLessThanOrEqual(this.seq);
    this.acked = seq;
  }

  refused(seq: number): void {
    expect(seq, 'what was acked is never refused').toBeGreaterThan(this.acked);
    this.seq = seq - 1;
  }
}

class Device {
  readonly name: string;
  session = new Session('e0', 0);
  constructor(name: string) {
    this.name = name;
  }

  /** `sent`: every frame that ever was, by a number in its reading. */
  send(journal: Journal, sent: Map<number, Frame>, isNumbered: boolean): void {
    const id = sent.size;
    const owner = this.session;
    const seq = isNumbered ? owner.seq + 1 : 0;
    const readings = [{ ts: T0 + id, id, text: 'é'.repeat(id % 40) }];
    const frame: Frame = { device: this.name, epoch: owner.epoch, seq, stream: 's', receivedAt: T0, readings };
    sent.set(id, frame);
    if (!journal.append({ ...frame, owner }) && isNumbered) owner.seq = seq;
  }

  resume(journal: Journal): void {
    const { epoch, acked } = this.session;
    const held = journal.held(this.name);
    if (acked > 0) expect(held, `${this.name} is held`).toMatchObject({ epoch });
    const seq = held?.epoch === epoch ? held.seq : 0;
    expect(seq, 'every acked frame is held').toBeGreaterThanOrEqual(acked);
    this.session = new Session(epoch, seq);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

class Life {
  readonly disk = new CrashDisk();
  readonly sent = new Map<number, Frame>();
  readonly devices = ['a', 'b', 'c'].map((name) => new Device(name));
  readonly random: () => number;
  /** What was read at each offset: it must never change again. */
  readonly seen = new Map<number, number>();
  journal!: Journal;
  epochs = 0;

  constructor(seed: number) {
    this.random = randomFrom(seed);
  }

  async begin(): Promise<void> {
    const options = { segmentBytes: SEGMENT_BYTES, memoryReadings: this.random() < 0.5 ? 1 : 40 };
    this.journal = await open(this.disk.mount(), options);
    for (const device of this.devices) device.resume(this.journal);
  }

  async step(): Promise<void> {
    const dice = this.random();
    if (dice < 0.6) this.device().send(this.journal, this.sent, this.random() < 0.9);
    else if (dice < 0.85) for (let i = this.random() * 20; i > 0; i--) await turn();
    else if (dice < 0.88) this.failNextCall();
    else if (dice < 0.9) this.device().session = new Session(`e${++this.epochs}`, 0);
    else if (dice < 0.94) await this.check();
    else if (dice < 0.96) await this.end(() => this.journal.close());
    else if (dice < 0.975) await this.end(() => this.disk.kill());
    else if (dice < 0.985) await this.killAndLosePower();
    else await this.end(() => this.disk.powerLoss(this.random));
  }

  device(): Device {
    return this.devices[Math.floor(this.random() * this.devices.length)]!;
  }

  failNextCall(): void {
    const fault = FAULTS[Math.floor(this.random() * FAULTS.length)];
    let calls = Math.floor(this.random() * 4);
    this.disk.onCall = ({ kind }) => {
      if (kind === 'read' || kind === 'open' || calls-- > 0) return undefined;
      this.disk.onCall = () => undefined;
      return fault;
    };
  }

  async end(how: () => Promise<void> | void): Promise<void> {
    await how();
    this.disk.onCall = () => undefined;
    await this.begin();
    await this.check();
  }

  /** What the second process found in the page cache, and told the devices, must survive too. */
  async killAndLosePower(): Promise<void> {
    this.disk.kill();
    this.disk.onCall = () => undefined;
    await this.begin();
    await this.end(() => this.disk.powerLoss(this.random));
  }

  /** Nothing acked is missing, nothing is there that was not sent, and each device's frames are in order, once. */
  async check(): Promise<void> {
    const recovered = await readAll(this.journal);
    const last = new Map<string, Frame>();
    recovered.forEach((frame, offset) => {
      const id = frame.readings[0]!.id as number;
      expect(frame).toEqual(this.sent.get(id));
      expect(this.seen.get(offset) ?? id, 'a frame keeps its offset').toBe(id);
      if (frame.seq === 0) return;
      const before = last.get(frame.device);
      if (before?.epoch === frame.epoch) expect(frame.seq, 'in order').toBe(before.seq + 1);
      last.set(frame.device, frame);
    });
    for (const [offset, frame] of recovered.entries()) this.seen.set(offset, frame.readings[0]!.id as number);
    expect(recovered.length, 'what was there once stays').toBe(this.seen.size);
    for (const { name, session } of this.devices) {
      const { epoch, acked } = session;
      const held = last.get(name);
      expect(this.journal.held(name)).toEqual(held && { epoch: held.epoch, seq: held.seq });
      if (acked > 0) expect(held).toMatchObject({ epoch, seq: acked });
    }
    expect(this.journal.status(T0).damage.filter(({ what }) => !what.includes('cut off'))).toEqual([]);
  }
}

describe('a journal whose machine, process and disk fail at random', () => {
  it.each(Array.from({ length: 60 }, (_, index) => 7919 * index + 1))('keeps its promises, seed %i', async (seed) => {
    const life = new Life(seed);
    await life.begin();
    for (let i = 0; i < 400; i++) await life.step();
    await life.end(() => life.journal.close());
    expect(life.seen.size).toBeGreaterThan(50);
  });
});

describe('a journal whose machine fails', () => {
  it('keeps its promises whichever call of the file system was the last', async () => {
    for (let call = 1, isOver = false; !isOver; call++) {
      const life = new Life(call);
      await life.begin();
      life.disk.crashAtCall = life.disk.calls + call;
      const history = async () => {
        for (let i = 0; i < 60; i++) {
          life.device().send(life.journal, life.sent, true);
          if (i % 3 === 0) for (let j = 0; j < 6; j++) await turn();
        }
        await life.journal.close();
        isOver = true;
      };
      await Promise.race([history(), life.disk.crashed]);
      life.disk.crashAtCall = Number.POSITIVE_INFINITY;
      await life.end(() => life.disk.powerLoss(life.random));
      expect(call).toBeLessThan(500);
    }
  });
});
