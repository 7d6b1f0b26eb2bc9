/** The AsyncAPI document against a real broker: whatever the hub publishes there is in it, topic and payload. */
import { Ajv } from 'ajv';
import { afterEach, expect, it } from 'vitest';
import { startTestHub } from '../helpers/hub.ts';
import { type Heard, startMosquitto } from '../helpers/mosquitto.ts';
import { connectRaw } from '../helpers/raw-device.ts';

interface Document {
  servers: Record<string, { host: string }>;
  channels: Record<string, { address: string | null; messages: Record<string, object> }>;
  components: { messages: Record<string, { contentType?: string; payload: object }> };
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function patternOf(address: string): RegExp {
  const parts = address.split(/\{\w+\}/).map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]+')}$`);
}

/** The channel and the messages that describe what was heard; empty when nothing does. */
function describedBy({ channels, components }: Document, { topic, payload }: Heard): string[] {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  return Object.values(channels).flatMap(({ address, messages }) => {
    if (address === null || !patternOf(address).test(topic)) return [];
    return Object.keys(messages).filter((name) => {
      const message = components.messages[name]!;
      const value = message.contentType === 'application/json' ? JSON.parse(payload || '{}') : payload;
      return ajv.validate({ ...message.payload, components }, value);
    });
  });
}

it.each([
  ['the defaults', {}],
  [
    'topics and payloads of its own',
    {
      HUB_MQTT__TOPICS__TELEMETRY: '{prefix}/data/{stream}/of/{device}',
      HUB_MQTT__PAYLOAD: '{"from":{device},"at":{iso},"t":{fields.temperature},"l":{fields.light}}',
    },
  ],
])(
  'describes everything that is published and taken with %s',
  async (_, env: Record<string, string>) => {
    const mosquitto = await startMosquitto();
    cleanups.push(() => mosquitto.remove());
    const hub = await startTestHub({ HUB_MQTT__BROKERS: JSON.stringify([{ url: mosquitto.url }]), ...env });
    cleanups.push(() => hub.dispose());
    const device = await connectRaw(hub, { token: await hub.addDevice('meter-7') });
    const listener = await mosquitto.listen('hub/#');
    await listener.until(({ topic, payload }) => topic === 'hub/meter-7/status' && payload === 'online');
    device.say({ type: 'hello', epoch: 'e1' });
    device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ ts: Date.now(), light: 5 }] });
    await listener.until(({ topic }) => topic.includes('environment'));
    await mosquitto.publish('hub/meter-7/command/set-interval', '{"seconds":5}');
    for (let frame = await device.next(); ; frame = await device.next()) {
      if (frame.type !== 'command') continue;
      device.say({ type: 'result', id: frame.id, ok: true, value: { seconds: 5 } });
      break;
    }
    await listener.until(({ topic, payload }) => topic.includes('/result/') && payload.includes('succeeded'));
    await mosquitto.publish('hub/meter-7/command/identify', '{"seconds":-1}');
    await listener.until(({ payload }) => payload.includes('rejected'));
    await hub.call('DELETE', '/v1/devices/meter-7');
    await listener.until(({ topic, payload }) => topic === 'hub/meter-7/status' && payload === '');

    const document = await hub.call<Document>('GET', '/asyncapi.json');
    expect(Object.values(document.servers).map(({ host }) => host)).toContain(mosquitto.name);
    // What a client published breaks its schema on purpose.
    const published = listener.heard.filter(({ payload }) => payload !== '{"seconds":-1}');
    expect(published.filter((message) => describedBy(document, message).length === 0)).toEqual([]);
    const known = new Set(published.flatMap((message) => describedBy(document, message)));
    for (const name of ['telemetry.environment', 'status', 'state', 'command.set-interval', 'rejection'])
      expect(known).toContain(`mqtt.${name}`);
    expect(known).toContain('mqtt.result.set-interval');
  },
  60_000,
);
