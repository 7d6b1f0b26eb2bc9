/** A proxy before a broker that remembers what the broker acknowledged, whatever the broker itself forgets when it is killed. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Packet, parser } from 'mqtt-packet';

export interface MqttTap {
  /** Give this to a hub in place of the broker's own. */
  readonly url: string;
  /** Payloads of PUBLISH packets to telemetry topics, in the order in which the broker acknowledged them. */
  readonly acknowledged: readonly string[];
  close(): void;
}

/** Listens on a free port of loopback. MQTT 5 and 3.1.1, as the client wishes: a hub falls back while its broker is dying. */
export async function startMqttTap(port: number): Promise<MqttTap> {
  const acknowledged: string[] = [];
  const server = createServer((client) => join(client, connect(port, '127.0.0.1'), acknowledged));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return { url: `mqtt://127.0.0.1:${own}`, acknowledged, close: () => void server.close() };
}

function join(client: Socket, broker: Socket, acknowledged: string[]): void {
  const inFlight = new Map<number | undefined, string>();
  let hasAsked = false;
  pass(client, broker, undefined, (packet) => {
    if (packet.cmd === 'connect' && !hasAsked) {
      hasAsked = true;
      // Answers are in the version that the client asked for.
      pass(broker, client, packet.protocolVersion, (answer) => {
        const payload = answer.cmd === 'puback' ? inFlight.get(answer.messageId) : undefined;
        if (payload !== undefined) acknowledged.push(payload);
      });
    }
    if (packet.cmd === 'publish' && packet.topic.includes('/telemetry/'))
      inFlight.set(packet.messageId, String(packet.payload));
  });
  broker.on('error', () => {});
  broker.on('close', () => client.destroy());
}

/** What is no MQTT ends the connection, not the process. */
function pass(from: Socket, to: Socket, protocolVersion: number | undefined, look: (packet: Packet) => void): void {
  const packets = parser(protocolVersion === undefined ? {} : { protocolVersion });
  packets.on('packet', look);
  packets.on('error', () => from.destroy());
  from.on('data', (bytes) => {
    packets.parse(bytes);
    to.write(bytes);
  });
  from.on('error', () => {});
  from.on('close', () => to.destroy());
}
