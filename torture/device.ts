/** A simulated device of the torture: the reference client, with a ledger of everything it sent and what became of it. */
import type { Handler } from '../device-sim/answers.ts';
import type { Connect } from '../device-sim/connection.ts';
import { Device, type Reading } from '../device-sim/device.ts';
import type { Flow, Reject } from '../schemas/types.gen.ts';

/** `refused-by-hub`: breaks the schema. `refused-by-store`: its humidity meets a text field in InfluxDB. */
export type ReadingKind = 'good' | 'refused-by-hub' | 'refused-by-store';

export interface Habits {
  id: string;
  /** Told in each reading, so that a message on a broker says whose it is. 0 to 40,000. */
  index: number;
  /** Time of its first reading, Unix ms; each is a millisecond after the one before. */
  firstTs: number;
  token: string;
  ack: 'journaled' | 'stored';
  /** Where the hub is, also after a restart. The token is that of `TortureDevice.token` at the moment. */
  connect: Connect;
  handler: Handler;
  onAckMs(ms: number): void;
}

interface Held {
  readings: Reading[];
  kinds: ReadingKind[];
}

/** A device holds at most this while its hub is away; then it measures no more. */
const HELD_READINGS = 20_000;
const LUX = 200_000;
/** Of the longest wait between two attempts. */
const SOON = 0.1;

export class TortureDevice {
  readonly id: string;
  readonly index: number;
  readonly firstTs: number;
  /** Used from the next connection on. */
  token: string;
  /** Time and value of readings that may be stored. */
  readonly sent = new Map<number, number>();
  /** Those of them that must be stored: acknowledged, and none that a store may refuse. */
  readonly acked = new Map<number, number>();
  /** Acknowledged poison by its time: it must be in the quarantine, or (by a store that took it after all) stored. */
  readonly ackedPoison = new Map<number, ReadingKind>();
  /** Readings of any kind that were sent. */
  sentReadings = 0;
  /** Good readings that the hub called bad. */
  wronglyRejected = 0;
  /** Readings that the hub called bad, as it said so; after a kill it may say so twice. */
  rejects = 0;
  /** How often it was asked to wait, by the reason. */
  readonly flows = new Map<Flow['reason'], number>();
  readonly #device: Device;
  readonly #onAckMs: (ms: number) => void;
  /** Frames without an ack in their order; the first has the number `#first`. */
  readonly #held: Held[] = [];
  #first = 1;

  constructor({ id, index, firstTs, token, ack, connect, handler, onAckMs }: Habits) {
    this.id = id;
    this.index = index;
    this.firstTs = firstTs;
    this.token = token;
    this.#onAckMs = onAckMs;
    const events = {
      onAck: ({ latencyMs }: { latencyMs: number }) => this.#acknowledged(latencyMs),
      onReject: (reject: Reject) => this.#rejected(reject),
      onFlow: ({ reason }: Flow) => void this.flows.set(reason, (this.flows.get(reason) ?? 0) + 1),
    };
    // It comes back soon, to be there for the next fault; how it backs off is tried elsewhere.
    const random = () => Math.random() * SOON;
    const options = { token, ack, outboxReadings: 2 * HELD_READINGS, commands: { '*': handler }, random };
    this.#device = new Device((_, each) => connect(this.token, each), options, events);
  }

  get state(): Device['state'] {
    return this.#device.state;
  }

  /** Frames that the hub has not acknowledged. */
  get heldFrames(): number {
    return this.#held.length;
  }

  start(): void {
    this.#device.start();
  }

  stop(): Promise<void> {
    return this.#device.stop();
  }

  /** As after a power cut that took the counter with it: what is held goes out again under new numbers. */
  async reboot(awayMs: number): Promise<void> {
    await this.stop();
    this.#device.beginEpoch();
    this.#first = 1;
    await new Promise((resolve) => setTimeout(resolve, awayMs));
    this.start();
  }

  /** Sends one frame, a reading for each kind; nothing while too much is held. */
  send(kinds: ReadingKind[]): void {
    if (this.#device.outbox.held > HELD_READINGS - kinds.length) return;
    const readings = kinds.map((kind) => this.#measure(kind));
    this.#held.push({ readings, kinds });
    this.#device.send('environment', readings);
  }

  #measure(kind: ReadingKind): Reading {
    const count = this.sentReadings++;
    const reading: Reading = { ts: this.firstTs + count, light: count % LUX, co2: this.index };
    if (kind === 'refused-by-hub') return { ...reading, pressure: 'much' };
    this.sent.set(reading.ts as number, reading.light as number);
    return kind === 'refused-by-store' ? { ...reading, humidity: 50 } : reading;
  }

  #acknowledged(latencyMs: number): void {
    const { readings, kinds } = this.#held.shift()!;
    this.#first++;
    this.#onAckMs(latencyMs);
    for (const [index, { ts, light }] of readings.entries()) {
      const kind = kinds[index]!;
      if (kind === 'good') this.acked.set(ts as number, light as number);
      else this.ackedPoison.set(ts as number, kind);
    }
  }

  #rejected({ seq = 0, errors }: Reject): void {
    this.rejects += errors.length;
    const kinds = this.#held[seq - this.#first]?.kinds ?? [];
    for (const { index } of errors)
      if (index === undefined || kinds[index] !== 'refused-by-hub') this.wronglyRejected++;
  }
}
