/** Sends notices to an MQTT topic, through whatever connection to a broker the hub has. */
import type { Notice } from './alert.ts';
import type { Channel } from './channel.ts';

/** Resolves when the broker acknowledged. Throws `Unavailable`. */
export type Publish = (topic: string, payload: string) => Promise<void>;

/** `topic` may hold `{rule}`, `{device}` and `{state}`; what is no device has `hub` in its place. */
export function createMqttChannel(name: string, topic: string, publish: Publish): Channel {
  return {
    name,
    kind: 'mqtt',
    send: (notice) => publish(filledIn(topic, notice), JSON.stringify(notice)),
  };
}

function filledIn(topic: string, { rule, device = 'hub', state }: Notice): string {
  return topic.replaceAll('{rule}', rule).replaceAll('{device}', device).replaceAll('{state}', state);
}
