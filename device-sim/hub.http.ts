/** How the simulator finds a running hub and makes its devices there: the hub's data folder and its operator API. */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Something the person at the keyboard can put right; printed without a stack trace. */
export class SimulatorError extends Error {}

/** What the data folder of a hub on this machine tells. All absent when there is none. */
export interface LocalHub {
  api?: string;
  gateway?: string;
  /** PEM. */
  ca?: string;
  operatorToken?: string;
}

/** Reads `hub.json`, `tls/cert.pem` and `admin.token` of a hub's data folder, as far as they exist. */
export async function findLocalHub(dataDir: string): Promise<LocalHub> {
  const [running, ca, operatorToken] = await Promise.all([
    readIfThere(join(dataDir, 'hub.json')),
    readIfThere(join(dataDir, 'tls/cert.pem')),
    readIfThere(join(dataDir, 'admin.token')),
  ]);
  const hub: LocalHub = {};
  if (running !== undefined) {
    const { api, gateway } = JSON.parse(running);
    Object.assign(hub, { api, gateway });
  }
  if (ca !== undefined) hub.ca = ca;
  if (operatorToken !== undefined) hub.operatorToken = operatorToken.trim();
  return hub;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SimulatorError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/** Tokens by device id, kept in a file that only its owner can read. */
export class TokenFile {
  readonly #file: string;
  readonly #tokens: Map<string, string>;
  #saving: Promise<void> = Promise.resolve();

  private constructor(file: string, tokens: Map<string, string>) {
    this.#file = file;
    this.#tokens = tokens;
  }

  static async open(file: string): Promise<TokenFile> {
    const text = await readIfThere(file);
    try {
      return new TokenFile(file, new Map(Object.entries(JSON.parse(text ?? '{}'))));
    } catch {
      throw new SimulatorError(`${file} is not a JSON object of tokens by device id`);
    }
  }

  get(id: string): string | undefined {
    return this.#tokens.get(id);
  }

  set(id: string, token: string): void {
    this.#tokens.set(id, token);
  }

  /** Resolves when the file holds all tokens. A crash leaves the old file or the new one. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      await mkdir(dirname(this.#file), { recursive: true });
      const next = `${this.#file}.new`;
      await writeFile(next, `${JSON.stringify(Object.fromEntries(this.#tokens), null, 1)}\n`, { mode: 0o600 });
      await chmod(next, 0o600);
      await rename(next, this.#file);
    });
    return this.#saving;
  }
}

export interface Enrolment {
  api: string | undefined;
  operatorToken: string | undefined;
  onProgress(done: number, of: number): void;
}

const AT_A_TIME = 16;

/**
 * Makes the devices whose token is not known, and keeps their tokens. Throws `SimulatorError` when that cannot be done;
 * what was made until then is kept.
 */
export async function enrol(ids: readonly string[], tokens: TokenFile, enrolment: Enrolment): Promise<void> {
  const missing = ids.filter((id) => tokens.get(id) === undefined);
  if (missing.length === 0) return;
  const { api, operatorToken, onProgress } = enrolment;
  if (api === undefined || operatorToken === undefined) {
    throw new SimulatorError(
      `the token of ${missing[0]} is not known, and devices cannot be made without ${api ? 'an operator token' : 'the address of the operator API'}.\n` +
        'Start the hub and name its data folder (--data DIR), or give --api URL and --api-token-file FILE, or --tokens FILE.',
    );
  }
  const waiting = missing.values();
  let done = 0;
  const worker = async () => {
    for (const id of waiting) {
      tokens.set(id, await makeDevice(api, operatorToken, id));
      onProgress(++done, missing.length);
    }
  };
  const results = await Promise.allSettled(Array.from({ length: AT_A_TIME }, worker));
  await tokens.save();
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function makeDevice(api: string, operatorToken: string, id: string): Promise<string> {
  const response = await fetch(`${api}/v1/devices`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ id, tags: { simulated: 'true' } }),
    signal: AbortSignal.timeout(30_000),
  }).catch((error: Error) => {
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    throw new SimulatorError(`the operator API at ${api} does not answer: ${cause}`);
  });
  const body = (await response.json().catch(() => ({}))) as { token?: string; title?: string; detail?: string };
  if (response.status === 201 && body.token !== undefined) return body.token;
  if (response.status === 429) {
    await sleep(1000 * Number(response.headers.get('retry-after') ?? 1));
    return makeDevice(api, operatorToken, id);
  }
  if (response.status === 409) {
    throw new SimulatorError(
      `${id} exists already, and its token is not known here (a hub shows a token only once).\n` +
        `Remove it (npm run --silent hub -- devices rm ${id}), or name other devices (--prefix).`,
    );
  }
  throw new SimulatorError(`${id} was not made: HTTP ${response.status} ${body.detail ?? body.title ?? ''}`);
}
