/** One device on one socket: reads its frames, sends them up the road, and answers each numbered one exactly once. */
import type { Check } from '../../schemas/index.ts';
import type { Downlink, Flow, Hello, Progress, Result, Telemetry } from '../../schemas/types.gen.ts';
import type { Commands } from '../commands/commands.ts';
import type { Outlet } from '../commands/delivery.ts';
import { isTooDeep } from '../kit/depth.ts';
import { REFUSALS, type Refusal, type RefusalCode } from '../kit/errors.ts';
import { redact, withoutTokens } from '../kit/redact.ts';
import type { Ingest } from '../telemetry/ingest.ts';
import type { Frame, Rejection } from '../telemetry/reading.ts';
import type { Connection } from './connection.ts';
import type { Bucket } from './rate.ts';
import type { Sequence, SequenceListener } from './sequence.ts';

export interface SessionLimits {
  frameBytes: number;
  readingsPerFrame: number;
  window: number;
  readingsPerSecond: number;
  backlogBytes: number;
}

/** Plain numbers that the metrics read. */
export interface GatewayCounts {
  frames: number;
  /** Readings that were taken, and readings that were refused for good. */
  accepted: number;
  rejected: number;
  duplicates: number;
  /** Frame numbers that a device skipped. */
  gaps: number;
  flows: number;
  errors: number;
}

export function createGatewayCounts(): GatewayCounts {
  return { frames: 0, accepted: 0, rejected: 0, duplicates: 0, gaps: 0, flows: 0, errors: 0 };
}

/** What all sessions of a hub share. */
export interface Road {
  limits: SessionLimits;
  heartbeatMs: number;
  checks: Record<'hello' | 'telemetry' | 'progress' | 'result', Check>;
  ingest: Ingest;
  counts: GatewayCounts;
  commands: Pick<Commands, 'opened' | 'closed' | 'progress' | 'result'>;
  /** The hub is stopping: nothing more is taken. */
  draining: boolean;
  /** Hands a frame to the journal; false when it cannot take it now. `asSent`: as in the journal. */
  append(frame: Frame, asSent?: string): boolean;
  /** The sequence of an epoch, continued from what the hub holds durably; `ack` is what the device shall hear. */
  sequence(device: string, epoch: string, ack: 'journaled' | 'stored'): Sequence;
}

const MAX_DEPTH = 8;
const RETRY_WINDOW_MS = 200;
const RETRY_DISK_MS = 5_000;
/** So many windows of frames may be refused or ignored in a row before the device is taken for one that does not listen. */
const PATIENCE = 4;
/** A device that says nothing for so long gets its commands all the same. */
const HELLO_MS = 1_000;
/** Commands are sent while no more than this part of the backlog is used: acks come first. */
const COMMANDS_SHARE = 0.25;

export interface SessionName {
  id: string;
  device: string;
  keyId: string;
}

export class Session implements SequenceListener, Outlet {
  readonly id: string;
  readonly device: string;
  /** The public part of the token it came in with: the session ends with it. */
  readonly keyId: string;
  readonly connectedAt: number;
  readonly #road: Road;
  readonly #connection: Connection;
  readonly #bucket: Bucket;
  #sequence: Sequence | undefined;
  #closed = false;
  #left: Refusal | undefined;
  /** Set until the device is ready for commands: it has said something, or nothing for a while. */
  #unready: NodeJS.Timeout | undefined;
  /** Frames in a row of which nothing was taken. */
  #strikes = 0;
  /** The last `flow`, until a frame is taken again; it is repeated to a device that goes on elsewhere after the wait. */
  #held: { reason: Flow['reason']; until: number } | undefined;

  constructor(name: SessionName, connection: Connection, road: Road, bucket: Bucket, now: number) {
    this.id = name.id;
    this.device = name.device;
    this.keyId = name.keyId;
    this.connectedAt = now;
    this.#connection = connection;
    this.#road = road;
    this.#bucket = bucket;
    this.#unready = setTimeout(() => this.#listen(), HELLO_MS);
  }

  get address(): string {
    return this.#connection.address;
  }

  /** Why the hub closed it; undefined when it did not. */
  get left(): Refusal | undefined {
    return this.#left;
  }

  get hasRoom(): boolean {
    return this.#connection.backlog <= COMMANDS_SHARE * this.#road.limits.backlogBytes;
  }

  get settled(): boolean {
    return this.#sequence?.settled ?? true;
  }

