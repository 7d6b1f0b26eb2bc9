/**
 * Writes again what the store took and may have lost in a crash: an answer of InfluxDB is not durable. It goes along the
 * journal beside the sink that carries live readings, and gives way to it.
 *
 * The later of two readings with one identity must win, so a replay does not end where it would: it looks on at what
 * the sink has written meanwhile, and writes again, in order, whatever is not newer than the newest reading it
 * brought back. The store writes one batch after the other, whoever gave it.
 */
import { backoffMs } from '../kit/backoff.ts';
import { Unavailable } from '../kit/errors.ts';
import { pause } from '../kit/pause.ts';
import type { Journal } from './journal.ts';
import type { Frame } from './reading.ts';
import { framesToWrite, type ReplayMemory, type ReplayRun, type ReplayState } from './replay-memory.ts';
import type { Refused, TelemetryStore } from './store.ts';

export interface ReplayDeps {
  journal: Pick<Journal, 'read' | 'status'>;
  store: Pick<TelemetryStore, 'name' | 'write' | 'incarnation'>;
  memory: ReplayMemory;
  /** The store runs anew, and may take what it did not take before. */
  onRestart?(): void;
  /** Keeps what the store refuses now, whatever it did before. */
  onRefused(refused: Refused[]): Promise<void>;
  log: Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;
}

export interface ReplayOptions {
  /** Readings written at a time, about, and frames that the sink may have in flight. */
  batchReadings: number;
  /** How far back it goes, where the journal still reaches. */
  windowMs: number;
  now?: () => number;
}

/** Since the hub started. */
export interface ReplayStatus {
  /** Whether the store tells of its restarts; absent before it was asked, and where a restart loses nothing. */
  tells?: boolean;
  restarts: number;
  /** Readings that were written again. */
  replayed: number;
  /** Frames that the replay has still to read; 0 when none is under way. */
  leftFrames: number;
}

export interface Replay {
  /**
   * Asks the store whether it is still the one that it was, and begins a replay when not. Resolves when what it found
   * is durable. A store that does not answer is asked again by the next call.
   */
  look(): Promise<void>;
  /** Begins a replay now, whatever the store says; from the beginning when one is under way. */
  begin(): Promise<void>;
  status(): ReplayStatus;
  /** Stops; what is left goes on after the next start. Waits a second at most. Idempotent. */
  close(): Promise<void>;
}

/** The sink goes first while its oldest unread frame has waited for longer; a replay still gets a batch each second. */
const LIVE_LAG_MS = 500;
const GIVE_WAY_MS = 50;
const GIVE_WAY_TIMES = 20;
const SAVE_MS = 1_000;
const CLOSE_MS = 1_000;

export function createReplay(deps: ReplayDeps, options: ReplayOptions): Replay {
  return new StoreReplay(deps, options);
}

class StoreReplay implements Replay {
  readonly #deps: ReplayDeps;
  readonly #options: ReplayOptions;
  readonly #stopping = new AbortController();
  #state: ReplayState | undefined;
  #tells: boolean | undefined;
  #restarts = 0;
  #replayed = 0;
  #savedAt = 0;
  #looking: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(deps: ReplayDeps, options: ReplayOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    this.#state ??= await this.#deps.memory.load();
    const found = await this.#ask();
    if (this.#stopping.signal.aborted) return;
    const known = this.#state.incarnation;
    if (found !== undefined && found !== known) {
      this.#state.incarnation = found;
      if (known === undefined) await this.#save();
      else await this.#restarted();
    }
    this.#go();
  }

  async begin(): Promise<void> {
    this.#state ??= await this.#deps.memory.load();
    const run = this.#runOfWindow();
    if (run.at < run.until) this.#state.run = run;
    await this.#save();
    this.#go();
  }

  status(): ReplayStatus {
    const run = this.#state?.run;
    const tells = this.#tells === undefined ? {} : { tells: this.#tells };
    const leftFrames = run ? Math.max(0, run.until - run.at) : 0;
    return { ...tells, restarts: this.#restarts, replayed: this.#replayed, leftFrames };
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS);
    const saved = Promise.resolve(this.#running).then(() => this.#state?.run && this.#save());
    await Promise.race([saved, promise]);
    clearTimeout(timer);
  }

  /** Undefined when the store does not tell, or does not answer now. */
  async #ask(): Promise<string | undefined> {
    const { store, log } = this.#deps;
    try {
      if (!store.incarnation) return undefined;
      const found = await store.incarnation();
      if (found === undefined && this.#tells !== false)
        log.warn({ sink: store.name }, 'the store does not tell when it was restarted: what it loses is not noticed');
      this.#tells = found !== undefined;
      return found;
    } catch (error) {
      if (error instanceof Unavailable) return undefined;
      throw error;
    }
  }

  async #restarted(): Promise<void> {
    this.#restarts++;
    const { log, store, onRestart } = this.#deps;
    await this.begin();
    const frames = this.status().leftFrames;
    log.warn({ sink: store.name, frames }, 'the store was restarted: what it may have lost is written again');
    onRestart?.();
  }

