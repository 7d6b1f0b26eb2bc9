/** Finds the running hub and speaks to its operator API: plain requests and the live stream of events. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { Problem } from '../api/problem.ts';
import { UserError } from '../kit/errors.ts';
import { RequestMistake } from './mistakes.ts';
import { type Client, EXIT, type ServerEvent } from './session.ts';

/** The part of <data>/hub.json that a client needs. */
interface HubFile {
  api: string;
  /** The certificate that the API shows, when it speaks TLS. PEM text. */
  apiCertificate?: string;
}

interface Target {
  url: string;
  token: string;
  signal: AbortSignal;
}

/**
 * The hub that `HUB_URL` and `HUB_TOKEN` name, or the one whose data folder this is (`hub.json`, `admin.token`). Throws
 * `UserError` (unreachable) with one sentence when there is none.
 */
export async function connect(dataDir: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Client> {
  const target: Target = {
    signal,
    url: env.HUB_URL ? checkedUrl(env.HUB_URL) : await urlIn(dataDir),
    token: env.HUB_TOKEN === undefined ? await ownToken(dataDir, env.HUB_URL) : given(env.HUB_TOKEN),
  };
  return {
    url: target.url,
    async json<T>(method: string, path: string, body?: unknown) {
      const response = await request(target, path, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return (response.status === 204 ? undefined : await response.json()) as T;
    },
    async *text(path, accept) {
      const response = await request(target, path, { headers: { accept } });
      const what = 'broke in the middle of the answer: what came of it is not whole.';
      yield* unbroken(response.body!.pipeThrough(new TextDecoderStream()), target, what);
    },
    async *events(path) {
      const response = await request(target, path, { headers: { accept: 'text/event-stream' } });
      yield { event: 'open', data: '' };
      yield* unbroken(eventsIn(response.body!), target, 'broke.');
    },
  };
}

async function* unbroken<T>(parts: AsyncIterable<T>, { url, signal }: Target, what: string): AsyncGenerator<T> {
  try {
    yield* parts;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new UserError(`The connection to ${url} ${what}`, EXIT.unreachable);
  }
}

/** A secret that a script forgot to set must not become the admin's token of this machine. */
function given(token: string): string {
  if (token !== '') return token;
  throw new UserError('HUB_TOKEN is empty; set it, or unset it to use the token of the data folder.', EXIT.usage);
}

function checkedUrl(text: string): string {
  if (URL.canParse(text) && /^https?:/.test(text)) return text;
  throw new UserError(`HUB_URL is "${text}"; it must be an address such as http://127.0.0.1:8080.`, EXIT.usage);
}

/** Reads a stream of server-sent events; comments are left out. */
export async function* eventsIn(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  let rest = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
      const data = fields.get('data');
      if (data !== undefined) yield { event: fields.get('event') ?? 'message', data };
    }
  }
}

async function request({ url, token, signal }: Target, path: string, options: RequestInit): Promise<Response> {
  const headers = {
    authorization: `Bearer ${token}`,
    ...(options.body && { 'content-type': 'application/json' }),
    ...options.headers,
  };
  const response = await fetch(new URL(path, url), { ...options, headers, signal }).catch((error: Error) => {
    if (signal.aborted) throw error;
    throw new UserError(whyUnreachable(url, error.cause), EXIT.unreachable);
  });
  if (!response.ok) throw await refusalIn(response);
  return response;
}

/** The error codes of a certificate that is not trusted, or not for this name. */
const CERTIFICATE_ERRORS = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/;

function whyUnreachable(url: string, cause: unknown): string {
  const { code = '', message } = (cause ?? {}) as NodeJS.ErrnoException;
  if (!CERTIFICATE_ERRORS.test(code)) return `The hub at ${url} does not answer. Is it running?`;
  const advice = 'Set HUB_URL to a name that is in its certificate, and NODE_EXTRA_CA_CERTS to a file to trust.';
  return `The certificate of ${url} is not trusted: ${message}. ${advice}`;
}

/** The hub's own words for why it refused; a mistake in the request is one of usage. */
async function refusalIn(response: Response): Promise<UserError> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const { detail = response.statusText, code, errors = [] } = problem;
  if (code === 'invalid') return new RequestMistake(detail, errors);
  return new UserError(detail, EXIT.failed);
}

async function urlIn(dataDir: string): Promise<string> {
  const file = join(dataDir, 'hub.json');
  try {
    const { api, apiCertificate } = JSON.parse(await readFile(file, 'utf8')) as HubFile;
    // Whoever wrote this file is the hub, so what it shows needs no authority.
    if (apiCertificate) setDefaultCACertificates([...getCACertificates('default'), apiCertificate]);
    return api;
  } catch {
    const message = `No hub is running with the data folder ${dataDir}: start one, or name it by --data or HUB_URL.`;
    throw new UserError(message, EXIT.unreachable);
  }
}

/** The token of the data folder is for the hub of that folder, and is not told to another address. */
async function ownToken(dataDir: string, url: string | undefined): Promise<string> {
  if (!url || new URL(url).origin === (await originIn(dataDir))) return tokenIn(dataDir);
  throw new UserError(
    `HUB_URL is not the address of the hub in ${dataDir}, so its admin.token is not sent there: set HUB_TOKEN.`,
    EXIT.usage,
  );
}

async function originIn(dataDir: string): Promise<string | undefined> {
  try {
    return new URL(await urlIn(dataDir)).origin;
  } catch {
    return undefined;
  }
}

async function tokenIn(dataDir: string): Promise<string> {
  const file = join(dataDir, 'admin.token');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new UserError(`There is no operator token in ${file} (${reason}): set HUB_TOKEN.`, EXIT.failed);
  }
}
