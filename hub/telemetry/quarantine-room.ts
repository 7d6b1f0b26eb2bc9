/** How full the quarantine is, whom it still takes readings of, and when people hear of it. Pure. */
import { countOfRejected } from './quarantine-entry.ts';
import type { Frame } from './reading.ts';

export interface QuarantineStatus {
  /** Kept now. */
  readings: number;
  limitReadings: number;
  /** Percent of the limit from which the alarm that stands began: 80, 100 (full), or 0 for none. */
  alarm: 0 | 80 | 100;
  /** Refused since the hub started and not kept, which the device was told. */
  dropped: number;
}

export interface RoomOptions {
  /** Readings kept; 0 keeps none, and says nothing of it. */
  limitReadings: number;
  log: Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;
}

/** One device that sends nothing but rubbish leaves room for the mistakes of others. */
const DEVICE_SHARE = 0.25;
/** What a store refused was acknowledged before: for it there is as much room again. */
const RESERVE = 2;
/** An alarm ends so far below where it began, so that one at its threshold is not told again and again. */
const SLACK = 0.05;

/**
 * Counts by device. What is on its way through the journal counts as kept, so that the promise made to a device at the
 * door holds when the disk is slow; what still waits there from before a restart is taken too, and counted when it comes.
 */
export class QuarantineRoom {
  readonly #limit: number;
  readonly #log: RoomOptions['log'];
  readonly #kept = new Map<string, number>();
  readonly #coming = new Map<string, number>();
  #keptAll = 0;
  #comingAll = 0;
  #dropped = 0;
  #alarm: QuarantineStatus['alarm'] = 0;
  /** Devices whose share is used up and of whom people know: as many as there are shares. */
  readonly #used = new Set<string>();

  constructor({ limitReadings, log }: RoomOptions) {
    this.#limit = limitReadings;
    this.#log = log;
  }

  /** Whether `readings` of a device may come. */
  admits(device: string, readings: number): boolean {
    if (this.#limit === 0) return true;
    const own = (this.#kept.get(device) ?? 0) + (this.#coming.get(device) ?? 0);
    const fits = this.#keptAll + this.#comingAll + readings <= this.#limit;
    if (!fits) return false;
    if (own + readings <= this.#share) return true;
    this.#tellOf(device, own);
    return false;
  }

  get #share(): number {
    return Math.max(1, Math.floor(this.#limit * DEVICE_SHARE));
  }

  /** Once, until its readings were looked after. */
  #tellOf(device: string, readings: number): void {
    if (this.#used.has(device)) return;
    this.#used.add(device);
    this.#log.error({ device, readings, limit: this.#share }, USED);
  }

  /** Whether there is room for what was promised or acknowledged: for one batch more than there should be. */
  get hasReserve(): boolean {
    return this.#keptAll < RESERVE * this.#limit;
  }

  expect(frames: readonly Frame[]): void {
    for (const frame of frames) if (frame.rejected) this.#come(frame.device, countOfRejected(frame));
  }

  /** These frames were written. */
  arrived(frames: readonly Frame[]): void {
    for (const frame of frames) if (frame.rejected) this.#come(frame.device, -countOfRejected(frame));
  }

  #come(device: string, readings: number): void {
    // Frames of a former run come without having been expected.
    const before = this.#coming.get(device) ?? 0;
    const now = Math.max(0, before + readings);
    this.#comingAll += now - before;
    if (now === 0) this.#coming.delete(device);
    else this.#coming.set(device, now);
  }

  kept(device: string, readings: number): void {
    this.#kept.set(device, (this.#kept.get(device) ?? 0) + readings);
    this.#keptAll += readings;
  }

  /** Counts anew, with what there really is. */
  recount(counts: Iterable<readonly [device: string, readings: number]>): void {
    this.#kept.clear();
    this.#keptAll = 0;
    for (const [device, readings] of counts) this.kept(device, readings);
    for (const device of this.#used) if ((this.#kept.get(device) ?? 0) < this.#share) this.#used.delete(device);
    this.look();
  }

  /** So many are not kept. */
  drop(readings: number): void {
    this.#dropped += readings;
  }

  /** Tells once when an alarm begins, rises, falls or ends. */
  look(): void {
    const before = this.#alarm;
    const fill = this.#limit === 0 ? 0 : this.#keptAll / this.#limit;
    this.#alarm = alarmAt(fill, before);
    if (this.#alarm === before) return;
    const fields = { readings: this.#keptAll, limit: this.#limit };
    if (this.#alarm === 100) this.#log.error(fields, FULL);
    else if (this.#alarm > before) this.#log.warn(fields, NEARLY);
    else this.#log.info(fields, 'quarantine: there is room again');
  }

  status(): QuarantineStatus {
    return { readings: this.#keptAll, limitReadings: this.#limit, alarm: this.#alarm, dropped: this.#dropped };
  }
}

function alarmAt(fill: number, before: number): QuarantineStatus['alarm'] {
  const stands = (percent: number) => fill >= percent / 100 - (before >= percent ? SLACK : 0);
  if (stands(100)) return 100;
  return stands(80) ? 80 : 0;
}

const USED = 'quarantine: a device has used up its quarter of the room; what else is refused of it is not kept';
const NEARLY = 'quarantine: 80 % of its room are gone; look at hub quarantine ls, then replay or drop';
const FULL = 'quarantine: it is full; what is refused now is not kept, and devices are told so: hub quarantine ls';
