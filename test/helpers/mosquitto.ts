/** Starts a real Mosquitto on a free port of loopback, and `mosquitto_sub` beside it; both are ended by their pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE_MS } from './patience.ts';
import { freePort } from './ports.ts';

export interface MosquittoOptions {
  /** More lines of its configuration; `{dir}` is its folder. */
  config?: string;
  /** Files that are put into its folder first, by name. */
  files?: Record<string, string>;
  /** Logs mistakes only; every packet without it. */
  isQuiet?: boolean;
}

export interface Mosquitto {
  readonly port: number;
  /** `mqtt://127.0.0.1:<port>` */
  readonly url: string;
  /** Name of the broker in a hub that was given the url alone. */
  readonly name: string;
  readonly dir: string;
  /** What it logged. */
  log(): string;
  /** After `stop` or `kill`: the same port. Sessions and retained messages are gone unless it keeps them. */
  start(): Promise<void>;
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
  /** SIGSTOP: connections are accepted by the kernel, and nothing answers. */
  pause(): void;
  resume(): void;
  /** Subscribes by `mosquitto_sub`, with more arguments of it; resolves when it is subscribed. */
  listen(filter: string, args?: string[]): Promise<Listener>;
  /** Publishes one message by `mosquitto_pub`; resolves when it has ended, rejects when that failed. */
  publish(topic: string, payload: string | Buffer, args?: string[]): Promise<void>;
  /** Ends it and its listeners, and deletes its folder. */
  remove(): Promise<void>;
}

export interface Heard {
  topic: string;
  payload: string;
  retain: boolean;
}

export interface Listener {
  readonly heard: readonly Heard[];
  /** Resolves to the first message that fits, also of those heard before. Rejects after `withinMs`. */
  until(fits: (message: Heard) => boolean, withinMs?: number): Promise<Heard>;
  stop(): Promise<void>;
}

const START_MS = 20_000;
/** Anybody may do anything there, unless `config` says otherwise. */
export async function startMosquitto({
  config = 'allow_anonymous true',
  files = {},
  isQuiet = false,
}: MosquittoOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'mosquitto-'));
  const port = await freePort();
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text, { mode: 0o644 });
  const file = join(dir, 'mosquitto.conf');
  // It gives up root for the user mosquitto, who cannot read the folder.
  await writeFile(
    file,
    `${isQuiet ? 'log_type error\n' : ''}user root\nlistener ${port} 127.0.0.1\n${config.replaceAll('{dir}', dir)}\n`,
  );
  const listeners: Listener[] = [];
  let child: ChildProcess;
  let log = '';

  async function start(): Promise<void> {
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
    child = spawn('mosquitto', isQuiet ? ['-c', file] : ['-c', file, '-v'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.on('error', (error) => (log += error.message));
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (log += chunk));
    const deadline = Date.now() + START_MS;
    while (!(await answers(port))) {
      if (child.exitCode !== null || child.pid === undefined)
        throw new Error(`mosquitto could not be started:\n${log}`);
      if (Date.now() > deadline) throw new Error('mosquitto did not answer in time');
      await pause(20);
    }
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  await start();
  const broker: Mosquitto = {
    port,
    dir,
    url: `mqtt://127.0.0.1:${port}`,
    name: `127.0.0.1:${port}`,
    log: () => log,
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause() {
      child.kill('SIGSTOP');
      while (!isStopped(child.pid!)) {}
    },
    resume: () => void child.kill('SIGCONT'),
    async listen(filter, args = []) {
      const listener = await listen(port, filter, args);
      listeners.push(listener);
      return listener;
    },
    async publish(topic, payload, args = []) {
      const program = spawn('mosquitto_pub', [...at(port), '-q', '1', '-t', topic, '-s', ...args]);
      let words = '';
      program.stderr.on('data', (chunk) => (words += chunk));
      program.stdin.end(payload);
      const [code] = await once(program, 'exit');
      if (code !== 0) throw new Error(`mosquitto_pub ended with ${code}: ${words}`);
    },
    async remove() {
      for (const listener of listeners) await listener.stop();
      await end('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
  return broker;
}

const at = (port: number) => ['-h', '127.0.0.1', '-p', String(port), '-V', 'mqttv5'];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function listen(port: number, filter: string, args: string[]): Promise<Listener> {
  const heard: Heard[] = [];
  // By lines: it would keep what it prints in blocks when nobody looks.
  const options = [...at(port), '-q', '1', '-t', filter, '-d', '-F', '%j', ...args];
  const program = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...options]);
  let rest = '';
  let isSubscribed = false;
  program.stdout.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('Subscribed')) isSubscribed = true;
      if (!line.startsWith('{')) continue;
      const { topic, payload, retain } = JSON.parse(line);
      heard.push({ topic, payload: String(payload ?? ''), retain: Boolean(retain) });
    }
  });

  async function wait(isDone: () => boolean, withinMs: number, what: string): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!isDone()) {
      if (Date.now() > deadline) throw new Error(`${what}; it heard ${JSON.stringify(heard.slice(-5))}`);
      await pause(20);
    }
  }

  await wait(() => isSubscribed, PATIENCE_MS, `mosquitto_sub could not subscribe to ${filter}`);
  return {
    heard,
    async until(fits, withinMs = PATIENCE_MS) {
      let at = 0;
      const isFound = () => {
        while (at < heard.length && !fits(heard[at]!)) at++;
        return at < heard.length;
      };
      await wait(isFound, withinMs, `no message of ${filter} fits`);
      return heard[at]!;
    },
    async stop() {
      if (program.exitCode !== null || program.signalCode !== null) return;
      const ended = once(program, 'exit');
      program.kill('SIGTERM');
      await ended;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** The signal takes effect a moment after it was sent: until every thread stands still, it may still answer. */
function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').includes(') T '));
}
