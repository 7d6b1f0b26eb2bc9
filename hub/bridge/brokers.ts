/** Which brokers the configuration names, how each is called, and what is said of it to people. */
import type { TopicTemplates } from './topics.ts';

/** The part of a broker's configuration that says which one it is. */
export interface BrokerName {
  name?: string;
  url: string;
  clientId?: string;
}

/** A broker that people may connect to, without its secrets. */
export interface MqttServer {
  name: string;
  /** Port 0: a free one. */
  url: string;
  /** 5, or 4 for 3.1.1. */
  version: 5 | 4;
  /** How one signs in there. */
  signIn: ('password' | 'certificate')[];
  /** Readings, presence and ends of commands are published there. */
  telemetry: boolean;
  /** Commands are taken there. */
  commands: boolean;
}

/** What goes over MQTT, as configured. */
export interface MqttContract {
  brokers: MqttServer[];
  prefix: string;
  topics: TopicTemplates;
  /** Template of the payload of a reading; empty: the reading as JSON. */
  payload: string;
}

/** The section `mqtt` of the configuration, as far as it matters here. */
export interface MqttSection extends Omit<MqttContract, 'brokers'> {
  brokers: (BrokerName & Omit<MqttServer, 'name' | 'signIn'> & { username?: string; certFile?: string })[];
  embedded: boolean;
  listener: { host: string; port: number; certFile?: string };
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

/** Where the hub's own broker listens. */
export function addressOf({ host, port, certFile }: { host: string; port: number; certFile?: string }): string {
  return `${certFile ? 'mqtts' : 'mqtt'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The same client id twice on one broker: each connection would end the other. */
export function clientIdOf({ clientId }: BrokerName, hubId: string): string {
  return clientId ?? `telemetry-hub-${hubId}`;
}

/** Without a secret. */
export function contractOf({ brokers, embedded, listener, prefix, topics, payload }: MqttSection): MqttContract {
  const servers = brokers.map((broker): MqttServer => {
    const { url, version, username, certFile, telemetry, commands } = broker;
    const signIn: MqttServer['signIn'] = [];
    if (username !== undefined) signIn.push('password');
    if (certFile !== undefined) signIn.push('certificate');
    return { name: nameOf(broker), url, version, signIn, telemetry, commands };
  });
  const own: MqttServer = {
    ...{ name: EMBEDDED, url: addressOf(listener), version: 4, signIn: ['password'], telemetry: true, commands: true },
  };
  return { brokers: embedded ? [...servers, own] : servers, prefix, topics, payload };
}
