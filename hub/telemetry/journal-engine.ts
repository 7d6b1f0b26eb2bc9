/** The journal put together from its parts: writer, segments, memory, reader, cursors, retention. */

import type { JournalOptions } from './journal.file.ts';
import type { Journal, JournalBatch, JournalStatus, NotTaken, Offset } from './journal.ts';
import type { Cursors } from './journal-cursors.ts';
import { hold } from './journal-format.ts';
import { tellOwners } from './journal-owners.ts';
import { createReader, type Reader } from './journal-reader.ts';
import type { Recovered } from './journal-recovery.ts';
import { createRetention, type Retention } from './journal-retention.ts';
import type { JournalLog } from './journal-segments.ts';
import { createSpaceWatch, type SpaceWatch } from './journal-space.ts';
import { JournalTail } from './journal-tail.ts';
import { createWriter, type Writer } from './journal-writer.ts';
import type { Frame } from './reading.ts';

/** A disk that was full is tried again when it has so much room, or a sixteenth of the limit. */
const MIN_FREE_BYTES = 1024 * 1024;
/**
 * What arrived later is not given up for room on the disk: a disk that fills up is a moment at which stores crash, and
 * InfluxDB 1.x has held back for so long what it has not written to its files (`cache-snapshot-write-cold-duration`).
 */
const YOUNG_MS = 10 * 60_000;
const SAVE_CURSORS_MS = 1_000;

