/** Asks the hub: requests with the session's cookie, CSRF header on changes, and errors in the hub's own words. */

/** What is wrong with one member of a request. */
export interface Mistake {
  in: string;
  /** JSON pointer. */
  path: string;
  message: string;
}

/** The hub refused; `message` is its sentence for people, `code` its stable word. */
export class HubRefusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly mistakes: Mistake[];
  constructor(status: number, code: string, detail: string, mistakes: Mistake[] = []) {
    super(detail);
    this.name = 'HubRefusal';
    this.status = status;
    this.code = code;
    this.mistakes = mistakes;
  }
}

/** Nobody answered: the hub is stopped, or the network is away. */
export class HubAway extends Error {
  constructor() {
    super('The hub does not answer.');
    this.name = 'HubAway';
  }
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Requests that have no answer yet. */
const underWay = new Set<Promise<unknown>>();
let csrf = '';
let onSessionEnd = () => {};

/** How far the hub's clock is ahead of this browser's; what its answers say is whole seconds, so less is nothing. */
let aheadMs = 0;
const CLOCK_GRAIN_MS = 2_000;

/** The present by the hub's clock, Unix milliseconds. */
export const hubNow = (): number => Date.now() + aheadMs;

function noteClock(date: string | null): void {
  const ahead = date === null ? 0 : Date.parse(date) - Date.now();
  aheadMs = Math.abs(ahead) > CLOCK_GRAIN_MS ? ahead : 0;
}

/** The token that changes must carry; it comes with the session. */
export function useCsrf(token: string): void {
  csrf = token;
}

/** Called when the hub no longer knows the session. */
export function whenSessionEnds(listener: () => void): void {
  onSessionEnd = listener;
}

/** Resolves when what was asked is answered, or after `withinMs`. */
export async function untilAnswered(withinMs: number): Promise<void> {
  const patience = new Promise((resolve) => setTimeout(resolve, withinMs));
  await Promise.race([Promise.allSettled(underWay), patience]);
}

/** A path with a query; members that are undefined or empty are left out. */
export function withQuery(path: string, query: Record<string, string | number | undefined>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text === '' ? path : `${path}?${text}`;
}

/** A path whose parameters are escaped: path`/v1/devices/${id}`. */
export function path(texts: TemplateStringsArray, ...values: string[]): string {
  return texts.reduce((whole, text, index) => whole + encodeURIComponent(values[index - 1] ?? '') + text);
}

export interface CallOptions {
  signal?: AbortSignal;
  /** A change that may be sent twice is done once. */
  idempotencyKey?: string;
}

/** The JSON that the hub answers; undefined when it has no body. Throws `HubRefusal`, `HubAway`. */
export async function call<T>(method: Method, url: string, body?: unknown, options: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['x-csrf-token'] = csrf;
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (options.idempotencyKey !== undefined) headers['idempotency-key'] = options.idempotencyKey;
  const asked = fetch(url, {
    method,
    headers,
    credentials: 'same-origin',
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(options.signal && { signal: options.signal }),
  }).finally(() => underWay.delete(asked));
  underWay.add(asked);
  const response = await asked.catch((error: unknown) => {
    throw options.signal?.aborted ? error : new HubAway();
  });
  noteClock(response.headers.get('date'));
  if (!response.ok) throw await refusalOf(response, url);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function refusalOf(response: Response, url: string): Promise<Error> {
  const problem = await response.json().catch(() => undefined);
  // A proxy before the hub answers for it, in words of its own.
  if (problem === undefined && response.status >= 502) return new HubAway();
  const { code = 'unknown', detail = `The hub answered ${response.status}.`, errors } = problem ?? {};
  if (response.status === 401 && !url.startsWith('/v1/session')) onSessionEnd();
  return new HubRefusal(response.status, code, detail, errors);
}

export const get = <T>(url: string, options?: CallOptions) => call<T>('GET', url, undefined, options);
export const post = <T>(url: string, body?: unknown, options?: CallOptions) => call<T>('POST', url, body, options);
export const patch = <T>(url: string, body: unknown) => call<T>('PATCH', url, body);
export const remove = (url: string) => call<void>('DELETE', url);
