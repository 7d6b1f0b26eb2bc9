/** The hub as a Sparkplug B edge node on one broker: births, data, deaths; a sink of the journal with a cursor of its own. */
import type { Table } from '../../backplane/backplane.ts';
import type { Command } from '../../commands/command.ts';
import type { Commands } from '../../commands/commands.ts';
import type { Devices } from '../../devices/devices.ts';
import type { PresenceBook } from '../../devices/presence.ts';
import { Unavailable } from '../../kit/errors.ts';
import type { Frame } from '../../telemetry/reading.ts';
import type { Sink } from '../../telemetry/store.ts';
import { LOOK_AGAIN_MS, type Message, type NewLink } from '../link/link-port.ts';
import { createEdgeCommands, echoOf } from './edge-commands.ts';
import { publishFrames } from './edge-data.ts';
import { createEdgeRoster, type EdgeRoster, type RosterDeps } from './edge-roster.ts';
import { type Beat, EdgeSession } from './edge-session.ts';
import {
  bdSeqMetric,
  type EdgeNodeName,
  nodeMetrics,
  REBIRTH,
  SEQUENCES,
  type SparkplugCodec,
  sparkplugTopic,
} from './sparkplug.ts';
import { Turns } from './turns.ts';

export interface EdgeNodeDeps extends RosterDeps {
  /** Makes the link to the broker, which no one else uses: its will is the node's death. */
  connect(will: () => Message): NewLink;
  codec: SparkplugCodec;
  devices: RosterDeps['devices'] & Pick<Devices, 'onChange'>;
  presence: RosterDeps['presence'] & Pick<PresenceBook, 'onChange'>;
  commands: Pick<Commands, 'send' | 'onChange'>;
  /** The number of the last connection, by name of the sink. */
  births: Table<number>;
  log: Record<'warn' | 'debug', (fields: object, message: string) => void>;
}

export interface EdgeNodeOptions extends EdgeNodeName {
  /** Name of the broker. */
  broker: string;
  /** Version of the hub. */
  version: string;
  /** Topic of the message, QoS 1, whose acknowledgement says that the broker has all data sent before it. */
  markTopic: string;
}

export interface EdgeNode extends Sink {
  readonly link: NewLink;
  /** DCMD messages and metrics that were refused. */
  readonly refused: number;
}

/** Values of commands that wait to be published. Policy: the oldest are left out. */
const MAX_ECHOES = 1_000;
/** A host that asks for births again and again gets them so often at most. */
const REBIRTH_MS = 1_000;
const GOODBYE_MS = 2_000;

/** Not opened yet: the caller opens `link`. */
export function createEdgeNode(deps: EdgeNodeDeps, options: EdgeNodeOptions): EdgeNode {
  return new Node(deps, options);
}

class Node implements EdgeNode {
  readonly name: string;
  readonly begin = 'end';
  readonly link: NewLink;
  refused = 0;
  readonly #deps: EdgeNodeDeps;
  readonly #options: EdgeNodeOptions;
  readonly #roster: EdgeRoster;
  #bdSeq: number;
  #session: EdgeSession | undefined;
  /** Whose turn it is to publish: the sequence must go out as it is counted. */
  readonly #turns = new Turns();
  /** Devices whose presence changed since it was last told; at most every device. */
  readonly #changed = new Set<string>();
  readonly #echoes: Beat[] = [];
  #isTelling = false;
  #rebirth: NodeJS.Timeout | undefined;
  #bornAt = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(deps: EdgeNodeDeps, options: EdgeNodeOptions) {
    this.name = `sparkplug-${options.broker}`;
    this.#deps = deps;
    this.#options = options;
    this.#roster = createEdgeRoster(deps);
    this.#bdSeq = deps.births.get(this.name)?.value ?? SEQUENCES - 1;
    this.link = deps.connect(() => this.#will());
    this.#listen();
  }