  /** Takes one text frame. Never throws, whatever it holds. `now`: Unix milliseconds. */
  receive(data: Buffer, now: number): void {
    if (this.#closed || this.#road.draining) return;
    this.#road.counts.frames++;
    if (isTooDeep(data, MAX_DEPTH)) return this.#error('too-deep', `at most ${MAX_DEPTH} levels`);
    const text = data.toString();
    const frame = parse(text);
    if (frame === undefined) return this.#error('not-json', 'a frame is one JSON object');
    if (this.#unready && frame.type !== 'hello') this.#listen();
    switch (frame.type) {
      case 'telemetry':
        return this.#telemetry(frame, text, now);
      case 'hello':
        return this.#hello(frame, now);
      case 'progress':
      case 'result':
        return this.#command(frame);
      default:
        return this.#error(
          'unknown-type',
          `type is ${quote(frame.type)}; it may be hello, telemetry, progress or result`,
        );
    }
  }

  #hello(frame: Record<string, unknown>, now: number): void {
    const failure = this.#road.checks.hello(frame);
    if (failure) return this.#error('invalid-frame', `hello: ${failure.path} ${failure.message}`);
    if (this.#sequence) return this.#error('invalid-frame', 'hello: must be the first frame of a connection');
    const { epoch, ack = 'journaled' } = frame as unknown as Hello;
    const sequence = this.#begin(epoch, ack);
    const { frameBytes, readingsPerFrame, window, readingsPerSecond } = this.#road.limits;
    this.send({
      type: 'welcome',
      session: this.id,
      time: now,
      resume: sequence.acked,
      heartbeatMs: this.#road.heartbeatMs,
      limits: { frameBytes, readingsPerFrame, window, readingsPerSecond },
    });
    this.#listen();
  }

  /** From now on commands come here. */
  #listen(): void {
    clearTimeout(this.#unready);
    this.#unready = undefined;
    this.#road.commands.opened(this.device, this);
  }

  #begin(epoch: string, ack: 'journaled' | 'stored'): Sequence {
    const sequence = this.#road.sequence(this.device, epoch, ack);
    sequence.listener = this;
    this.#sequence = sequence;
    return sequence;
  }

