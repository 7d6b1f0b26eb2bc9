/** A feed that goes on with another one when the first has ended: a recording of the past, then the present. */
import type { Reading } from './device.ts';
import type { Feed, Outlet } from './feed.ts';
import type { Fields, Signal } from './signals.ts';

export class ContinuedFeed implements Feed {
  readonly #first: Feed;
  readonly #next: Feed;
  #outlet: Outlet | undefined;
  #wentOn = false;

  /** `first` ends by itself; its last ack wakes `next`. */
  constructor(first: Feed, next: Feed) {
    this.#first = first;
    this.#next = next;
  }

  get finished(): boolean {
    return this.#first.finished && this.#next.finished;
  }

  start(outlet: Outlet): void {
    this.#outlet = outlet;
    this.#first.start(outlet);
    this.#goOn();
  }

  stop(): void {
    this.#outlet = undefined;
    this.#first.stop();
    this.#next.stop();
  }

  wake(): void {
    if (this.#wentOn) return this.#next.wake?.();
    this.#first.wake?.();
    this.#goOn();
  }

  setIntervalMs(intervalMs: number): void {
    this.#next.setIntervalMs?.(intervalMs);
  }

  readNow(): number | undefined {
    return this.#next.readNow?.();
  }

  #goOn(): void {
    if (this.#wentOn || !this.#outlet || !this.#first.finished) return;
    this.#wentOn = true;
    this.#next.start(this.#outlet);
  }
}

/** The values of a recording from its end back to its start, and there and back again, so that nothing jumps; whatever the time is. */
export function valuesBackAndForth(recording: readonly Reading[]): Signal {
  let [at, by] = [recording.length - 1, -1];
  return () => {
    const { ts: _, ...values } = recording[at]!;
    if (recording[at + by] === undefined) by = -by;
    if (recording[at + by] !== undefined) at += by;
    return values as Fields;
  };
}
