/** A link to a broker that is not there: remembers what is published, and delivers what a test says. */
import {
  type Incoming,
  type LinkStatus,
  type Message,
  type NewLink,
  RefusedByBroker,
} from '../../hub/bridge/link/link-port.ts';
import { Unavailable } from '../../hub/kit/errors.ts';

export interface ScriptedLink extends NewLink {
  readonly published: Message[];
  /** Messages of these topics are refused for good. */
  refuse: RegExp | undefined;
  /** Makes a connection: the will is asked for, births go out. Resolves to the will. */
  connect(): Promise<Message | undefined>;
  disconnect(): void;
  deliver(topic: string, payload: string | Buffer, more?: Partial<Incoming>): Promise<void>;
}

export function createScriptedLink(name: string, will?: () => Message): ScriptedLink {
  const published: Message[] = [];
  const births: (() => Promise<void>)[] = [];
  const handlers = new Map<string, (message: Incoming) => Promise<void>>();
  let isThere = false;
  let isConnected = false;

  const fits = (filter: string, topic: string) => {
    const levels = topic.split('/');
    const wanted = filter.split('/');
    return levels.length === wanted.length && wanted.every((level, at) => level === '+' || level === levels[at]);
  };

  return {
    name,
    published,
    refuse: undefined,
    get isConnected() {
      return isConnected;
    },
    open() {},
    async publish(message) {
      if (!isThere) throw new Unavailable('not connected');
      await new Promise((resolve) => setImmediate(resolve));
      if (!isThere) throw new Unavailable('the connection ended');
      if (this.refuse?.test(message.topic)) throw new RefusedByBroker('it is too large');
      published.push(message);
    },
    subscribe: (filter, handler) => void handlers.set(filter, handler),
    onConnect: (listener) => void births.push(listener),
    status: () => ({ name }) as LinkStatus,
    async connect() {
      const last = will?.();
      isThere = true;
      for (const birth of births) await birth();
      isConnected = true;
      return last;
    },
    disconnect() {
      isThere = false;
      isConnected = false;
    },
    async deliver(topic, payload, more = {}) {
      const message = { topic, payload: Buffer.from(payload), retain: false, dup: false, properties: {}, ...more };
      for (const [filter, handler] of handlers) if (fits(filter, topic)) await handler(message);
    },
    async close() {
      this.disconnect();
    },
  };
}
