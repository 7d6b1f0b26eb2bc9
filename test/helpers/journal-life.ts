/** One random life of a journal on a disk that fails, forgets and lies, held at every check against a simple model. */
import assert from 'node:assert/strict';
import { UserError } from '../../hub/kit/errors.ts';
import type { Journal } from '../../hub/telemetry/journal.ts';
import { checkJournal } from '../../hub/telemetry/journal-check.ts';
import { repairJournal } from '../../hub/telemetry/journal-repair.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { CrashDisk, type Fault } from './crash-fs.ts';
import { T0 } from './frames.ts';
import { hitBy, segmentFiles, spoil } from './journal-damage.ts';
import { type Device, type LifeCounts, Model, Session } from './journal-model.ts';
import { DIR, open } from './journals.ts';
import { seededRandom } from './random.ts';

const SEGMENT_BYTES = 2_000;
const SMALL_LIMIT_BYTES = 30_000;
const FAULTS: Fault[] = ['EIO', 'ENOSPC', 'short'];
const SILENT = { info() {}, warn() {}, error() {} };
const SINKS = ['store', 'bridge'];

export class Life {
  readonly disk = new CrashDisk();
  readonly random: () => number;
  readonly model = new Model();
  readonly counts = this.model.counts;
  journal!: Journal;
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
    this.journal.onCommit((frames, next) => this.model.committed(frames, next - frames.length));
    this.model.loseEnd(this.journal.status(this.now()).next);
    for (const sink of SINKS) this.model.resumeSink(sink, this.journal.cursor(sink));
    for (const device of this.model.devices) this.model.resumeDevice(device, this.journal.held(device.name));
    this.model.isHeldSpoilt = false;
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

  async step(): Promise<void> {
    this.counts.steps++;
    const dice = this.random();
    if (dice < 0.55) this.send(this.pick(this.model.devices));
    else if (dice < 0.78) await turns(this.random() * 20);
    else if (dice < 0.82) this.failSoon(['read', 'open'], 4);
    else if (dice < 0.84) this.pick(this.model.devices).session = new Session(this.model.newEpoch(), 0);
    else if (dice < 0.89) this.#advance(this.pick(SINKS));
    else if (dice < 0.9) await this.#sweep();
    else if (dice < 0.915) this.#fillDisk();
    else if (dice < 0.94) await this.model.check(this.journal, this.now());
    else await this.#restart();
  }

  send(device: Device): void {
    const { session } = device;
    const isNumbered = this.chance(0.9);
    const id = this.model.sent.length;
    const seq = isNumbered ? session.seq + 1 : 0;
    const readings = [{ ts: T0 + id, id, text: 'é'.repeat(id % 40) }];
    const frame: Frame = {
      ...{ device: device.name, epoch: session.epoch, seq, stream: 's', receivedAt: T0, readings },
    };
    this.model.sent.push(frame);
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
    const from = this.model.cursors.get(sink)!;
    const { next } = this.journal.status(this.now());
    const to = from + Math.ceil(this.random() * (next - from));
    this.journal.advance(sink, to);
    this.model.cursors.set(sink, to);
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
    await this.model.check(this.journal, this.now());
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
        for (const offset of hitBy(bytes, from, to)) this.model.spoilt.add(offset);
        return spoiled;
      });
      this.model.isHeldSpoilt = true;
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
