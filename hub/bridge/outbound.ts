/** The sink that publishes readings to a broker: one message for each, QoS 1, in order for each device, at least once. */
import { Unavailable } from '../kit/errors.ts';
import type { Frame, Reading } from '../telemetry/reading.ts';
import type { Refused, Sink } from '../telemetry/store.ts';
import { type BrokerLink, LOOK_AGAIN_MS, type Message, RefusedByBroker } from './broker.ts';
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

/** Its cursor begins at the end of the journal: a new broker gets what comes from now on. */
export function createOutbound(link: BrokerLink, options: OutboundOptions): Sink {
  /** How far the batch got that is tried again: what the broker has acknowledged from its beginning on. */
  let progress = { frames: [] as readonly Frame[], done: 0 };

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
  async function write(frames: readonly Frame[]): Promise<Refused[]> {
    if (!link.isConnected) throw unavailable(link);
    const first = progress.frames === frames ? progress.done : 0;
    const outcomes = await Promise.allSettled(frames.slice(first).map(publishFrame));
    const failed = outcomes.findIndex(({ status }) => status === 'rejected');
    // Readings refused before the failure are refused again when their frames are tried again.
    const isClean = (outcome: PromiseSettledResult<Refused[]>) =>
      outcome.status === 'fulfilled' && outcome.value.length === 0;
    const dirty = outcomes.findIndex((outcome) => !isClean(outcome));
    progress = failed < 0 ? { frames: [], done: 0 } : { frames, done: first + dirty };
    return outcomes.flatMap((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    });
  }

  return {
    name: sinkNameOf(link.name),
    begin: 'end',
    write,
    countOf: (frame) => (isLooping(frame, link.name, options) ? 0 : frame.readings.length),
    close: async () => {},
  };
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
