/** Tells which readings of a batch are the present and which are history, for Sparkplug's flag. Pure. */
import type { Live } from '../../telemetry/live.ts';
import type { Frame, Reading } from '../../telemetry/reading.ts';

/** A reading that is younger is the present, even if another came after it. */
const PRESENT_MS = 10_000;

/** For one batch of frames. A reading is history when it is old and a newer one of its series is known. */
export class Newest {
  /** By device and stream: the time of the newest reading that is known. */
  readonly #newest = new Map<string, number>();
  readonly #now: number;

  constructor(frames: readonly Frame[], live: Pick<Live, 'lastOf'>, now: number) {
    this.#now = now;
    for (const { device, stream, readings } of frames) {
      const series = `${device} ${stream}`;
      let newest = this.#newest.get(series) ?? live.lastOf(device)[stream]?.ts ?? Number.NEGATIVE_INFINITY;
      for (const { ts } of readings) newest = Math.max(newest, ts);
      this.#newest.set(series, newest);
    }
  }

  isHistory({ device, stream }: Frame, { ts }: Reading): boolean {
    return this.#now - ts > PRESENT_MS && ts < this.#newest.get(`${device} ${stream}`)!;
  }
}
