/** One random life of a journal on a disk that fails, forgets and lies, held at every check against a simple model. */
import assert from 'node:assert/strict';
import { UserError } from '../../hub/kit/errors.ts';
import type { Journal, JournalStatus, Offset } from '../../hub/telemetry/journal.ts';
import { checkJournal } from '../../hub/telemetry/journal-check.ts';
import { repairJournal } from '../../hub/telemetry/journal-repair.ts';
import type { Frame, FrameOwner } from '../../hub/telemetry/reading.ts';
import { CrashDisk, type Fault } from './crash-fs.ts';
import { T0 } from './frames.ts';
import { hitBy, segmentFiles, spoil } from './journal-damage.ts';
import { DIR, open } from './journals.ts';
import { seededRandom } from './random.ts';

const SEGMENT_BYTES = 2_000;
const SMALL_LIMIT_BYTES = 30_000;
const FAULTS: Fault[] = ['EIO', 'ENOSPC', 'short'];
const SILENT = { info() {}, warn() {}, error() {} };
const SINKS = ['store', 'bridge'];

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
    assert(seq > this.acked && seq <= this.seq, `ack ${seq} after ${this.acked}, sent ${this.seq}`);
    this.acked = seq;
  }

  refused(seq: number): void {
    assert(seq > this.acked, `${seq} was refused after ${this.acked} was acked`);
    this.seq = seq - 1;
  }
}

interface Device {
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

export class Life {
  readonly disk = new CrashDisk();
  readonly random: () => number;
  readonly counts: LifeCounts = {
    ...{ steps: 0, frames: 0, acked: 0, notTaken: 0, restarts: 0 },
    ...{ powerLosses: 0, faults: 0, damages: 0, repairs: 0, lostToDamage: 0 },
  };
  journal!: Journal;

