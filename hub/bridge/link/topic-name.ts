/** What MQTT allows as the name of a topic, as a filter and as a message, and which topics a filter takes. */
import type { Message } from './link-port.ts';

const MAX_BYTES = 65_535;
/** What a packet holds beside topic, payload and the texts of its properties. */
const PACKET_BYTES = 64;
/** Clients, those of Mosquitto among them, end the connection on which such a topic comes. */
const FORBIDDEN = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;

/** Why nothing may be published to this topic; undefined when it may. */
export function faultOfTopic(topic: string): string | undefined {
  if (topic === '') return 'is empty';
  if (/[+#]/.test(topic)) return 'holds a wildcard (+ or #)';
  return faultOfText(topic);
}

/** Why a broker that takes packets of so many bytes will never take this message; undefined when it may. */
export function faultOfMessage({ topic, payload, properties }: Message, maximumBytes: number): string | undefined {
  const fault = faultOfTopic(topic);
  if (fault) return `the topic ${fault}`;
  if (maximumBytes === Number.POSITIVE_INFINITY) return undefined;
  const texts = properties ? Buffer.byteLength(JSON.stringify(properties)) : 0;
  const bytes = PACKET_BYTES + Buffer.byteLength(topic) + Buffer.byteLength(payload) + texts;
  return bytes > maximumBytes ? `it has ${bytes} bytes, the broker takes ${maximumBytes}` : undefined;
}

/** Why nobody can subscribe to this filter; undefined when it can be. */
export function faultOfFilter(filter: string): string | undefined {
  if (filter === '') return 'is empty';
  const levels = filter.split('/');
  if (levels.some((level) => level.includes('+') && level !== '+')) return 'has a + that is not a whole level';
  if (levels.some((level, at) => level.includes('#') && (level !== '#' || at < levels.length - 1)))
    return 'has a # that is not the whole last level';
  return faultOfText(filter);
}

/** Why MQTT allows no such text, be it a topic or a filter; undefined when it does. */
export function faultOfText(text: string): string | undefined {
  if (FORBIDDEN.test(text)) return 'holds a control character';
  if (!text.isWellFormed()) return 'is not well-formed Unicode';
  if (Buffer.byteLength(text) > MAX_BYTES) return `has more than ${MAX_BYTES} bytes`;
  return undefined;
}

/** Whether a subscription to this filter gets what is published to this topic. */
export function fitsFilter(filter: string, topic: string): boolean {
  // Topics of the broker itself are for those who ask for them.
  if (topic.startsWith('$') && !filter.startsWith('$')) return false;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (let at = 0; at < wanted.length; at++) {
    if (wanted[at] === '#') return true;
    if (at >= levels.length) return false;
    if (wanted[at] !== '+' && wanted[at] !== levels[at]) return false;
  }
  return wanted.length === levels.length;
}

/** Whether there is a topic that both filters take. */
export function overlap(one: string, other: string): boolean {
  const left = one.split('/');
  const right = other.split('/');
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [a, b] = [left[at], right[at]];
    if (a === '#' || b === '#') return true;
    if (a === undefined || b === undefined) return false;
    if (a !== b && a !== '+' && b !== '+') return false;
  }
  return true;
}
