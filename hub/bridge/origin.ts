/** Where a bridged reading comes from, so that it never goes round in circles: written in the epoch of its frame. */

/** A frame that came over MQTT has no epoch of a device; its broker and the hubs it passed stand in its place. */
export interface Origin {
  broker: string;
  /** Topic it came from. */
  topic: string;
  /** Ids of the hubs that published it before it came here, the first one first; at most `MAX_HUBS`. */
  hubs: string[];
}

/** MQTT 5 user property that carries the hubs a message passed. */
export const HUBS_PROPERTY = 'hub';
/** A message that passed more hubs than this is refused. */
export const MAX_HUBS = 8;

/** Holds a space, which no epoch of a device does. */
const MARK = 'mqtt ';

export const epochOf = ({ broker, topic, hubs }: Origin): string => MARK + JSON.stringify([broker, topic, hubs]);

/** Undefined for a frame that came from a device itself. */
export function originOf(epoch: string): Origin | undefined {
  if (!epoch.startsWith(MARK)) return undefined;
  const [broker, topic, hubs] = JSON.parse(epoch.slice(MARK.length));
  return { broker, topic, hubs };
}
