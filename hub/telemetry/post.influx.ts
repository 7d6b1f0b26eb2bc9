/** Sends line protocol to InfluxDB over a keep-alive connection, compressed. */
import http from 'node:http';
import https from 'node:https';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Unavailable } from '../kit/errors.ts';
import type { HttpAnswer } from './influx-answer.ts';

export interface PostOptions {
  /** http: or https:, with a path when InfluxDB is behind a proxy. */
  url: string;
  database: string;
  retentionPolicy: string;
  /** InfluxDB 1.x. */
  username?: string;
  password?: string;
  /** InfluxDB 2.x and 3. */
  token?: string;
  /** How long one request may take as a whole. */
  timeoutMs: number;
}

export interface Post {
  /** The server's answer, whatever it is. Throws `Unavailable` when there is none in time. */
  write(lines: string): Promise<HttpAnswer>;
  /** What the server says at another of its addresses, such as `/ping`. Throws `Unavailable` like `write`. */
  get(path: string): Promise<HttpAnswer>;
  /** Ends what is in flight. */
  close(): void;
}

/** Sockets to the server: the sink and the replay each write one batch at a time, and somebody may ask how it is. */
const MAX_SOCKETS = 3;
/** Of an answer only so much is kept: it is for its words, or for one number among its metrics. */
const MAX_ANSWER = 262_144;
/** Level 1 makes line protocol ten times smaller for 0.3 µs a reading, on a thread of the pool. */
const GZIP = { level: 1 };
const compress = promisify<string, { level: number }, Buffer>(gzip);

export function createPost(options: PostOptions): Post {
  const url = new URL(options.url);
  const { request, Agent } = url.protocol === 'https:' ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const base = url.pathname.replace(/\/$/, '');
  const target = new URLSearchParams({ db: options.database, rp: options.retentionPolicy, precision: 'u' });
  const headers = { 'user-agent': 'telemetry-hub', ...authorization(options) };
  const discreet = withoutSecrets(options);
  const closing = new AbortController();

  function send(method: string, path: string, body?: Buffer): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(options.timeoutMs)]);
    const encoding = body && { 'content-encoding': 'gzip', 'content-length': body.length };
    const outgoing = request(
      new URL(base + path, url.origin),
      { method, agent, signal, headers: { ...headers, ...encoding } },
      (response) => readAnswer(response).then((answer) => resolve({ ...answer, body: discreet(answer.body) }), reject),
    );
    outgoing.on('error', reject).end(body);
    return promise.catch((cause: Error) => {
      const late = signal.reason?.name === 'TimeoutError';
      const reason = late ? `gave no answer within ${options.timeoutMs} ms` : `does not answer: ${cause.message}`;
      throw new Unavailable(`InfluxDB at ${url.origin} ${reason}`, { cause });
    });
  }

  return {
    write: async (lines) => send('POST', `/write?${target}`, await compress(lines, GZIP)),
    get: (path) => send('GET', path),
    close() {
      closing.abort();
      agent.destroy();
    },
  };
}

/** What identifies the hub: a token for 2.x and 3, otherwise name and password for 1.x, otherwise nothing. */
export function authorization({ token, username, password = '' }: Partial<PostOptions>): Record<string, string> {
  if (token !== undefined) return { authorization: `Token ${token}` };
  if (username === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

/**
 * Takes the hub's credentials out of what a server says: it is logged and shown, and some servers and proxies repeat what
 * they were sent.
 */
export function withoutSecrets(options: Partial<PostOptions>): (words: string) => string {
  const header = authorization(options).authorization?.split(' ')[1];
  const secrets = [header, options.token, options.password].filter((secret) => secret !== undefined && secret !== '');
  return (words) => (secrets as string[]).reduce((text, secret) => text.replaceAll(secret, '***'), words);
}

async function readAnswer(response: http.IncomingMessage): Promise<HttpAnswer> {
  let body = '';
  response.setEncoding('utf8');
  for await (const chunk of response) if (body.length < MAX_ANSWER) body += chunk;
  return { status: response.statusCode!, body, retryAfter: response.headers['retry-after'] };
}