  /**
   * From the oldest frame on disk to the last that the store may have taken in its former run: what its cursor has
   * passed, and the batch in flight, whose answer may have left the server already.
   */
  #runOfWindow(): ReplayRun {
    const { now = Date.now, windowMs, batchReadings } = this.#options;
    const { first, next } = this.#deps.journal.status(now());
    const to = Math.min(next, Math.max(first, this.#cursor()) + batchReadings);
    return { at: first, to, until: to, since: now() - windowMs, newestTs: 0 };
  }

  /** How far the sink of live readings has come. */
  #cursor(): number {
    const { journal, store } = this.#deps;
    return journal.status(Date.now()).cursors[store.name]?.offset ?? 0;
  }

  #go(): void {
    if (!this.#state?.run || this.#running || this.#stopping.signal.aborted) return;
    this.#running = this.#follow().finally(() => {
      this.#running = undefined;
    });
  }

  async #follow(): Promise<void> {
    for (let attempt = 0; this.#state?.run && !this.#stopping.signal.aborted; ) {
      try {
        await this.#giveWay();
        await this.#step(this.#state.run);
        attempt = 0;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        await pause(error.retryAfterMs ?? backoffMs(attempt++), this.#stopping.signal);
      }
    }
  }

  /** One batch. A run that `begin` has replaced meanwhile is changed no more than by its own progress. */
  async #step(run: ReplayRun): Promise<void> {
    const { journal } = this.#deps;
    if (this.#stopping.signal.aborted) return;
    const batch = run.at < run.until ? await journal.read(run.at, this.#options.batchReadings) : undefined;
    if (this.#stopping.signal.aborted) return;
    if (!batch) return this.#ended(run);
    const frames = framesToWrite(batch, run);
    if (frames.length > 0 && !(await this.#write(frames, run))) return;
    run.at = batch.next;
    if (performance.now() - this.#savedAt > SAVE_MS) await this.#save();
  }

  /** Resolves to whether it may go on: after a stop the journal and its cursors are not asked any more. */
  async #write(frames: Frame[], run: ReplayRun): Promise<boolean> {
    const { store, onRefused } = this.#deps;
    const refused = await store.write(frames);
    if (refused.length > 0) await onRefused(refused);
    if (this.#stopping.signal.aborted) return false;
    for (const { readings } of frames) {
      this.#replayed += readings.length;
      for (const { ts } of readings) run.newestTs = Math.max(run.newestTs, ts);
    }
    // What the sink wrote meanwhile may have been overwritten by this; what it writes from now on comes after it.
    run.until = Math.max(run.to, this.#cursor());
    return true;
  }

  async #ended(run: ReplayRun): Promise<void> {
    if (!this.#state || this.#state.run !== run) return;
    delete this.#state.run;
    this.#deps.log.info({ sink: this.#deps.store.name, readings: this.#replayed }, 'the replay is done');
    await this.#save();
  }

  async #giveWay(): Promise<void> {
    for (let times = 0; times < GIVE_WAY_TIMES && this.#isLiveBehind(); times++)
      await pause(GIVE_WAY_MS, this.#stopping.signal);
  }

  #isLiveBehind(): boolean {
    if (this.#stopping.signal.aborted) return false;
    const { cursors } = this.#deps.journal.status(Date.now());
    return (cursors[this.#deps.store.name]?.lagMs ?? 0) > LIVE_LAG_MS;
  }

  /** One after the other. A disk that does not take it costs a longer replay after the next start, no reading. */
  #save(): Promise<void> {
    this.#savedAt = performance.now();
    const { memory, log } = this.#deps;
    this.#saving = this.#saving
      .then(() => memory.save(this.#state!))
      .catch((error: unknown) => log.warn({ err: error }, 'the progress of the replay could not be saved'));
    return this.#saving;
  }
}
