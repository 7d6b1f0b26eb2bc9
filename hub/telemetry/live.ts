/** What is happening now: the last reading of each series, and a stream of readings for whoever watches. */
import { RefusedError } from '../kit/errors.ts';
import type { Frame, Reading } from './reading.ts';

/** One reading on its way to a subscriber. */
export interface LiveEvent {
  device: string;
  stream: string;
  reading: Reading;
}

/** Something else that happened to a device; of the same `kind`, device and `key` only the newest matters. */
export interface LiveNotice {
  kind: Exclude<LiveKind, 'reading'>;
  device: string;
  key?: string;
  data: object;
}

/** Readings and notices in order of arrival, and how many were left out before them because the subscriber was slow. */
export interface LiveBatch {
  events: (LiveEvent | LiveNotice)[];
  merged: number;
}

/** What there is to hear of. */
export const LIVE_KINDS = ['reading', 'presence', 'command'] as const;
export type LiveKind = (typeof LIVE_KINDS)[number];

/** Whatever is absent leaves nothing out. `streams` is asked of readings only. */
export interface LiveFilter {
  kinds?: ReadonlySet<LiveKind>;
  /** Called for each frame and notice: a look-up, no search. */
  wants?(device: string): boolean;
  streams?: ReadonlySet<string>;
}

/** While the promise it returns is pending, readings wait; a rejection ends the subscription. */
export type Deliver = (batch: LiveBatch) => void | Promise<void>;

export interface Live {
  /** Called once for each group commit; costs one map write per frame when nobody watches. */
  update(frames: readonly Frame[]): void;
  /** Tells the subscribers that something other than a reading happened. */
  tell(notice: LiveNotice): void;
  /** The newest reading of each stream of a device, by its time: since the hub started, and what was recalled. */
  lastOf(device: string): Record<string, Reading>;
  /** Takes a reading of the past, which nobody is told of. */
  recall(device: string, stream: string, reading: Reading): void;
  /** Forgets a removed device. */
  forget(device: string): void;
  /** Starts delivering; returns the function that ends it. Throws `RefusedError` (full). */
  subscribe(filter: LiveFilter, deliver: Deliver): () => void;
  readonly subscribers: number;
}

interface Options {
  /** Readings that may wait for one subscriber; beyond it only the newest of each series is kept, the rest counted. */
  maxWaiting?: number;
  /** Series that may wait then; beyond it those heard longest ago are dropped and counted. */
  maxSeries?: number;
  maxSubscribers?: number;
}

/** Nothing here is durable: after a restart it fills again with the first frames. */
export function createLive({ maxWaiting = 1_000, maxSeries = 20_000, maxSubscribers = 200 }: Options = {}): Live {
  const last = new Map<string, Map<string, Reading>>();
  const subscribers = new Set<Subscriber>();

  function keep(device: string, stream: string, reading: Reading) {
    const streams = last.get(device);
    if (!streams) {
      last.set(device, new Map([[stream, reading]]));
      return;
    }
    const held = streams.get(stream);
    // A device that catches up sends old readings: they are not the present.
    if (!held || held.ts <= reading.ts) streams.set(stream, reading);
  }

  return {
    update(frames) {
      for (const { device, stream, readings } of frames) {
        const reading = newestOf(readings);
        if (reading) keep(device, stream, reading);
      }
      for (const subscriber of subscribers) subscriber.offer(frames);
    },
    tell(notice) {
      for (const subscriber of subscribers) subscriber.tell(notice);
    },
    recall: keep,
    lastOf: (device) => Object.fromEntries(last.get(device) ?? []),
    forget: (device) => void last.delete(device),
    subscribe(filter, deliver) {
      if (subscribers.size >= maxSubscribers)
        throw new RefusedError('full', `${maxSubscribers} programs watch already.`);
      const bounds = { maxWaiting, maxSeries };
      const subscriber = new Subscriber(filter, deliver, bounds, () => subscribers.delete(subscriber));
      subscribers.add(subscriber);
      return () => subscriber.end();
    },
    get subscribers() {
      return subscribers.size;
    },
  };
}

