/** How much each device sends, taken or not, and which devices send most. Pure. */

/** What a device sent, and how often it was told `flow`. */
export interface Amounts {
  frames: number;
  readings: number;
  bytes: number;
  flows: number;
}

const NOTHING: Readonly<Amounts> = { frames: 0, readings: 0, bytes: 0, flows: 0 };

/** Counts on while a device sends, over all its connections. */
export class Traffic implements Amounts {
  frames = 0;
  readings = 0;
  bytes = 0;
  flows = 0;
  #before = NOTHING;
  #perSecond = NOTHING;

  /** In the time between the last two looks. */
  get perSecond(): Readonly<Amounts> {
    return this.#perSecond;
  }

  /** Nothing came since the look before the last one. */
  get isQuiet(): boolean {
    return this.#perSecond === NOTHING && this.frames === this.#before.frames;
  }

  /** `seconds`: since the last look. */
  look(seconds: number): void {
    const { frames, readings, bytes, flows } = this;
    const before = this.#before;
    if (frames === before.frames) {
      this.#perSecond = NOTHING;
      return;
    }
    this.#perSecond = {
      frames: (frames - before.frames) / seconds,
      readings: (readings - before.readings) / seconds,
      bytes: (bytes - before.bytes) / seconds,
      flows: (flows - before.flows) / seconds,
    };
    this.#before = { frames, readings, bytes, flows };
  }
}

/** By what talkers are ranked. */
export const MEASURES = ['bytes', 'readings', 'frames', 'flows'] as const;
export type Measure = (typeof MEASURES)[number];

/** A device that sends, with what it sent and was told in a second. */
export interface Talker {
  device: string;
  perSecond: Amounts;
}

export interface Talkers {
  /** To be called about once a second; `now`: monotonic milliseconds. */
  look(now: number): void;
  /** Devices that sent anything in the last seconds, most first, at most so many. Rounded to tenths. */
  top(by: Measure, limit: number): Talker[];
}

/** Long enough for a device that sends once a second to be seen as one. */
const WINDOW_MS = 5_000;

/** `traffics`: of every device that is connected, or was a moment ago. */
export function createTalkers(traffics: () => Iterable<[device: string, Traffic]>, startedAt: number): Talkers {
  let lookedAt = startedAt;
  return {
    look(now) {
      // Ticks come a little late or early: half of one is near enough.
      if (now - lookedAt < WINDOW_MS - 500) return;
      for (const [, traffic] of traffics()) traffic.look((now - lookedAt) / 1_000);
      lookedAt = now;
    },
    top(by, limit) {
      const active = [...traffics()].filter(([, { perSecond }]) => perSecond[by] > 0);
      const sorted = active.sort(([, one], [, other]) => other.perSecond[by] - one.perSecond[by]);
      return sorted.slice(0, limit).map(([device, { perSecond }]) => ({ device, perSecond: rounded(perSecond) }));
    },
  };
}

function rounded({ frames, readings, bytes, flows }: Amounts): Amounts {
  const tenths = (value: number) => Math.round(value * 10) / 10;
  return { frames: tenths(frames), readings: tenths(readings), bytes: tenths(bytes), flows: tenths(flows) };
}
