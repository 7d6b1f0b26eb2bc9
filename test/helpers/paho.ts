/** Runs an MQTT client that is not ours, Eclipse Paho in Python, and ends it by its pid. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PATIENCE_MS } from './patience.ts';

export interface PahoMessage {
  topic: string;
  payload: string;
  retain: boolean;
  /** Hex. */
  correlation: string | null;
  user: [string, string][];
  contentType: string | null;
}

export interface PahoPublish {
  topic: string;
  payload?: string;
  /** Hex, instead of `payload`. */
  bytes?: string;
  retain?: boolean;
  responseTopic?: string;
  /** Hex. */
  correlation?: string;
  /** Seconds. */
  expiry?: number;
  user?: [string, string][];
}

export interface Paho {
  readonly heard: readonly PahoMessage[];
  /** Messages that the broker acknowledged. */
  readonly acknowledged: number;
  subscribe(filter: string): Promise<void>;
  /** Handed over; resolves when the broker has acknowledged everything that was published so far. */
  publish(...messages: PahoPublish[]): Promise<void>;
  /** Handed over, and nobody waits. */
  send(...messages: PahoPublish[]): void;
  /** Resolves to the first message that fits, also of those heard before. */
  until(fits: (message: PahoMessage) => boolean): Promise<PahoMessage>;
  close(): Promise<void>;
}

export interface Credentials {
  user: string;
  password: string;
}

/** Resolves when it is connected. */
export async function startPaho(
  port: number,
  version: 5 | 4 = 5,
  clientId = 'paho',
  credentials?: Credentials,
): Promise<Paho> {
  const script = join(import.meta.dirname, 'paho_client.py');
  const env = { ...process.env };
  if (credentials) Object.assign(env, { MQTT_USER: credentials.user, MQTT_PASSWORD: credentials.password });
  const program = spawn('/usr/bin/python3', [script, `${port}`, `${version}`, clientId], { env });
  const heard: PahoMessage[] = [];
  const counts = { connected: 0, subscribed: 0, published: 0 };
  let sent = 0;
  let words = '';
  let rest = '';
  program.stderr.on('data', (chunk) => (words += chunk));
  program.stdout.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const { event, ...message } = JSON.parse(line);
      if (event === 'message') heard.push(message);
      else counts[event as keyof typeof counts] += 1;
    }
  });

  async function wait(isDone: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!isDone()) {
      if (Date.now() > deadline || program.exitCode !== null)
        throw new Error(`${what}; ${JSON.stringify(counts)} ${words} it heard ${JSON.stringify(heard.slice(-5))}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  const say = (order: object) => program.stdin.write(`${JSON.stringify(order)}\n`);
  const send = (...messages: PahoPublish[]) => {
    sent += messages.length;
    for (const message of messages) say({ op: 'publish', ...message });
  };
  await wait(() => counts.connected > 0, 'paho did not connect');
  return {
    heard,
    get acknowledged() {
      return counts.published;
    },
    async subscribe(filter) {
      const before = counts.subscribed;
      say({ op: 'subscribe', filter });
      await wait(() => counts.subscribed > before, `paho could not subscribe to ${filter}`);
    },
    send,
    async publish(...messages) {
      send(...messages);
      const all = sent;
      await wait(() => counts.published >= all, 'the broker did not acknowledge all that paho published');
    },
    async until(fits) {
      await wait(() => heard.some(fits), 'paho heard nothing that fits');
      return heard.find(fits)!;
    },
    async close() {
      if (program.exitCode !== null || program.signalCode !== null) return;
      const ended = once(program, 'exit');
      program.kill('SIGKILL');
      await ended;
    },
  };
}
