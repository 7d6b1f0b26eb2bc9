/** Starts a real influxd on free ports of loopback with a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';

export interface InfluxdOptions {
  /** Ask for name and password; `admin` with the password `secret` is made. */
  auth?: boolean;
  /** More lines of its [http] section. */
  http?: string;
  /** An existing folder, on a file system of its own perhaps; it stays. Without it a new one, deleted at the end. */
  dir?: string;
}

export interface Influxd {
  readonly url: string;
  /** Its data, wal and meta lie in here. */
  readonly dir: string;
  /** Of the running process. */
  readonly pid: number;
  /** InfluxQL, as the administrator; the first statement's series. Times in microseconds. Throws what InfluxDB says. */
  query(text: string, database?: string): Promise<InfluxSeries[]>;
  /** Writes lines as somebody else would; resolves to the status. */
  write(database: string, lines: string): Promise<number>;
  /** After `stop` or `kill`: the same ports, the same data. */
  start(): Promise<void>;
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
  /** SIGSTOP: connections are accepted by the kernel, and nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it and deletes its folder, unless that was given. */
  remove(): Promise<void>;
}

export interface InfluxSeries {
  name: string;
  columns: string[];
  values: (string | number | boolean | null)[][];
}

const START_MS = 60_000;
const ADMIN = { u: 'admin', p: 'secret' };

export async function startInfluxd(options: InfluxdOptions = {}): Promise<Influxd> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'influxd-')));
  const [port, rpcPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const config = join(dir, 'influxd.conf');
  await writeFile(config, configuration(dir, port, rpcPort, options));
  let child: ChildProcess;

  async function start(): Promise<void> {
    child = spawn('influxd', ['-config', config], { stdio: 'ignore' });
    child.on('error', () => {});
    const deadline = Date.now() + START_MS;
    while (!(await answers(url))) {
      if (child.exitCode !== null || child.pid === undefined) throw new Error('influxd could not be started');
      if (Date.now() > deadline) throw new Error('influxd did not answer in time');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async function query(text: string, database = ''): Promise<InfluxSeries[]> {
    const parameters = new URLSearchParams({ q: text, db: database, epoch: 'u', ...(options.auth && ADMIN) });
    const response = await fetch(`${url}/query?${parameters}`, { method: 'POST' });
    const { error, results } = (await response.json()) as {
      error?: string;
      results?: { error?: string; series?: InfluxSeries[] }[];
    };
    const problem = error ?? results?.find((result) => result.error)?.error;
    if (problem) throw new Error(problem);
    return results?.[0]?.series ?? [];
  }

  await start();
  if (options.auth) await query(`CREATE USER ${ADMIN.u} WITH PASSWORD '${ADMIN.p}' WITH ALL PRIVILEGES`);
  return {
    url,
    dir,
    get pid() {
      return child.pid!;
    },
    query,
    async write(database, lines) {
      const parameters = new URLSearchParams({ db: database, precision: 'u', ...(options.auth && ADMIN) });
      return (await fetch(`${url}/write?${parameters}`, { method: 'POST', body: lines })).status;
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause() {
      child.kill('SIGSTOP');
      while (!isStopped(child.pid!)) {}
    },
    resume: () => void child.kill('SIGCONT'),
    async remove() {
      await end('SIGKILL');
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/ping`, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}

function configuration(dir: string, port: number, rpcPort: number, { auth = false, http = '' }: InfluxdOptions) {
  return `
reporting-disabled = true
bind-address = "127.0.0.1:${rpcPort}"
[meta]
  dir = "${dir}/meta"
[data]
  dir = "${dir}/data"
  wal-dir = "${dir}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${port}"
  auth-enabled = ${auth}
  log-enabled = false
  ${http}
`;
}

/** The signal takes effect a moment after it was sent: until every thread stands still, a request may still be answered. */
function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').includes(') T '));
}

/** Its newest file of the write-ahead log that holds something, of a database. */
export function newestWal({ dir }: Pick<Influxd, 'dir'>, database: string): string | undefined {
  const folder = join(dir, 'wal', database);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.wal'))
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).size > 0);
  return files.toSorted((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs).at(-1);
}
