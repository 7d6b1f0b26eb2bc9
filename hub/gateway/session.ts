/** One device on one socket: reads its frames, sends them up the road, and answers each numbered one exactly once. */
import type { Downlink, Hello, Progress, Result, Telemetry } from '../../schemas/types.gen.ts';
import type { Outlet } from '../commands/delivery.ts';
import { isTooDeep } from '../kit/depth.ts';
import { REFUSALS, type Refusal, type RefusalCode } from '../kit/errors.ts';
import { redact, withoutTokens } from '../kit/redact.ts';
import type { Frame, Rejection } from '../telemetry/reading.ts';
import { CommandLink } from './command-link.ts';
import type { Connection } from './connection.ts';
import { FlowControl } from './flow.ts';
import { notKept, parseFrame, quote } from './frame-text.ts';
import type { Allowance } from './rate.ts';
import type { Road } from './road.ts';
import type { Sequence, SequenceListener } from './sequence.ts';
import type { Traffic } from './traffic.ts';

const MAX_DEPTH = 8;
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
  readonly #flow: FlowControl;
  readonly #commands: CommandLink;
  readonly #traffic: Traffic;
  #sequence: Sequence | undefined;
  #closed = false;
  #left: Refusal | undefined;

  constructor(name: SessionName, connection: Connection, road: Road, allowance: Allowance, now: number) {
    this.id = name.id;
    this.device = name.device;
    this.keyId = name.keyId;
    this.connectedAt = now;
    this.#connection = connection;
    this.#road = road;
    this.#flow = new FlowControl(this, road, allowance);
    this.#traffic = allowance.traffic;
    this.#commands = new CommandLink(name.device, this, road.commands);
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

  /** It sends on though nothing is taken, or was told goodbye. */
  get isDeaf(): boolean {
    return this.#closed || this.#flow.isDeaf;
  }

  /** Takes one text frame. Never throws, whatever it holds. `now`: Unix milliseconds. */
  receive(data: Buffer, now: number): void {
    if (this.#closed || this.#road.draining) return;
    this.#road.counts.frames++;
    this.#traffic.frames++;
    this.#traffic.bytes += data.length;
    if (isTooDeep(data, MAX_DEPTH)) return this.#error('too-deep', `at most ${MAX_DEPTH} levels`);
    const text = data.toString();
    const frame = parseFrame(text);
    if (frame === undefined) return this.#error('not-json', 'a frame is one JSON object');
    if (frame.type !== 'hello') this.#commands.ready();
    switch (frame.type) {
      case 'telemetry':
        return this.#telemetry(frame, text, data.length, now);
      case 'hello':
        return this.#hello(frame, now);
      case 'progress':
      case 'result':
        return this.#answer(frame, now);
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
    const { frameBytes, readingsPerFrame, window, readingsPerSecond, framesPerSecond, bytesPerSecond } =
      this.#road.limits;
    this.send({
      type: 'welcome',
      session: this.id,
      time: now,
      resume: sequence.acked,
      heartbeatMs: this.#road.heartbeatMs,
      limits: { frameBytes, readingsPerFrame, window, readingsPerSecond, framesPerSecond, bytesPerSecond },
    });
    this.#commands.ready();
  }

  #begin(epoch: string, ack: 'journaled' | 'stored'): Sequence {
    const sequence = this.#road.sequence(this.device, epoch, ack);
    sequence.listener = this;
    this.#sequence = sequence;
    return sequence;
  }

  #telemetry(frame: Record<string, unknown>, text: string, bytes: number, now: number): void {
    const failure = this.#road.checks.telemetry(frame);
    if (failure) return this.#error('invalid-frame', `telemetry: ${failure.path} ${failure.message}`);
    const telemetry = frame as unknown as Telemetry;
    this.#traffic.readings += telemetry.readings.length;
    const sequence = this.#sequence ?? this.#begin(this.id, 'journaled');
    const { seq = 0 } = telemetry;
    if (seq > 0 && !this.#flow.isNext(seq, bytes, sequence, now)) return;
    if (!this.#flow.allowsFrame(telemetry.readings.length, bytes, seq, sequence, now)) return;
    this.#take(telemetry, text, seq, sequence, now);
  }

  /** `seq` 0: the device did not number it. */
  #take(frame: Telemetry, text: string, seq: number, sequence: Sequence, now: number): void {
    const { counts, ingest } = this.#road;
    const { device } = this;
    const { readings, isTimed, ...refused } = ingest.check(frame.stream, frame.readings, now, sequence.given);
    const rejected = refused.rejected && withoutTokens(refused.rejected);
    const stream = rejected ? redact(frame.stream) : frame.stream;
    const taken: Frame = { device, epoch: sequence.epoch, seq, stream, receivedAt: now, readings };
    const badReadings = frame.readings.length - readings.length;
    const isKept = rejected !== undefined && this.#road.quarantine.admits(device, badReadings);
    if (isKept) taken.rejected = rejected;
    const skipped = seq > 0 ? sequence.skippedBefore(seq) : 0;
    if (skipped > 0) taken.skipped = skipped;
    if (seq > 0) taken.owner = sequence;
    const asSent = rejected || isTimed ? undefined : text;
    const refusal = this.#road.append(taken, asSent);
    if (refusal) return this.#flow.notTaken(refusal, seq, sequence);
    this.#flow.taken();
    counts.accepted += readings.length;
    counts.rejected += badReadings;
    counts.gaps += skipped;
    if (seq > 0) sequence.take(seq);
    if (!rejected) return;
    if (!isKept) this.#road.quarantine.drop(badReadings);
    this.#reject(seq, isKept ? rejected : rejected.map(notKept));
  }

  #reject(seq: number, rejected: Rejection[]): void {
    const errors = rejected.map(({ reading, ts, ...error }) => error);
    this.#tell(seq > 0 ? { type: 'reject', seq, errors } : { type: 'reject', errors });
  }

  #answer(frame: Record<string, unknown>, now: number): void {
    const type = frame.type as 'progress' | 'result';
    const failure = this.#road.checks[type](frame);
    if (failure) return this.#error('invalid-frame', `${type}: ${failure.path} ${failure.message}`);
    if (!this.#flow.allowsAnswer(now)) return;
    const answer = frame as unknown as Progress | Result;
    if (this.#commands.take(answer)) return this.#flow.taken();
    const { id } = answer;
    this.#error('unknown-command', `${type}: the hub has sent this device no command ${quote(id)}`, id);
  }

  ack(seq: number): void {
    this.#deliver(`{"type":"ack","seq":${seq}}`);
  }

  lost(from: number): void {
    if (this.#sequence) this.#flow.notTaken('failing', from, this.#sequence);
  }

  #error(code: RefusalCode, detail: string, id?: string): void {
    this.#road.counts.errors++;
    const { title, retry } = REFUSALS[code];
    const about = id === undefined ? {} : { id };
    this.#tell({ type: 'error', code, message: `${title} ${detail}`.slice(0, 500), temporary: retry, ...about });
    this.#flow.strike('protocol', 'nothing but frames that cannot be used');
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
    this.#commands.end();
    if (this.#sequence?.listener === this) this.#sequence.listener = undefined;
  }
}