/** Of a recovered folder; `openJournal` makes it. */
export class FileJournal implements Journal {
  readonly #log: JournalLog;
  readonly #now: () => number;
  readonly #limitBytes: number;
  /** Room that is made before it is needed, so that a full journal with delivered segments refuses nobody. */
  readonly #spareBytes: number;
  readonly #segments: Recovered['segments'];
  readonly #held: Recovered['held'];
  readonly #cursors: Cursors;
  readonly #unlock: () => Promise<void>;
  readonly #tail: JournalTail;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #retention: Retention;
  readonly #space: SpaceWatch;
  readonly #listeners: ((frames: readonly Frame[], next: Offset) => void)[] = [];
  /** The sinks that asked for their cursor in this run. */
  readonly #active = new Set<string>();
  /** Size of all segments, as of the last commit or deletion. */
  #bytes: number;
  #isMakingRoom = false;
  #saveTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    options: Required<JournalOptions>,
    { segments, held, next, last }: Recovered,
    cursors: Cursors,
    unlock: () => Promise<void>,
  ) {
    const { limitBytes, replayMs, lingerMs, log, now, files } = options;
    const segmentBytes = Math.min(options.segmentBytes, Math.floor(limitBytes / 4));
    this.#log = log;
    this.#now = now;
    this.#limitBytes = limitBytes;
    this.#spareBytes = segmentBytes;
    this.#segments = segments;
    this.#held = held;
    this.#cursors = cursors;
    this.#unlock = unlock;
    this.#bytes = segments.bytes();
    this.#tail = new JournalTail(options.memoryReadings);
    this.#reader = createReader(files, segments);
    this.#space = createSpaceWatch({ files, folder: options.dir, limitBytes, bytes: () => this.#bytes, log });
    this.#retention = createRetention({ segments, cursors, limitBytes, replayMs, active: this.#active, log });
    this.#writer = createWriter({
      ...{ segments, held, last, segmentBytes, lingerMs, log, now },
      // When the end of the journal was lost, its offsets are not given to other frames: a sink has passed them.
      next: Math.max(next, cursors.highest()),
      onDurable: (frames, base, committedAt, bytes) => this.#committed(frames, base, committedAt, bytes),
      onRefused: (frames) => tellOwners(frames, Math.min, (owner, seq) => owner.refused(seq)),
      makeRoom: () => this.#makeRoomOnDisk(),
    });
  }

  /** Finds out how much room there is. Never rejects. */
  look(): Promise<void> {
    return this.#space.look();
  }

  append(frame: Frame, asSent?: string): NotTaken | undefined {
    // The next segment, if one must begin, has a checkpoint like that of the last.
    const checkpointBytes = this.#segments.list.at(-1)?.dataAt ?? 0;
    const refusal = this.#writer.append(frame, asSent, this.#limitBytes - this.#bytes - checkpointBytes);
    if (refusal === 'full') this.#makeRoom();
    return refusal;
  }

  onCommit(listener: (frames: readonly Frame[], next: Offset) => void): void {
    this.#listeners.push(listener);
  }

  held(device: string) {
    const held = this.#held.get(device);
    return held && { ...held };
  }

  forget(device: string): void {
    this.#held.delete(device);
  }

  forgetAllBut(isKnown: (device: string) => boolean): void {
    for (const device of this.#held.keys()) if (!isKnown(device)) this.#held.delete(device);
  }

  async read(from: Offset, maxReadings: number): Promise<JournalBatch | undefined> {
    const end = this.#writer.next();
    if (from >= end) return undefined;
    return this.#tail.read(from, maxReadings) ?? this.#reader.read(from, maxReadings, end);
  }

  cursor(sink: string, begin: 'first' | 'end' = 'first'): Offset {
    this.#active.add(sink);
    const known = this.#cursors.get(sink);
    if (known !== undefined) return Math.max(known, this.#first());
    const fresh = begin === 'end' ? this.#writer.next() : this.#first();
    this.#move(sink, fresh);
    return fresh;
  }

  advance(sink: string, to: Offset): void {
    this.#active.add(sink);
    const offset = Math.min(to, this.#writer.next());
    if (offset <= (this.#cursors.get(sink) ?? -1)) return;
    this.#move(sink, offset);
    this.#makeRoom();
  }

  async sweep(now: number): Promise<number> {
    const dropped = await this.#retention.sweep(now);
    this.#bytes = this.#segments.bytes();
    return dropped;
  }

  status(now: number): JournalStatus {
    const first = this.#first();
    const next = this.#writer.next();
    const cursors: JournalStatus['cursors'] = {};
    for (const [sink, cursor] of this.#cursors.entries()) {
      const offset = Math.max(cursor, first);
      const waiting = () => now - (this.#tail.committedAt(offset) ?? this.#reader.committedAt(offset));
      cursors[sink] = { offset, lagFrames: next - offset, lagMs: offset < next ? Math.max(0, waiting()) : 0 };
    }
    const { list, damage } = this.#segments;
    const failing = this.#writer.isFailing();
    const bytes = this.#segments.bytes();
    const damages = damage.map((found) => ({ ...found }));
    return {
      bytes,
      limitBytes: this.#limitBytes,
      segments: list.length,
      first,
      next,
      cursors,
      space: this.#space.status(),
      failing,
      damage: damages,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#space.close();
    await this.#writer.close();
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    await this.saveCursors();
    await this.#unlock().catch((error: unknown) => this.#log.warn({ err: error }, 'journal: the lock file stayed'));
  }

  /** Devices first: what is held, then the acks; then those who read on. */
  #committed(frames: readonly Frame[], base: Offset, committedAt: number, bytes: number): void {
    for (const { device, epoch, seq } of frames) if (seq > 0) hold(this.#held, device, epoch, seq);
    this.#bytes = this.#segments.bytes();
    this.#tail.push(base, frames, committedAt, bytes);
    tellOwners(frames, Math.max, (owner, seq) => owner.durable(seq));
    for (const listener of this.#listeners) listener(frames, base + frames.length);
    this.#makeRoom();
  }

  #first(): Offset {
    return this.#segments.list[0]?.base ?? this.#writer.next();
  }

  #move(sink: string, to: Offset): void {
    this.#cursors.set(sink, to);
    if (this.#closing) return;
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      void this.saveCursors();
    }, SAVE_CURSORS_MS).unref();
  }

  async saveCursors(): Promise<void> {
    await this.#cursors.save().catch((error: unknown) => this.#log.warn({ err: error }, 'journal: cursors not saved'));
  }

  /** One at a time, and only when it is needed and of use. */
  #makeRoom(): void {
    if (this.#isMakingRoom || this.#closing || this.#bytes + this.#spareBytes <= this.#limitBytes) return;
    if (!this.#retention.canMakeRoom()) return;
    this.#isMakingRoom = true;
    this.#dropped(this.#retention.makeRoom(this.#spareBytes))
      .catch((error: unknown) => this.#log.warn({ err: error }, 'journal: a segment could not be deleted'))
      .finally(() => {
        this.#isMakingRoom = false;
      });
  }

  /** A few bytes of room would only be filled and fail again, in turn with the devices' patience. */
  async #makeRoomOnDisk(): Promise<boolean> {
    await this.#dropped(this.#retention.dropOldest(this.#now() - YOUNG_MS));
    await this.#space.look();
    const { diskFreeBytes = Number.POSITIVE_INFINITY } = this.#space.status();
    return diskFreeBytes >= Math.min(this.#limitBytes / 16, MIN_FREE_BYTES);
  }

  async #dropped(dropping: Promise<number>): Promise<void> {
    try {
      await dropping;
    } finally {
      this.#bytes = this.#segments.bytes();
    }
  }
}