  #telemetry(frame: Record<string, unknown>, text: string, now: number): void {
    const failure = this.#road.checks.telemetry(frame);
    if (failure) return this.#error('invalid-frame', `telemetry: ${failure.path} ${failure.message}`);
    const telemetry = frame as unknown as Telemetry;
    const sequence = this.#sequence ?? this.#begin(this.id, 'journaled');
    if (telemetry.seq === undefined) this.#take(telemetry, text, 0, sequence, now);
    else this.#numbered(telemetry, text, telemetry.seq, sequence, now);
  }

  #numbered(frame: Telemetry, text: string, seq: number, sequence: Sequence, now: number): void {
    if (seq <= sequence.accepted) return this.#again(seq, sequence);
    if (sequence.waitingFor !== undefined && seq !== sequence.waitingFor) {
      return this.#ignore(sequence.waitingFor, now);
    }
    if (sequence.accepted - sequence.acked >= this.#road.limits.window) {
      return this.#flow('window', RETRY_WINDOW_MS, seq, now);
    }
    this.#take(frame, text, seq, sequence, now);
  }

  /** A frame that was taken before: durable ones are acknowledged again, others will be soon. */
  #again(seq: number, sequence: Sequence): void {
    this.#road.counts.duplicates++;
    if (seq <= sequence.acked) this.send({ type: 'ack', seq: sequence.acked });
  }

  /** The device was told to begin again with `from` and may not have read it yet; later it is told once more. */
  #ignore(from: number, now: number): void {
    const { reason = 'overload', until = 0 } = this.#held ?? {};
    if (now >= until) this.#flow(reason, RETRY_WINDOW_MS, from, now);
    else this.#strike('flood', 'flow frames were ignored');
  }

  /** One more frame of which nothing was taken; a device that sends nothing else is sent away. */
  #strike(code: RefusalCode, detail: string): void {
    if (++this.#strikes > PATIENCE * this.#road.limits.window) this.close(code, detail);
  }

  #take(frame: Telemetry, text: string, seq: number, sequence: Sequence, now: number): void {
    const { counts, ingest } = this.#road;
    const waitMs = this.#bucket.take(frame.readings.length, now);
    if (waitMs > 0) return this.#flow('rate', waitMs, seq, now);
    const { device } = this;
    const { readings, isTimed, ...refused } = ingest.check(frame.stream, frame.readings, now, sequence.given);
    const rejected = refused.rejected && withoutTokens(refused.rejected);
    const stream = rejected ? redact(frame.stream) : frame.stream;
    const taken: Frame = { device, epoch: sequence.epoch, seq, stream, receivedAt: now, readings };
    if (rejected) taken.rejected = rejected;
    if (seq > 0) taken.owner = sequence;
    const asSent = rejected || isTimed ? undefined : text;
    if (!this.#road.append(taken, asSent)) return this.#flow('disk', RETRY_DISK_MS, seq, now);
    this.#strikes = 0;
    counts.accepted += readings.length;
    counts.rejected += frame.readings.length - readings.length;
    if (seq > 0) this.#advance(seq, sequence);
    if (rejected) this.#reject(seq, rejected);
  }

  #reject(seq: number, rejected: Rejection[]): void {
    const errors = rejected.map(({ reading, ...error }) => error);
    this.#tell(seq > 0 ? { type: 'reject', seq, errors } : { type: 'reject', errors });
  }

  #advance(seq: number, sequence: Sequence): void {
    this.#road.counts.gaps += seq - sequence.accepted - 1;
    sequence.accepted = seq;
    sequence.waitingFor = undefined;
  }

  #flow(reason: Flow['reason'], retryAfterMs: number, seq: number, now: number): void {
    this.#road.counts.flows++;
    this.#held = { reason, until: now + retryAfterMs };
    this.#strike('flood', 'flow frames were ignored');
    if (seq === 0) return this.send({ type: 'flow', reason, retryAfterMs });
    if (this.#sequence) this.#sequence.waitingFor = seq;
    this.send({ type: 'flow', reason, from: seq, retryAfterMs });
  }

  #command(frame: Record<string, unknown>): void {
    const type = frame.type as 'progress' | 'result';
    const failure = this.#road.checks[type](frame);
    if (failure) return this.#error('invalid-frame', `${type}: ${failure.path} ${failure.message}`);
    const known = type === 'progress' ? this.#progress(frame) : this.#result(frame);
    const id = String(frame.id);
    if (!known) this.#error('unknown-command', `${type}: the hub has sent this device no command ${quote(id)}`, id);
  }

  #progress(frame: Record<string, unknown>): boolean {
    return this.#road.commands.progress(this.device, frame as unknown as Progress);
  }

  #result(frame: Record<string, unknown>): boolean {
    const { id } = frame as unknown as Result;
    const durable = this.#road.commands.result(this.device, frame as unknown as Result);
    void durable?.then((isDurable) => {
      if (isDurable) this.send({ type: 'result-ack', id });
    });
    return durable !== undefined;
  }

  ack(seq: number): void {
    this.#deliver(`{"type":"ack","seq":${seq}}`);
  }

  lost(from: number): void {
    this.#flow('disk', RETRY_DISK_MS, from, Date.now());
  }

  #error(code: RefusalCode, detail: string, id?: string): void {
    this.#road.counts.errors++;
    const { title, retry } = REFUSALS[code];
    const about = id === undefined ? {} : { id };
    this.#tell({ type: 'error', code, message: `${title} ${detail}`.slice(0, 500), temporary: retry, ...about });
    this.#strike('protocol', 'nothing but frames that cannot be used');
  }

  /** Hands a frame over; whether there was a socket to hand it to. */
  push(frame: Downlink): boolean {
    this.send(frame);
    return !this.#closed;
  }

  /** Hands a frame over. */
  send(frame: Downlink): void {
    this.#deliver(JSON.stringify(frame));
  }

  /** Says what is wrong, in the device's own words but for a token among them. */
  #tell(frame: Downlink): void {
    this.#deliver(redact(JSON.stringify(frame)));
  }

  #deliver(text: string): void {
    this.checkBacklog();
    if (!this.#closed) this.#connection.send(text);
  }

  /** A device that does not read is sent away rather than buffered for. */
  checkBacklog(): void {
    if (this.#connection.backlog > this.#road.limits.backlogBytes)
      this.close('slow-reader', 'the device does not read');
  }

  /** Ends the session with the close code of the reason. Idempotent; nothing received later is looked at. */
  close(code: RefusalCode, detail: string): void {
    if (this.#closed) return;
    this.ended();
    this.#left = { code, detail };
    this.#connection.close(REFUSALS[code].close, detail);
  }

  /** The socket is gone: the sequence goes on without a listener until the next session of its epoch. */
  ended(): void {
    this.#closed = true;
    clearTimeout(this.#unready);
    this.#road.commands.closed(this.device, this);
    if (this.#sequence?.listener === this) this.#sequence.listener = undefined;
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null && !Array.isArray(frame)
      ? (frame as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

const quote = (value: unknown) => (JSON.stringify(value) ?? 'missing').slice(0, 80);
