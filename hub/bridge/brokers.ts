/** Which brokers the configuration names, and how each is called. */

/** The part of a broker's configuration that says which one it is. */
export interface BrokerName {
  name?: string;
  url: string;
  clientId?: string;
}

/** Name of the hub's own broker. */
export const EMBEDDED = 'embedded';

const PORTS: Record<string, string> = { 'mqtt:': '1883', 'mqtts:': '8883', 'ws:': '80', 'wss:': '443' };

/** Its name: the one given, or host and port of its address, which must be one. */
export function nameOf({ name, url }: BrokerName): string {
  if (name !== undefined) return name;
  const { hostname, port, protocol } = new URL(url);
  return `${hostname.toLowerCase()}:${port || PORTS[protocol]}`;
}

/** Of all brokers, the hub's own among them when it has one. */
export function brokerNames({ brokers, embedded }: { brokers: readonly BrokerName[]; embedded: boolean }): string[] {
  return embedded ? [...brokers.map(nameOf), EMBEDDED] : brokers.map(nameOf);
}

/** The same client id twice on one broker: each connection would end the other. */
export function clientIdOf({ clientId }: BrokerName, hubId: string): string {
  return clientId ?? `telemetry-hub-${hubId}`;
}
