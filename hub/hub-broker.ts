/** Builds the broker of the hub's own: operators sign in with their name and token, the hub comes by a stream within the process. */
import type { Duplex } from 'node:stream';
import { createDamper } from './audit/damper.ts';
import { type BrokerRefusal, createEmbeddedBroker } from './bridge/broker/broker.aedes.ts';
import { type Guest, topicsOf } from './bridge/broker/broker-access.ts';
import { addressOf } from './bridge/brokers.ts';
import type { BrokerLink } from './bridge/link/link-port.ts';
import type { OwnBrokerStatus } from './bridge/status.ts';
import type { Config } from './config.ts';
import { keyIdOf } from './devices/token.ts';
import { keepCertificate } from './gateway/certificates.tls.ts';
import type { HubStart } from './hub.ts';
import { listening } from './hub-doors.ts';
import type { Records } from './hub-records.ts';
import { redact } from './kit/redact.ts';
import { includesRole, type Operators } from './operators/operators.ts';

export interface OwnBroker {
  /** As configured. */
  url: string;
  /** A connection of the hub itself. */
  dial(): Duplex;
  /** Lets others in once the hub's own link is connected; resolves to the address. Throws `UserError` when it is taken. */
  open(link: BrokerLink): Promise<string>;
  status(): OwnBrokerStatus;
}

const SPARKPLUG_OWN = ['NBIRTH', 'NDEATH', 'NDATA', 'DBIRTH', 'DDEATH', 'DDATA'];
const NAME_CHARS = 64;
const TOPIC_CHARS = 256;

export async function openOwnBroker(start: HubStart, { operators, audit }: Records, hubId: string): Promise<OwnBroker> {
  const { config, log, stack } = start;
  let hubLink: BrokerLink | undefined;
  const recordRefused = createDamper(audit.record);
  const broker = await createEmbeddedBroker(
    {
      authenticate: (name, token, now) => guestOf(operators, name, token, now),
      isWelcome: ({ name, keyId }, now) => operators.isHeldBy(name, keyId, now),
      isOwnTopic: ownTopicsOf(config.mqtt, hubId),
      isHubConnected: () => hubLink?.isConnected === true,
      onRefused: (refusal) => void recordRefused(refusalEvent(refusal)),
      log,
    },
    {
      maxConnections: config.mqtt.listener.maxConnections,
      failedAttemptsPerMinute: config.limits.failedAttemptsPerMinute,
    },
  );
  stack.push('MQTT broker', () => broker.close());
  return {
    url: addressOf(config.mqtt.listener),
    dial: broker.open,
    status: broker.status,
    async open(link) {
      hubLink = link;
      await connected(link);
      return listen(start, config.mqtt.listener, broker.listen);
    },
  };
}

type Address = Config['mqtt']['listener'];

async function listen(
  { log, stack }: HubStart,
  { host, port, certFile, keyFile }: Address,
  start: Awaited<ReturnType<typeof createEmbeddedBroker>>['listen'],
): Promise<string> {
  const files = certFile && keyFile ? { certFile, keyFile } : undefined;
  const tls = files && (await keepCertificate({ files, minVersion: 'TLSv1.2', log }));
  if (tls) stack.push('certificate of the broker', async () => tls.close());
  const taken = await listening('mqtt.listener.port', port, () => start({ host, port, ...(tls && { tls }) }));
  return addressOf({ host, port: taken, ...(certFile && { certFile }) });
}

/** Who comes before it would be told that a message was taken, and nobody had taken it. */
function connected(link: BrokerLink): Promise<void> {
  return new Promise((resolve) => link.onConnect(async () => resolve()));
}

function guestOf(operators: Operators, name: string, token: string, now: number): Guest | undefined {
  const operator = operators.authenticate(token, now);
  if (!('role' in operator) || operator.name !== name) return undefined;
  return { name, keyId: keyIdOf('operator', token)!, mayPublish: includesRole(operator.role, 'operator') };
}

function ownTopicsOf({ prefix, topics, sparkplug }: Config['mqtt'], hubId: string): (topic: string) => boolean {
  const { telemetry, status, result, state } = topics;
  const node = `${sparkplug.group}/%/${sparkplug.node ?? hubId}`;
  const edge = sparkplug.enabled ? SPARKPLUG_OWN.map((type) => `spBv1.0/${node.replace('%', type)}`) : [];
  return topicsOf([telemetry, status, result, state, ...edge, ...edge.map((topic) => `${topic}/{device}`)], prefix);
}

/** A stranger may have put its token where its name belongs. */
function refusalEvent({ name, isSignedIn, address, topic, reason }: BrokerRefusal) {
  const who = redact(name).slice(0, NAME_CHARS);
  if (!isSignedIn) {
    const event = { actor: 'unknown', action: 'mqtt.connect', target: who, result: 'unauthorized' };
    return { ...event, from: address, detail: reason };
  }
  const target = redact(topic ?? '').slice(0, TOPIC_CHARS);
  const event = { actor: `operator:${who}`, action: 'mqtt.publish', target, result: 'forbidden' };
  return { ...event, from: address, detail: reason };
}