  // The model: a log, the positions of its readers, and what was broken on purpose.
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
  #isHeldSpoilt = false;
  readonly #limitBytes: number;
  readonly #replayMs: number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.#limitBytes = this.chance(0.5) ? SMALL_LIMIT_BYTES : 1e9;
    this.#replayMs = this.chance(0.5) ? 1e9 : 20;
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)]!;
  }

  now = () => T0 + this.counts.steps;

  /** Opens the journal, however often it is killed or fails while it recovers, and lets the devices resume. */
  async begin(): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const isTroubled = attempt < 3 && this.chance(0.15);
      if (await this.#tryOpen(isTroubled)) break;
    }
    this.disk.onCall = () => undefined;
    this.disk.crashAtCall = Number.POSITIVE_INFINITY;
    this.journal.onCommit((frames, next) => this.#committed(frames, next - frames.length));
    this.#loseEnd();
    for (const sink of SINKS) this.#resumeSink(sink);
    for (const device of this.devices) this.#resumeDevice(device);
    this.#isHeldSpoilt = false;
  }

  async #tryOpen(isTroubled: boolean): Promise<boolean> {
    const files = this.disk.mount();
    if (isTroubled && this.chance(0.5)) this.disk.crashAtCall = Math.ceil(this.random() * 40);
    else if (isTroubled) this.failSoon(['read'], 30);
    const memoryReadings = this.chance(0.5) ? 1 : 40;
    const sizes = { segmentBytes: SEGMENT_BYTES, limitBytes: this.#limitBytes, replayMs: this.#replayMs };
    const opening = open(files, { ...sizes, memoryReadings, now: this.now });
    try {
      const opened = await Promise.race([opening, this.disk.crashed]);
      if (opened) this.journal = opened;
      else if (this.chance(0.5)) this.disk.powerLoss(this.random);
      return opened !== undefined;
    } catch (error) {
      assert(
        isTroubled && ('code' in (error as object) || error instanceof UserError),
        `the journal does not open: ${(error as Error).stack}`,
      );
      this.disk.kill();
      return false;
    } finally {
      this.disk.crashAtCall = Number.POSITIVE_INFINITY;
      this.disk.onCall = () => undefined;
    }
  }

  #committed(frames: readonly Frame[], base: Offset): void {
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
  #loseEnd(): void {
    const { next } = this.journal.status(this.now());
    for (const offset of this.log.keys()) if (offset >= next) this.#lose(offset);
    for (const offset of this.spoilt) if (offset >= next) this.spoilt.delete(offset);
  }

  #resumeSink(sink: string): void {
    const cursor = this.journal.cursor(sink);
    const known = this.cursors.get(sink);
    if (known !== undefined) assert(cursor <= known, `${sink} would skip from ${known} to ${cursor}`);
    this.cursors.set(sink, cursor);
  }

  #resumeDevice(device: Device): void {
    const { epoch, acked } = device.session;
    const held = this.journal.held(device.name);
    const seq = held?.epoch === epoch ? held.seq : 0;
    if (seq >= acked) device.session = new Session(epoch, seq);
    else {
      assert(this.#isHeldSpoilt, `${device.name} was promised ${acked} of ${epoch}, held is ${JSON.stringify(held)}`);
      device.session = seq > 0 ? new Session(epoch, seq) : new Session(this.#newEpoch(), 0);
    }
  }

  #newEpoch(): string {
    return `e${++this.#epochs}`;
  }

  async step(): Promise<void> {
    this.counts.steps++;
    const dice = this.random();
    if (dice < 0.55) this.send(this.pick(this.devices));
    else if (dice < 0.78) await turns(this.random() * 20);
    else if (dice < 0.82) this.failSoon(['read', 'open'], 4);
    else if (dice < 0.84) this.pick(this.devices).session = new Session(this.#newEpoch(), 0);
    else if (dice < 0.89) this.#advance(this.pick(SINKS));
    else if (dice < 0.9) await this.#sweep();
    else if (dice < 0.915) this.#fillDisk();
    else if (dice < 0.94) await this.check();
    else await this.#restart();
  }

  send(device: Device): void {
    const { session } = device;
    const isNumbered = this.chance(0.9);
    const id = this.sent.length;
    const seq = isNumbered ? session.seq + 1 : 0;
    const readings = [{ ts: T0 + id, id, text: 'é'.repeat(id % 40) }];
    const frame: Frame = {
      ...{ device: device.name, epoch: session.epoch, seq, stream: 's', receivedAt: T0, readings },
    };
    this.sent.push(frame);
    this.counts.frames++;
    if (this.journal.append(isNumbered ? { ...frame, owner: session } : frame)) this.counts.notTaken++;
    else if (isNumbered) session.seq = seq;
  }

  /** One of the next few calls fails, or some in a row, of whatever kind but those. */
  failSoon(never: string[], within: number): void {
    const fault = this.pick(FAULTS);
    let calls = Math.floor(this.random() * within);
    let failures = this.chance(0.3) ? 4 : 1;
    this.disk.onCall = ({ kind }) => {
      if (never.includes(kind) || calls-- > 0) return undefined;
      if (--failures === 0) this.disk.onCall = () => undefined;
      this.counts.faults++;
      return fault;
    };
  }

  #advance(sink: string): void {
    const from = this.cursors.get(sink)!;
    const { next } = this.journal.status(this.now());
    const to = from + Math.ceil(this.random() * (next - from));
    this.journal.advance(sink, to);
    this.cursors.set(sink, to);
  }

  async #sweep(): Promise<void> {
    try {
      await this.journal.sweep(this.now());
    } catch (error) {
      assert(FAULTS.includes((error as { code: Fault }).code), (error as Error).stack);
    }
  }

  /** Little room is left, or there is room again. */
  #fillDisk(): void {
    const isFull = this.disk.capacityBytes === Number.POSITIVE_INFINITY;
    this.disk.capacityBytes = isFull ? this.disk.bytesUsed() + this.random() * 3000 : Number.POSITIVE_INFINITY;
  }

  async #restart(): Promise<void> {
    const dice = this.random();
    if (dice < 0.25) await this.end(() => this.journal.close());
    else if (dice < 0.45) await this.end(() => this.disk.kill());
    else if (dice < 0.65) await this.#killAndLosePower();
    else if (dice < 0.85) await this.end(() => this.#losePower());
    else await this.end(() => this.#damage());
  }

  /** The process ends in this way, the next one begins. */
  async end(how: () => Promise<void> | void): Promise<void> {
    this.counts.restarts++;
    await how();
    this.disk.onCall = () => undefined;
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    await this.begin();
    await this.check();
  }

  #losePower(): void {
    this.counts.powerLosses++;
    this.disk.powerLoss(this.random);
  }

  /** What the second process found in the page cache, and told the devices, must survive too. */
  async #killAndLosePower(): Promise<void> {
    this.disk.kill();
    this.disk.onCall = () => undefined;
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    await this.begin();
    await this.end(() => this.#losePower());
  }

  /** Between two processes somebody changes the bytes of a file. */
  async #damage(): Promise<void> {
    await this.journal.close();
    this.disk.onCall = () => undefined;
    this.counts.damages++;
    if (this.chance(0.1)) this.#damageCursors();
    const segments = segmentFiles(this.disk);
    for (let places = 1 + this.random() * 2; places >= 1 && segments.length > 0; places--) {
      const path = this.pick(segments);
      this.disk.damage(path, (bytes) => {
        const { from, to, spoiled } = spoil(bytes, this.random);
        for (const offset of hitBy(bytes, from, to)) this.spoilt.add(offset);
        return spoiled;
      });
      this.#isHeldSpoilt = true;
    }
    if (this.chance(0.5)) await this.#repair();
  }

  /** An operator repairs the journal, which may be killed, too; then nothing of what is left is broken. */
  async #repair(): Promise<void> {
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    const files = this.disk.mount();
    if (this.chance(0.3)) this.disk.crashAtCall = Math.ceil(this.random() * 100);
    const repair = await Promise.race([repairJournal(files, DIR, SILENT, this.now()), this.disk.crashed]);
    this.disk.crashAtCall = Number.POSITIVE_INFINITY;
    if (!repair) return this.disk.powerLoss(this.random);
    this.counts.repairs++;
    const { findings } = await checkJournal(this.disk.mount(), DIR, this.now());
    assert.deepEqual(
      findings.filter(({ bytes, file }) => bytes > 0 || file === 'cursors.json'),
      [],
      'nothing is broken after a repair',
    );
  }

  #damageCursors(): void {
    const path = `${DIR}/cursors.json`;
    if (this.disk.paths().includes(path)) this.disk.damage(path, (bytes) => spoil(bytes, this.random).spoiled);
  }

  /** Nothing durable is missing but what was damaged, nothing is there that was not sent, all in order and once. */
  async check(): Promise<void> {
    const { first, next } = this.journal.status(this.now());
    for (const [sink, cursor] of this.cursors) {
      assert(first <= cursor, `${sink} is at ${cursor}, the journal begins at ${first}`);
    }
    const found = await this.#readAll(first, next);
    for (const [offset, frame] of found) this.#learn(offset, frame);
    const status = this.journal.status(this.now());
    // What was delivered may have gone meanwhile.
    for (const offset of found.keys()) if (offset < status.first) found.delete(offset);
    this.#checkMissing(found, next, status);
    this.#checkOrder(found);
    for (const { name, session } of this.devices) {
      if (session.acked > 0) {
        assert.deepEqual(this.journal.held(name), { epoch: session.epoch, seq: session.acked }, `held of ${name}`);
      }
    }
  }

  async #readAll(first: Offset, end: Offset): Promise<Map<Offset, Frame>> {
    const found = new Map<Offset, Frame>();
    // Across damage the offset of a frame in a larger batch cannot be told.
    const step = this.spoilt.size > 0 ? 1 : 7;
    for (let at = first; at < end; ) {
      const batch = await this.journal.read(at, step);
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

/** Turns of the loop, in which what is under way goes on. */
export async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

/** Lives one life. Throws, with the seed and the step, at the first promise that was broken. */
export async function live(seed: number, steps: number): Promise<LifeCounts> {
  const life = new Life(seed);
  try {
    await life.begin();
    for (let step = 0; step < steps; step++) await life.step();
    await life.end(() => life.journal.close());
    await life.journal.close();
  } catch (error) {
    throw new Error(`seed ${seed}, step ${life.counts.steps}: ${(error as Error).message}`, { cause: error });
  }
  return life.counts;
}
