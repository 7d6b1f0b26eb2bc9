/** Starts the real hub as a child process on free ports, with its own data folder, and ends it by its pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { freePort } from './ports.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface TestHub {
  readonly api: string;
  readonly gateway: string;
  /** Address of its own broker; empty without one. */
  readonly mqtt: string;
  readonly dataDir: string;
  readonly adminToken: string;
  readonly pid: number;
  /** PEM text of the certificate that its devices see. */
  readonly ca: string;
  /** Everything it logged since it was made, over restarts. */
  log(): string;
  /** Asks the operator API; the body is JSON both ways. */
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** Makes a device and gives its token. */
  addDevice(id: string): Promise<string>;
  start(): Promise<void>;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Ends it and removes its folder. */
  dispose(): Promise<void>;
}

/** Long, for a machine that is busy with other tests, too. */
const START_MS = 60_000;

/**
 * A hub with embedded defaults and the options of `env` (HUB_…). Ports stay the same over restarts. `wrapper`: a program
 * and its arguments that becomes the hub, such as `strace -D`.
 */
export async function startTestHub(
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): Promise<TestHub> {
  const dataDir = mkdtempSync(join(tmpdir(), 'hub-test-'));
  let child: ChildProcess | undefined;
  let log = '';
  let address: { api: string; gateway: string; mqtt?: string; apiCertificate?: string } = { api: '', gateway: '' };
  const ports = {
    HUB_GATEWAY__PORT: String(await freePort()),
    HUB_API__PORT: String(await freePort()),
    HUB_MQTT__LISTENER__PORT: String(await freePort()),
  };

  async function start(): Promise<void> {
    const options = { cwd: ROOT, env: { ...cleanEnv(), HUB_LOG__LEVEL: 'debug', ...ports, ...env } };
    rmSync(join(dataDir, 'hub.json'), { force: true });
    const line = [...wrapper, process.execPath, 'hub/main.ts', 'start', '--config', 'config/hub.yaml'];
    const started = spawn(line[0]!, [...line.slice(1), '--data', dataDir], {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    started.stderr.on('data', (chunk) => (log += chunk));
    started.stdout.on('data', (chunk) => (log += chunk));
    address = await untilReady(started);
  }

  async function untilReady(started: ChildProcess) {
    const file = join(dataDir, 'hub.json');
    const until = Date.now() + START_MS;
    while (started.exitCode === null && Date.now() < until) {
      const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
      if (text.endsWith('\n')) return JSON.parse(text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the hub did not start:\n${log}`);
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = new Promise<number | null>((resolve) => child!.once('exit', resolve));
    child.kill(signal);
    return gone;
  }

  const readToken = () => readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();

  /** An API with TLS shows a certificate that no authority knows. */
  function trust(): void {
    if (address.apiCertificate) setDefaultCACertificates([...getCACertificates('default'), address.apiCertificate]);
  }

  async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = { authorization: `Bearer ${readToken()}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    trust();
    const response = await fetch(address.api + path, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  await start();
  return {
    get api() {
      return address.api;
    },
    get gateway() {
      return address.gateway;
    },
    get mqtt() {
      return address.mqtt ?? '';
    },
    get adminToken() {
      return readToken();
    },
    get pid() {
      return child!.pid!;
    },
    get ca() {
      return readFileSync(join(dataDir, 'tls/cert.pem'), 'utf8');
    },
    dataDir,
    log: () => log,
    call,
    addDevice: async (id) => (await call<{ token: string }>('POST', '/v1/devices', { id })).token,
    start,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
    async dispose() {
      await end('SIGKILL');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HUB_')));
}