  async write(frames: readonly Frame[]): Promise<[]> {
    const session = this.#session;
    if (!session || !this.link.isConnected)
      throw new Unavailable(`${this.#options.broker}: not connected`, { retryAfterMs: LOOK_AGAIN_MS });
    await this.#turns.take(async () => {
      await publishFrames(session, frames, { ...this.#deps, roster: this.#roster });
      const { broker, markTopic } = this.#options;
      await session.mark(markTopic, `${this.#bdSeq} ${broker}`);
    });
    return [];
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#rebirth);
    const session = this.#session;
    this.#session = undefined;
    if (session && this.link.isConnected) {
      const timer = Promise.withResolvers<void>();
      const handle = setTimeout(timer.resolve, GOODBYE_MS);
      // A goodbye sends no will, so the death is said before.
      await Promise.race([this.link.publish(this.#death()).catch(() => {}), timer.promise]);
      clearTimeout(handle);
    }
    await this.link.close();
  }

  #listen(): void {
    const { devices, presence, commands, catalog } = this.#deps;
    const taken = createEdgeCommands(commands, catalog.commands, this.name);
    const filter = sparkplugTopic(this.#options, 'DCMD', '+');
    this.link.subscribe(filter, async (message) => {
      const device = message.topic.slice(filter.length - 1);
      const payload = this.#decode(message);
      const mistake = message.retain ? 'it is retained, so it may be of any age' : 'it is no Sparkplug payload';
      const mistakes = payload && !message.retain ? await taken.take(device, payload, message) : [mistake];
      this.refused += mistakes.length;
      if (mistakes.length > 0) this.#deps.log.debug({ device, mistakes }, 'a Sparkplug command was refused');
    });
    this.link.subscribe(sparkplugTopic(this.#options, 'NCMD'), async (message) => {
      const metrics = this.#decode(message)?.metrics ?? [];
      if (metrics.some(({ name, value }) => name === REBIRTH && value === true)) this.#bearAgain();
    });
    this.link.onConnect(() => this.#begin());
    presence.onChange((device) => this.#tell(device));
    devices.onChange((device, row) => row ?? this.#tell(device));
    commands.onChange((command) => this.#echo(command));
  }

  #decode({ payload }: { payload: Buffer }) {
    try {
      return this.#deps.codec.decode(payload);
    } catch {
      return undefined;
    }
  }

  /** Asked before each connection: its death and its birth have the same number, and what was before is over. */
  #will(): Message {
    this.#session?.end();
    this.#session = undefined;
    this.#bdSeq = (this.#bdSeq + 1) % SEQUENCES;
    this.#deps.births.set(this.name, this.#bdSeq).catch((error) => {
      this.#deps.log.warn({ err: error }, 'the number of a Sparkplug connection could not be kept');
    });
    return this.#death();
  }

  #death(): Message {
    const timestamp = Date.now();
    const payload = this.#deps.codec.encode({ timestamp, metrics: [bdSeqMetric(this.#bdSeq, timestamp)] });
    return { topic: sparkplugTopic(this.#options, 'NDEATH'), payload };
  }

  async #begin(): Promise<void> {
    if (this.#closing) return;
    const session = new EdgeSession(this.link, this.#deps.codec, this.#options, (topic, message) =>
      this.#deps.log.warn({ topic, error: message }, 'the broker refused a Sparkplug message'),
    );
    await this.#turns.take(() => {
      // Not before: whoever waited for a turn would speak in it before its birth.
      this.#session = session;
      return this.#bear(session);
    });
  }

  /** NBIRTH, and DBIRTH of every device that is there. */
  async #bear(session: EdgeSession): Promise<void> {
    this.#bornAt = performance.now();
    this.#changed.clear();
    await session.bearNode(nodeMetrics(this.#bdSeq, this.#options.version, Date.now()));
    for (const device of this.#roster.present()) await this.#roster.bear(session, device);
  }

  #bearAgain(): void {
    if (this.#rebirth || this.#closing) return;
    const delayMs = Math.max(0, this.#bornAt + REBIRTH_MS - performance.now());
    this.#rebirth = setTimeout(() => {
      this.#rebirth = undefined;
      const session = this.#session;
      if (session) this.#turns.take(() => this.#bear(session)).catch((error) => this.#failed(error));
    }, delayMs);
  }

  #tell(device: string): void {
    this.#changed.add(device);
    this.#tellAll();
  }

  #echo(command: Command): void {
    const metrics = this.#session ? echoOf(command, this.#deps.catalog.commands) : [];
    if (metrics.length === 0) return;
    this.#echoes.push({ device: command.device, metrics });
    if (this.#echoes.length > MAX_ECHOES) this.#echoes.shift();
    this.#tellAll();
  }

  #tellAll(): void {
    if (this.#isTelling || !this.#session) return;
    this.#isTelling = true;
    this.#turns
      .take(() => this.#tellNow())
      .then(
        () => (this.#isTelling = false),
        (error) => {
          this.#isTelling = false;
          this.#failed(error);
        },
      );
  }

  async #tellNow(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    for (const device of this.#changed) {
      this.#changed.delete(device);
      const isThere = this.#roster.isThere(device);
      if (isThere && !session.hasBorn(device)) await this.#roster.bear(session, device);
      if (!isThere) await session.bury(device);
    }
    for (let beat = this.#echoes.shift(); beat; beat = this.#echoes.shift()) {
      if (session.hasBorn(beat.device)) await session.data(beat.device, beat.metrics);
    }
  }

  /** After an outage everything is born again, so nothing of it needs to be kept. */
  #failed(error: unknown): void {
    if (!(error instanceof Unavailable)) throw error;
  }
}
