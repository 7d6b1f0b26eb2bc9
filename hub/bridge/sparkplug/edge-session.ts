/** One connection of the Sparkplug edge node: counts its messages, and knows who was born in it. */
import { Unavailable } from '../../kit/errors.ts';
import type { Reading } from '../../telemetry/reading.ts';
import { type BrokerLink, RefusedByBroker } from '../link/link-port.ts';
import {
  deviceMetrics,
  type EdgeNodeName,
  type MessageKind,
  type Metric,
  type Offer,
  SEQUENCES,
  type SparkplugCodec,
  sparkplugTopic,
} from './sparkplug.ts';

/** Metrics of a device that are to be published. */
export interface Beat {
  device: string;
  metrics: Metric[];
}

/**
 * Its methods are called one after the other, never at once. The specification wants QoS 0 for all of it; `mark` tells
 * when the broker has what was sent.
 */
export class EdgeSession {
  readonly #link: BrokerLink;
  readonly #codec: SparkplugCodec;
  readonly #name: EdgeNodeName;
  readonly #onRefused: (topic: string, message: string) => void;
  #seq = 0;
  #isOver = false;
  /** Devices that were born, and the streams in their births. */
  readonly #born = new Map<string, ReadonlySet<string>>();

  /** `onRefused`: the broker will never take a message of that topic. */
  constructor(
    link: BrokerLink,
    codec: SparkplugCodec,
    name: EdgeNodeName,
    onRefused: (topic: string, message: string) => void,
  ) {
    this.#link = link;
    this.#codec = codec;
    this.#name = name;
    this.#onRefused = onRefused;
  }

  /** Without a stream: at all. */
  hasBorn(device: string, stream?: string): boolean {
    const streams = this.#born.get(device);
    return streams !== undefined && (stream === undefined || streams.has(stream));
  }

  /** Begins the sequence again; whoever was born must be born again. */
  async bearNode(metrics: Metric[]): Promise<void> {
    this.#seq = 0;
    this.#born.clear();
    await this.#say('NBIRTH', undefined, metrics);
  }

  async bearDevice(
    device: string,
    streams: ReadonlySet<string>,
    last: Readonly<Record<string, Reading>>,
    offer: Offer,
  ): Promise<void> {
    await this.#say('DBIRTH', device, deviceMetrics(streams, last, offer, Date.now()));
    this.#born.set(device, streams);
  }

  async data(device: string, metrics: Metric[]): Promise<void> {
    await this.#say('DDATA', device, metrics);
  }

  /** Does nothing when it was not born. */
  async bury(device: string): Promise<void> {
    if (this.#born.delete(device)) await this.#say('DDEATH', device, []);
  }

  /** The connection is another one now: what was about to be said here is not said there. */
  end(): void {
    this.#isOver = true;
  }

  /** Resolves when the broker has everything that was sent before: it takes the messages of a connection in order. */
  async mark(topic: string, payload: string): Promise<void> {
    this.#checkThatItLasts();
    try {
      await this.#link.publish({ topic, payload });
    } catch (error) {
      // An answer is an answer, also the one that nobody may publish there.
      const isAnswer = error instanceof RefusedByBroker || (error instanceof Unavailable && error.stalled);
      if (!isAnswer || !this.#link.isConnected) throw error;
    }
  }

  async #say(kind: MessageKind, device: string | undefined, metrics: Metric[]): Promise<void> {
    this.#checkThatItLasts();
    const payload = this.#codec.encode({ timestamp: Date.now(), seq: this.#seq, metrics });
    const topic = sparkplugTopic(this.#name, kind, device);
    try {
      await this.#link.publish({ topic, payload, qos: 0 });
    } catch (error) {
      if (!(error instanceof RefusedByBroker)) throw error;
      // It did not leave, so it has no number.
      this.#onRefused(topic, error.message);
      return;
    }
    this.#seq = (this.#seq + 1) % SEQUENCES;
  }
  #checkThatItLasts(): void {
    if (this.#isOver) throw new Unavailable(`${this.#link.name}: the connection ended`);
  }
}
