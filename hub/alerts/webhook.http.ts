/** Sends notices to a web address as JSON by POST. */
import { Unavailable } from '../kit/errors.ts';
import type { Notice } from './alert.ts';
import { type Channel, NeverTaken } from './channel.ts';

export interface WebhookOptions {
  name: string;
  /** May hold a secret; it is in no message. */
  url: string;
  /** Sent as `Authorization: Bearer`. */
  token?: string;
  timeoutMs: number;
}

/** Answers to a notice that say that it is wrong itself; any other refusal may be mended by somebody. */
const NEVER = new Set([400, 413, 415, 422]);

/** The answer's body is not read; a redirection is not followed, for it would take the token elsewhere. */
export function createWebhook({ name, url, token, timeoutMs }: WebhookOptions): Channel {
  async function ask(notice: Notice): Promise<Response> {
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': notice.notice,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await fetch(url, { method: 'POST', redirect: 'manual', headers, body: JSON.stringify(notice), signal });
    } catch (cause) {
      throw new Unavailable(signal.aborted ? `no answer within ${timeoutMs} ms` : `no answer: ${reasonOf(cause)}`);
    }
  }

  return {
    name,
    kind: 'webhook',
    async send(notice) {
      const response = await ask(notice);
      await response.body?.cancel();
      if (response.ok) return;
      if (NEVER.has(response.status)) throw new NeverTaken(`it answered ${response.status}`);
      const retryAfterMs = Number(response.headers.get('retry-after') ?? Number.NaN) * 1_000;
      throw new Unavailable(
        `it answered ${response.status}`,
        Number.isFinite(retryAfterMs) && retryAfterMs > 0 ? { retryAfterMs } : {},
      );
    },
  };
}

/** Why a request was not even tried, in the words of the runtime. */
const UNTRIED: Record<string, string> = {
  'bad port': 'its port is one that no web client asks (bad port); take another',
};

/** The code of the machine, or a few plain words of it: neither holds an address or a token. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  if (cause?.code !== undefined) return cause.code;
  const message = cause?.message ?? '';
  if (/^[A-Za-z ]+$/.test(message)) return UNTRIED[message] ?? message;
  return 'the request cannot be made; is there something odd in its address or its token';
}
