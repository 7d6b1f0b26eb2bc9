/** The sink that publishes readings to a broker: one message for each, QoS 1, in order for each device, at least once. */
import { Unavailable } from '../kit/errors.ts';
import type { Frame, Reading } from '../telemetry/reading.ts';
import type { Refused, Sink } from '../telemetry/store.ts';
import { type BrokerLink, LOOK_AGAIN_MS, type Message, RefusedByBroker } from './link/link-port.ts';
import { HUBS_PROPERTY, MAX_HUBS, originOf } from './origin.ts';
import type { PayloadOf } from './payload.ts';
import { sinkNameOf } from './status.ts';
import type { Topics } from './topics.ts';

export interface OutboundOptions {
  topics: Pick<Topics, 'telemetry'>;
  payloadOf: PayloadOf;
  /** Marks the messages, so that they do not come back. */
  hubId: string;
}

/** MQTT 5 user property that says where a reading came from: `device`, or the broker that it was published on. */
export const ORIGIN_PROPERTY = 'origin';

/** Messages handed to the link at a time; others publish over it, too. */
const SLICE_MESSAGES = 5_000;

interface Progress {
  frames: readonly Frame[];
  /** So many frames the broker has acknowledged, or refused for good. */
  done: number;
  refused: Refused[];
}

/** Its cursor begins at the end of the journal: a new broker gets what comes from now on. */
export function createOutbound(link: BrokerLink, options: OutboundOptions): Sink {
  /** How far the batch got, from its beginning on; it is known by its array when it is tried again. */
  let progress: Progress = { frames: [], done: 0, refused: [] };

  async function publishFrame(frame: Frame): Promise<Refused[]> {
    const messages = messagesOf(frame, link.name, options);
    const outcomes = await Promise.allSettled(messages.map((message) => link.publish(message)));
    const refused: Refused[] = [];
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue;
      if (!(outcome.reason instanceof RefusedByBroker)) throw outcome.reason;
      refused.push({ frame, reading: frame.readings[at]!, message: `${link.name}: ${outcome.reason.message}` });
    }
    return refused;
  }

  /** All at once, for the link's window holds them; over before the batch is tried again, or it would go out of order. */
  async function publishSlice(frames: readonly Frame[]): Promise<void> {
    for (const outcome of await Promise.allSettled(frames.map(publishFrame))) {
      if (outcome.status === 'rejected') throw outcome.reason;
      progress.refused.push(...outcome.value);
      progress.done += 1;
    }
  }

  async function write(frames: readonly Frame[]): Promise<Refused[]> {
    if (!link.isConnected) throw unavailable(link);
    if (progress.frames !== frames) progress = { frames, done: 0, refused: [] };
    while (progress.done < frames.length) {
      await publishSlice(frames.slice(progress.done, endOfSlice(frames, progress.done)));
    }
    const { refused } = progress;
    progress = { frames: [], done: 0, refused: [] };
    return refused;
  }

  return {
    name: sinkNameOf(link.name),
    begin: 'end',
    write,
    countOf: (frame) => (isLooping(frame, link.name, options) ? 0 : frame.readings.length),
    close: async () => {},
  };
}

/** Where the frames from `from` on hold enough messages; at least one frame behind it. */
function endOfSlice(frames: readonly Frame[], from: number): number {
  let messages = 0;
  let to = from;
  while (to < frames.length && messages < SLICE_MESSAGES) messages += frames[to++]!.readings.length;
  return to;
}

function unavailable(link: BrokerLink): Unavailable {
  const { state, lastError = 'not connected yet' } = link.status();
  const stalled = state === 'refused';
  return new Unavailable(`MQTT broker ${link.name}: ${lastError}`, { stalled, retryAfterMs: LOOK_AGAIN_MS });
}

function messagesOf(frame: Frame, broker: string, options: OutboundOptions): Message[] {
  if (isLooping(frame, broker, options)) return [];
  const { device, stream } = frame;
  const topic = options.topics.telemetry(device, stream);
  const origin = originOf(frame.epoch);
  const hubs = [...(origin?.hubs ?? []), options.hubId];
  const userProperties = { [HUBS_PROPERTY]: hubs, [ORIGIN_PROPERTY]: origin ? `mqtt:${origin.broker}` : 'device' };
  const properties = { userProperties };
  return frame.readings.map((reading: Reading) => ({
    topic,
    payload: options.payloadOf(device, stream, reading),
    properties,
  }));
}

/** What came over MQTT does not go back to where it came from, nor round for ever. */
function isLooping({ device, stream, epoch }: Frame, broker: string, { topics }: OutboundOptions): boolean {
  const origin = originOf(epoch);
  if (!origin) return false;
  if (origin.hubs.length >= MAX_HUBS) return true;
  return origin.broker === broker && origin.topic === topics.telemetry(device, stream);
}
