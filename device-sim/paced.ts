/** A feed that measures a signal at a steady pace, as a sensor does: whether or not anybody takes the readings. */
import type { Reading } from './device.ts';
import type { Feed, Outlet } from './feed.ts';
import type { Signal } from './signals.ts';

export interface Pace {
  /** Between two readings. */
  intervalMs: number;
  /** Readings in a frame. */
  batch: number;
  /** Where in its interval this device begins, 0 … 1: many devices must not speak at once. */
  phase: number;
}

/** Below this a timer costs more than it gives: several readings share a tick. */
const SHORTEST_TICK_MS = 10;
/** After a longer sleep of the computer the readings in between were not taken. */
const LONGEST_CATCH_UP_MS = 10_000;

export class PacedFeed implements Feed {
  readonly #signal: Signal;
  readonly #batch: number;
  readonly #phase: number;
  #intervalMs: number;
  #outlet: Outlet | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Reading n is due at `#beganAt` + n · interval: a late timer shifts nothing. */
  #beganAt = 0;
  #taken = 0;

  constructor(signal: Signal, pace: Pace) {
    this.#signal = signal;
    this.#batch = pace.batch;
    this.#phase = pace.phase;
    this.#intervalMs = pace.intervalMs;
  }

  get finished(): boolean {
    return false;
  }

  start(outlet: Outlet): void {
    this.#outlet = outlet;
    this.setIntervalMs(this.#intervalMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outlet = undefined;
  }

  setIntervalMs(intervalMs: number): void {
    this.#intervalMs = intervalMs;
    if (!this.#outlet) return;
    clearTimeout(this.#timer);
    const tickMs = Math.max(SHORTEST_TICK_MS, intervalMs * this.#batch);
    this.#beganAt = Date.now() + this.#phase * tickMs - intervalMs * (this.#batch - 1);
    this.#taken = 0;
    this.#timer = setTimeout(() => {
      this.#tick();
      this.#timer = setInterval(() => this.#tick(), tickMs);
    }, this.#phase * tickMs);
  }

  readNow(): number | undefined {
    if (!this.#outlet) return undefined;
    const ts = Date.now();
    this.#outlet.send([{ ts, ...this.#signal(ts) }]);
    return ts;
  }

  #tick(): void {
    const now = Date.now();
    const due = Math.floor((now - this.#beganAt) / this.#intervalMs) + 1;
    const bearable = Math.max(this.#batch, Math.ceil(LONGEST_CATCH_UP_MS / this.#intervalMs));
    this.#taken = Math.max(this.#taken, due - bearable);
    while (due - this.#taken >= this.#batch) this.#outlet?.send(this.#take());
  }

  #take(): Reading[] {
    return Array.from({ length: this.#batch }, () => {
      const ts = Math.round((this.#beganAt + this.#taken++ * this.#intervalMs) * 1000) / 1000;
      return { ts, ...this.#signal(ts) };
    });
  }
}
