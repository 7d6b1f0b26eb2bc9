/** How the simulator finds a running hub and makes its devices there: the hub's data folder and its operator API. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readIfThere, SimulatorError, type TokenFile } from './tokens.file.ts';

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

export interface Enrolment {
  api: string | undefined;
  operatorToken: string | undefined;
  /** Whether the API is surely that of the hub the devices connect to, so that what it does not know is gone. */
  isTheirs: boolean;
  onProgress(done: number, of: number): void;
  /** Told of what was not as the tokens said. */
  onNotice(text: string): void;
}

const AT_A_TIME = 16;
const PATIENCE_MS = 30_000;
/** A hub that is away does not keep devices from starting. */
const LOOK_MS = 5_000;
const PAGE = 500;

/**
 * Makes the devices whose token is not known, or that the hub does not know any more, and keeps their tokens. Throws
 * `SimulatorError` when that cannot be done; what was made until then is kept.
 */
export async function enrol(ids: readonly string[], tokens: TokenFile, enrolment: Enrolment): Promise<void> {
  await forgetTheRemoved(ids, tokens, enrolment);
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

/** A token of a device that was removed opens nothing, ever: the device is made again, under its name. */
async function forgetTheRemoved(ids: readonly string[], tokens: TokenFile, enrolment: Enrolment): Promise<void> {
  const { api, operatorToken, isTheirs, onNotice } = enrolment;
  const known = ids.filter((id) => tokens.get(id) !== undefined);
  if (!isTheirs || known.length === 0 || api === undefined || operatorToken === undefined) return;
  const there = await keysOfDevices(api, operatorToken, commonStart(known));
  if (!there) return;
  const removed = known.filter((id) => !there.has(id));
  for (const id of removed) tokens.delete(id);
  if (removed.length > 0) onNotice(`the hub does not know ${listed(removed)} any more; made again, with another token`);
  const dead = known.filter((id) => there.has(id) && !there.get(id)?.includes(keyOf(tokens.get(id)!)));
  if (dead.length > 0)
    onNotice(
      `the kept token of ${listed(dead)} was revoked or has expired: remove the device\n` +
        `(npm run --silent hub -- devices rm ${dead[0]}) and start again, and it is made anew.`,
    );
}

/** The public parts of the tokens of each device; undefined when the hub does not tell. */
async function keysOfDevices(api: string, operatorToken: string, prefix: string) {
  const keys = new Map<string, string[]>();
  let cursor: string | undefined = '';
  while (cursor !== undefined) {
    const query: string = `${new URLSearchParams({ prefix, cursor, limit: String(PAGE) })}`;
    const headers = { authorization: `Bearer ${operatorToken}` };
    const options = { headers, signal: AbortSignal.timeout(LOOK_MS) };
    const response = await fetch(`${api}/v1/devices?${query}`, options).catch(() => undefined);
    if (!response?.ok) return undefined;
    const page = (await response.json()) as { devices: { id: string; tokens: { keyId: string }[] }[]; next?: string };
    for (const { id, tokens } of page.devices)
      keys.set(
        id,
        tokens.map(({ keyId }) => keyId),
      );
    cursor = page.next;
  }
  return keys;
}

/** `thd_KEY_SECRET` */
const keyOf = (token: string) => token.split('_')[1] ?? '';

function commonStart(ids: readonly string[]): string {
  return ids.reduce((start, id) => {
    let length = 0;
    while (length < start.length && start[length] === id[length]) length += 1;
    return start.slice(0, length);
  });
}

const listed = (ids: readonly string[]) => (ids.length > 3 ? `${ids[0]} and ${ids.length - 1} others` : ids.join(', '));

async function makeDevice(api: string, operatorToken: string, id: string): Promise<string> {
  const response = await fetch(`${api}/v1/devices`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ id, tags: { simulated: 'true' } }),
    signal: AbortSignal.timeout(PATIENCE_MS),
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
