/** A journal and a store in memory, as much of them as replay and comparison use. */
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';
import type { MinuteCounts, Refused } from '../../hub/telemetry/store.ts';

/** Its sink `store` has read up to `cursor`, and waits for `lagMs`. */
export class MemoryJournal {
  readonly frames: Frame[] = [];
  first = 0;
  cursor = 0;
  lagMs = 0;
  #listeners: ((frames: readonly Frame[], next: number) => void)[] = [];

  commit(...frames: Frame[]): void {
    this.frames.push(...frames);
    for (const listener of this.#listeners) listener(frames, this.frames.length);
  }
  onCommit(listener: (frames: readonly Frame[], next: number) => void): void {
    this.#listeners.push(listener);
  }
  async read(from: number, max: number) {
    const at = Math.max(from, this.first);
    const frames = this.frames.slice(at, at + max);
    if (frames.length === 0) return undefined;
    return { from, next: at + frames.length, frames, committedAt: 0 };
  }
  status() {
    const cursor = { offset: this.cursor, lagFrames: this.frames.length - this.cursor, lagMs: this.lagMs };
    const sizes = { bytes: 0, limitBytes: 1, segments: 1, failing: false, damage: [] };
    const space = { roomBytes: 1, endsBy: 'limit' as const, usedPercent: 0, alarm: 0 as const };
    return { ...sizes, space, first: this.first, next: this.frames.length, cursors: { store: cursor } };
  }
}

/** Keeps readings by identity; a reading with a field `poison` is refused. */
export class MemoryStore {
  readonly name = 'store';
  readonly readings = new Map<string, Reading>();
  /** Each write: the `seq` of its frames. */
  readonly writes: number[][] = [];
  /** What the next writes answer instead, one each. */
  readonly troubles: Error[] = [];
  run: string | Error | undefined = 'first run';

  async write(frames: readonly Frame[]): Promise<Refused[]> {
    const trouble = this.troubles.shift();
    if (trouble) throw trouble;
    this.writes.push(frames.map(({ seq }) => seq));
    const refused: Refused[] = [];
    for (const frame of frames) {
      for (const reading of frame.readings) {
        if ('poison' in reading) refused.push({ frame, reading, message: 'poison' });
        else this.readings.set(`${frame.device} ${frame.stream} ${reading.ts}`, reading);
      }
    }
    return refused;
  }
  async incarnation(): Promise<string | undefined> {
    if (this.run instanceof Error) throw this.run;
    return this.run;
  }
  async countByMinute(stream: string, from: number, to: number): Promise<MinuteCounts> {
    const counts: MinuteCounts = new Map();
    for (const [identity, { ts, ...fields }] of this.readings) {
      if (identity.split(' ')[1] !== stream || ts < from || ts >= to) continue;
      const minute = ts - (ts % 60_000);
      for (const field of Object.keys(fields)) {
        const minutes = counts.get(field) ?? new Map<number, number>();
        counts.set(field, minutes.set(minute, (minutes.get(minute) ?? 0) + 1));
      }
    }
    return counts;
  }
}
