/** Who asks for something over MQTT, for the audit log: what a client says of itself, or whom the hub's own broker let in. */
import type { Incoming } from './link/link-port.ts';

/** MQTT 5 user property in which a client may say who it is. */
export const CLIENT_PROPERTY = 'client';
const CLIENT = /^[\x21-\x7e]{1,64}$/;

/** `mqtt:<broker>/<client>`, or `mqtt:<broker>` when nobody is told. */
export function actorOf(broker: string, { properties }: Pick<Incoming, 'properties'>): string {
  const [client = ''] = [properties.userProperties?.[CLIENT_PROPERTY] ?? []].flat();
  return CLIENT.test(client) ? `mqtt:${broker}/${client}` : `mqtt:${broker}`;
}

/** Only the broker itself publishes to topics that begin with $, so nobody can pretend to be another. */
const MARK = '$from/';

/** The topic as the embedded broker gives it to the hub: MQTT 3.1.1 has no other place for who published there. */
export const withSender = (topic: string, name: string): string => `${MARK}${name}/${topic}`;

/** The message as it was published, with its publisher as the client. */
export function takeSender(message: Incoming): Incoming {
  const { topic, properties } = message;
  if (!topic.startsWith(MARK)) return message;
  const end = topic.indexOf('/', MARK.length);
  const userProperties = { ...properties.userProperties, [CLIENT_PROPERTY]: topic.slice(MARK.length, end) };
  return { ...message, topic: topic.slice(end + 1), properties: { ...properties, userProperties } };
}
