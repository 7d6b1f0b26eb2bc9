/** Who may sign in, publish and subscribe what on the embedded broker. */
import { createThrottle } from '../../kit/throttle.ts';
import { faultOfText } from '../link/topic-name.ts';

/** An operator who signed in. */
export interface Guest {
  name: string;
  /** The public part of the token it came with. */
  keyId: string;
  /** A viewer may not. */
  mayPublish: boolean;
}

export interface AccessDeps {
  /** Who signs in with this name and token; undefined when they do not fit. */
  authenticate(name: string, token: string, now: number): Guest | undefined;
  /** Whether the guest may stay, by its token. Asked often: answered from memory. */
  isWelcome(guest: Guest, now: number): boolean;
  /** Whether the hub alone publishes there. */
  isOwnTopic(topic: string): boolean;
}

export interface AccessOptions {
  /** Clients that may be signed in at a time. */
  maxConnections: number;
  failedAttemptsPerMinute: number;
}

/** Why somebody may not; `code` is MQTT's return code of a refused connection. */
export interface Denial {
  code: number;
  reason: string;
}

export interface Access {
  /** `guests`: how many are in already. */
  signIn(name: string, token: string, address: string, guests: number, now: number): Guest | Denial;
  /** Why the guest may not publish there; undefined when it may. */
  refusePublish(guest: Guest, topic: string, now: number): string | undefined;
  /** Why nobody may subscribe to it beside the `count` filters it has; undefined when it may. */
  refuseSubscribe(filter: string, count: number): string | undefined;
}

const BUSY = 3;
const BAD_CREDENTIALS = 4;
const WILDCARD = /[+#]/;
const MAX_SUBSCRIPTIONS = 100;
/** Longer topics would be of no device, stream or rule. */
const MAX_TOPIC_BYTES = 1_024;
/** What the parser makes of bytes that are none. */
const NO_CHARACTER = '\ufffd';

export function createAccess(deps: AccessDeps, options: AccessOptions): Access {
  const throttle = createThrottle(options.failedAttemptsPerMinute);
  return {
    signIn(name, token, address, guests, now) {
      if (guests >= options.maxConnections) return { code: BUSY, reason: `${guests} clients are connected already` };
      const guest = deps.authenticate(name, token, now);
      if (guest !== undefined) return guest;
      if (throttle.failed(address, now) > 0)
        return { code: BUSY, reason: 'too many failed attempts from this address' };
      return { code: BAD_CREDENTIALS, reason: 'this name and token are of no operator' };
    },
    refusePublish(guest, topic, now) {
      if (!deps.isWelcome(guest, now)) return 'its token was revoked or has expired';
      if (!guest.mayPublish) return 'a viewer may only subscribe';
      if (WILDCARD.test(topic)) return 'a topic to publish to has no wildcards';
      return misshapen(topic) ?? (deps.isOwnTopic(topic) ? 'only the hub publishes there' : undefined);
    },
    refuseSubscribe(filter, count) {
      return count >= MAX_SUBSCRIPTIONS ? `${MAX_SUBSCRIPTIONS} subscriptions are enough` : misshapen(filter);
    },
  };
}

function misshapen(topic: string): string | undefined {
  const fault = faultOfText(topic);
  if (fault) return `the topic ${fault}`;
  if (topic.includes(NO_CHARACTER)) return 'the topic is not UTF-8';
  if (Buffer.byteLength(topic) > MAX_TOPIC_BYTES) return `the topic is longer than ${MAX_TOPIC_BYTES} bytes`;
  return topic.startsWith('$') ? 'topics that begin with $ are of the broker itself' : undefined;
}

/** Recognises the topics that templates such as `{prefix}/{device}/status` can give; a name in braces is one level. */
export function topicsOf(templates: readonly string[], prefix: string): (topic: string) => boolean {
  const patterns = templates.map((template) => {
    const texts = template.replaceAll('{prefix}', prefix).split(/\{\w+\}/);
    return new RegExp(`^${texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('[^/]+')}$`, 'u');
  });
  return (topic) => patterns.some((pattern) => pattern.test(topic));
}
