/** Says what InfluxDB's answer to a write means: one row for each class, measured on 1.x and read from 2.x and 3. */

export interface HttpAnswer {
  status: number;
  /** The beginning of the body is enough. */
  body: string;
  /** The header Retry-After, as sent. */
  retryAfter?: string | undefined;
}

/**
 * - `done`: everything was taken.
 * - `halve`: something in the batch was refused. The answer names one reason and a wrong count for several, so the
 *   batch is halved until the guilty line stands alone; writing the others again changes nothing.
 * - `stall`: nothing will be taken until an operator acts. `missing`: the database or its retention policy is not there.
 * - `retry`: the same bytes may be taken later.
 */
export type Verdict =
  | { kind: 'done' }
  | { kind: 'halve'; message: string }
  | { kind: 'stall'; message: string; missing: boolean }
  | { kind: 'retry'; message: string; retryAfterMs?: number };

const MISSING = /database not found|retention policy not found|bucket .*not found/i;
const REFUSED = /partial write|field type conflict|unable to parse|points beyond retention/i;
/** A request that did not arrive whole: measured with cut and damaged bodies. It says nothing about the readings. */
const GARBLED = /^(400 Bad Request|unexpected EOF|gzip: |flate: |http: |.*i\/o timeout)/i;
/** The hub's own request is not what the server expects; halving it would condemn every reading. */
const MISUSED = /^(database is required|invalid precision|invalid consistency level)/i;
/**
 * Somebody must make room; measured: 1.x keeps the error of its log's writer until it is restarted, so that it takes
 * nothing even when there is room again.
 */
const DISK_FULL = /no space left on device/i;
const DISK_FULL_ADVICE = 'make room, then restart InfluxDB: 1.x takes nothing before';
const MAX_MESSAGE = 500;
const MAX_RETRY_AFTER_MS = 300_000;

/** `now`: Unix milliseconds, for a Retry-After that is a date. */
export function classify({ status, body, retryAfter }: HttpAnswer, now: number): Verdict {
  if (status >= 200 && status < 300) return { kind: 'done' };
  const words = wordsOf(body);
  const message = words ?? `InfluxDB answered ${status}`;
  const isRefused = REFUSED.test(body);
  // A refusal may quote the line, and with it a text that a device chose: what it quotes must not look like a verdict.
  if (status === 404 || (!isRefused && MISSING.test(body))) return { kind: 'stall', message, missing: true };
  if (status === 413) return { kind: 'halve', message };
  if (status === 500 && isRefused) return { kind: 'halve', message };
  if (status === 400 && !isRefused && GARBLED.test(words ?? body)) return { kind: 'retry', message };
  if (status === 400 && MISUSED.test(message)) return { kind: 'stall', message, missing: false };
  // A proxy, or a TLS port spoken to in plain text, answers 400 as well; its opinion condemns no reading.
  if (status === 400 || status === 422) return words ? { kind: 'halve', message } : stall(status);
  if (status >= 500 && DISK_FULL.test(body))
    return { kind: 'stall', message: `${message} (${DISK_FULL_ADVICE})`, missing: false };
  if (status === 408) return { kind: 'retry', message };
  if (status === 429 || status === 503) return { kind: 'retry', message, ...retryAfterOf(retryAfter, now) };
  if (status >= 500) return { kind: 'retry', message };
  return { kind: 'stall', message, missing: false };
}

function stall(status: number): Verdict {
  return { kind: 'stall', message: `the answer (${status}) does not look like InfluxDB's`, missing: false };
}

/** The server's own words: 1.x and 3 say `error`, 2.x says `message`. */
function wordsOf(body: string): string | undefined {
  try {
    const { error, message } = JSON.parse(body) as { error?: unknown; message?: unknown };
    const words = typeof error === 'string' ? error : message;
    return typeof words === 'string' && words !== '' ? words.slice(0, MAX_MESSAGE) : undefined;
  } catch {
    return REFUSED.test(body) || MISSING.test(body) ? body.trim().slice(0, MAX_MESSAGE) : undefined;
  }
}

function retryAfterOf(header: string | undefined, now: number): { retryAfterMs?: number } {
  if (header === undefined) return {};
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? { retryAfterMs: Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) } : {};
}
