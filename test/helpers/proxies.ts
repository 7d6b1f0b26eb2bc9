/** Starts the real nginx and HAProxy with the configurations of docs/proxy/, on free ports, and ends them by their pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE_MS } from './patience.ts';
import { freePort } from './ports.ts';

const DOCS = join(import.meta.dirname, '../../docs/proxy');
const NGINX = '/usr/sbin/nginx';
const HAPROXY = '/usr/sbin/haproxy';
const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** The files of docs/proxy/. */
export type ProxyConfig = 'nginx.conf' | 'nginx-stream.conf' | 'haproxy.cfg' | 'haproxy-tcp.cfg';

export interface TestProxy {
  readonly port: number;
  dispose(): Promise<void>;
}

/** `changes`: what stands in the configuration, and what the test needs instead; each must be there. */
export async function startProxy(file: ProxyConfig, changes: Record<string, string>): Promise<TestProxy> {
  const dir = mkdtempSync(join(tmpdir(), 'hub-proxy-'));
  const port = await freePort();
  let text = readFileSync(join(DOCS, file), 'utf8');
  for (const [old, now] of Object.entries({ ...changes, '8443': String(port) })) {
    if (!text.includes(old)) throw new Error(`${file} has no ${old}`);
    text = text.replaceAll(old, now);
  }
  writeFileSync(join(dir, file), text);
  const [program, args] = file.startsWith('nginx') ? nginx(dir, file) : haproxy(dir, file);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const dispose = async () => {
    await end(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await untilListening(child, port);
  } catch (error) {
    await dispose();
    throw new Error(`${program}: ${(error as Error).message}: ${said}`);
  }
  return { port, dispose };
}

function nginx(dir: string, file: string): [string, string[]] {
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  );
  const isStream = file.includes('stream');
  const block = isStream
    ? `stream { include ${dir}/${file}; }`
    : `http { access_log off; ${places.join(' ')} include ${dir}/${file}; }`;
  const head = `pid ${dir}/nginx.pid; error_log stderr; events {}`;
  const main = join(dir, 'main.conf');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(main, `${isStream ? `load_module ${STREAM_MODULE};` : ''} ${user} ${head} ${block}\n`);
  return [NGINX, ['-p', dir, '-c', main, '-e', 'stderr', '-g', 'daemon off; master_process off;']];
}

function haproxy(dir: string, file: string): [string, string[]] {
  return [HAPROXY, ['-db', '-f', join(dir, file)]];
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  while (child.exitCode === null && Date.now() < until) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not start');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
