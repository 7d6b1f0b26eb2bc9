/** Many simulated devices in one process: they start spread out, follow their feeds, obey commands, and are counted. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Handler } from './answers.ts';
import type { Connect } from './connection.ts';
import { Device, type DeviceEvents, type DeviceOptions } from './device.ts';
import type { Feed } from './feed.ts';
import type { DeviceState } from './link.ts';
import { handlersOf } from './obedience.ts';
import { Statistics } from './statistics.ts';

export interface Member {
  id: string;
  token: string;
  stream: string;
  feed: Feed;
}

export interface FleetOptions {
  ack: 'journaled' | 'stored';
  outboxReadings?: number;
  /** Devices that begin to connect in one second. Default 500. */
  startsPerSecond?: number;
  /** How long a device is gone when it is told to reboot. Default 1 s. */
  rebootMs?: number;
  /** A device got its next token. */
  onToken?(id: string, token: string): void;
  /** Something a person should see: a device that identifies itself, reboots, or was refused. */
  onNotice?(text: string): void;
}

/** Counts of readings, unless said otherwise. `sent` = `acked` + `rejected` + `dropped` + `pending`. */
export interface FleetReport {
  devices: number;
  online: number;
  /** Devices that the hub told to stay away. */
  refused: number;
  sent: number;
  acked: number;
  rejected: number;
  dropped: number;
  pending: number;
  /** Frames sent more than once. */
  resent: number;
  reconnects: number;
  flows: number;
  commands: number;
  errors: number;
  ackMs: { p50: number; p99: number; max: number };
  reasons: Record<string, number>;
}

export interface Fleet {
  start(): void;
  /** No new readings; what is held is still delivered. */
  stopSending(): void;
  /** Resolves to true when nothing is pending, to false when `withinMs` have passed or no device can deliver. */
  settled(withinMs: number): Promise<boolean>;
  /** Every feed has ended (only recordings do). */
  readonly finished: boolean;
  report(): FleetReport;
  /** Stops sending and disconnects all. Idempotent. */
  close(): Promise<void>;
}

const STARTS_PER_SECOND = 500;
const LOOK_MS = 20;

export function createFleet(connect: Connect, members: readonly Member[], options: FleetOptions): Fleet {
  const statistics = new Statistics();
  const simulated = members.map((member) => new SimulatedDevice(connect, member, options, statistics));
  const starts: NodeJS.Timeout[] = [];
  const stopSending = () => {
    for (const timer of starts) clearTimeout(timer);
    for (const one of simulated) one.stopSending();
  };
  const report = () => reportOf(simulated, statistics);
  return {
    start() {
      const apartMs = 1000 / (options.startsPerSecond ?? STARTS_PER_SECOND);
      for (const [index, one] of simulated.entries()) starts.push(setTimeout(() => one.start(), index * apartMs));
    },
    stopSending,
    async settled(withinMs) {
      const deadline = performance.now() + withinMs;
      while (simulated.some((one) => one.pending > 0)) {
        const hopeless = simulated.every((one) => one.pending === 0 || one.state === 'refused');
        if (hopeless || performance.now() > deadline) return false;
        await sleep(LOOK_MS);
      }
      return true;
    },
    get finished() {
      return simulated.every((one) => one.finished);
    },
    report,
    async close() {
      stopSending();
      await Promise.all(simulated.map((one) => one.close()));
    },
  };
}

/** A device, its feed, and the commands a real one would obey. */
class SimulatedDevice {
  readonly #member: Member;
  readonly #options: FleetOptions;
  readonly #statistics: Statistics;
  readonly #device: Device;
  #wasOnline = false;
  #closed = false;

  constructor(connect: Connect, member: Member, options: FleetOptions, statistics: Statistics) {
    this.#member = member;
    this.#options = options;
    this.#statistics = statistics;
    const { ack, outboxReadings } = options;
    const settings: DeviceOptions = { token: member.token, ack, commands: this.#commands(), firmware: 'simulated' };
    if (outboxReadings !== undefined) settings.outboxReadings = outboxReadings;
    this.#device = new Device(connect, settings, this.#events());
  }

  get state(): DeviceState {
    return this.#device.state;
  }

  get pending(): number {
    return this.#device.outbox.held;
  }

  get outbox() {
    return this.#device.outbox;
  }

  get finished(): boolean {
    return this.#member.feed.finished;
  }

  start(): void {
    const { feed, stream } = this.#member;
    const device = this.#device;
    const statistics = this.#statistics;
    device.start();
    feed.start({
      send(readings) {
        statistics.sent += readings.length;
        device.send(stream, readings);
      },
      get room() {
        return device.outbox.room;
      },
    });
  }

  stopSending(): void {
    this.#member.feed.stop();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#device.stop();
  }

  #events(): DeviceEvents {
    const statistics = this.#statistics;
    const { id, feed } = this.#member;
    return {
      onState: (state, detail) => this.#changed(state, detail),
      onToken: (token) => this.#options.onToken?.(id, token),
      onFlow: () => statistics.flows++,
      onAck(answered) {
        statistics.answered(answered);
        feed.wake?.();
      },
      onReject({ errors }) {
        for (const { path, message } of errors) statistics.because(`rejected: ${path || '/'} ${message}`);
      },
      onError({ message }) {
        statistics.errors++;
        statistics.because(`error: ${message}`);
      },
    };
  }

  #changed(state: DeviceState, detail: string): void {
    if (state === 'refused') {
      this.#statistics.because(`refused: ${detail}`);
      this.#options.onNotice?.(`${this.#member.id} was told to stay away: ${detail}`);
    }
    if (state !== 'online') return;
    if (this.#wasOnline) this.#statistics.reconnects++;
    this.#wasOnline = true;
  }

  /** Each handler, and the count of commands that ran. */
  #commands(): Record<string, Handler> {
    const { id, feed } = this.#member;
    const handlers = handlersOf({
      feed,
      device: {
        start: () => this.#device.start(),
        stop: () => this.#device.stop(),
        beginEpoch: () => this.#device.beginEpoch(),
      },
      rebootMs: this.#options.rebootMs ?? 1000,
      isClosed: () => this.#closed,
      notice: (what) => this.#options.onNotice?.(`${id} ${what}`),
    });
    const counted = (handler: Handler): Handler => {
      return (command, report) => {
        this.#statistics.commands++;
        return handler(command, report);
      };
    };
    return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [name, counted(handler)]));
  }
}

function reportOf(simulated: readonly SimulatedDevice[], statistics: Statistics): FleetReport {
  const { sent, acked, rejected, reconnects, flows, commands, errors, latency, reasons } = statistics;
  const inState = (state: DeviceState) => simulated.filter((one) => one.state === state).length;
  const sum = (of: 'held' | 'dropped' | 'resent') => simulated.reduce((total, one) => total + one.outbox[of], 0);
  const ms = (value: number) => Number(value.toFixed(2));
  return {
    devices: simulated.length,
    online: inState('online'),
    refused: inState('refused'),
    ...{ sent, acked, rejected, dropped: sum('dropped'), pending: sum('held') },
    ...{ resent: sum('resent'), reconnects, flows, commands, errors },
    ackMs: { p50: ms(latency.quantileMs(0.5)), p99: ms(latency.quantileMs(0.99)), max: ms(latency.maxMs) },
    reasons: Object.fromEntries(reasons),
  };
}