type Bounds = Required<Pick<Options, 'maxWaiting' | 'maxSeries'>>;

/** One who watches. At most one delivery is under way; what arrives meanwhile waits, bounded, in one of two forms. */
class Subscriber {
  readonly #filter: LiveFilter;
  readonly #deliver: Deliver;
  readonly #bounds: Bounds;
  readonly #onEnd: () => void;
  /** In order of arrival, until it is full. */
  #waiting: (LiveEvent | LiveNotice)[] = [];
  /** From then until the next delivery: the newest event by series, the series heard last at the end. */
  #newest: Map<string, LiveEvent | LiveNotice> | undefined;
  #merged = 0;
  #busy = false;
  #ended = false;

  constructor(filter: LiveFilter, deliver: Deliver, bounds: Bounds, onEnd: () => void) {
    this.#filter = filter;
    this.#deliver = deliver;
    this.#bounds = bounds;
    this.#onEnd = onEnd;
  }

  offer(frames: readonly Frame[]) {
    const filter = this.#filter;
    if (filter.kinds?.has('reading') === false) return;
    for (const frame of frames) {
      if (filter.streams?.has(frame.stream) === false || filter.wants?.(frame.device) === false) continue;
      for (const reading of frame.readings) this.#add({ device: frame.device, stream: frame.stream, reading });
    }
    this.#pump();
  }

  tell(notice: LiveNotice) {
    const filter = this.#filter;
    if (filter.kinds?.has(notice.kind) === false || filter.wants?.(notice.device) === false) return;
    this.#add(notice);
    this.#pump();
  }

  end() {
    this.#ended = true;
    this.#waiting = [];
    this.#newest = undefined;
    this.#onEnd();
  }

  #add(event: LiveEvent | LiveNotice) {
    if (!this.#newest && this.#waiting.length < this.#bounds.maxWaiting) {
      this.#waiting.push(event);
      return;
    }
    if (!this.#newest) this.#merge();
    this.#keepNewest(event);
  }

  #merge() {
    this.#newest = new Map();
    for (const event of this.#waiting) this.#keepNewest(event);
    this.#waiting = [];
  }

  #keepNewest(event: LiveEvent | LiveNotice) {
    const newest = this.#newest!;
    const series = seriesOf(event);
    const before = newest.get(series);
    if (newest.delete(series)) this.#merged += 1;
    newest.set(series, before && isOlder(event, before) ? before : event);
    if (newest.size <= this.#bounds.maxSeries) return;
    newest.delete(newest.keys().next().value!);
    this.#merged += 1;
  }

  #pump() {
    if (this.#busy || this.#ended) return;
    const batch = { events: this.#newest ? [...this.#newest.values()] : this.#waiting, merged: this.#merged };
    if (batch.events.length === 0) return;
    this.#waiting = [];
    this.#newest = undefined;
    this.#merged = 0;
    const delivered = this.#deliver(batch);
    if (!delivered) return;
    this.#busy = true;
    delivered.then(
      () => {
        this.#busy = false;
        this.#pump();
      },
      () => this.end(),
    );
  }
}

/** By its time, wherever it stands in the frame; of the same time the later one. */
function newestOf(readings: readonly Reading[]): Reading | undefined {
  let newest = readings[0];
  for (const reading of readings) if (reading.ts >= newest!.ts) newest = reading;
  return newest;
}

/** Readings of a device that catches up come late. */
function isOlder(event: LiveEvent | LiveNotice, other: LiveEvent | LiveNotice): boolean {
  return 'reading' in event && 'reading' in other && event.reading.ts < other.reading.ts;
}

/** No stream's name holds a colon. */
function seriesOf(event: LiveEvent | LiveNotice): string {
  if ('stream' in event) return `${event.device} ${event.stream}`;
  return `${event.device} ${event.kind}:${event.key ?? ''}`;
}
