/** Repeated requests: the same Idempotency-Key gets the first answer again, and what was asked is done once. */
import { hash } from 'node:crypto';
import { RefusedError } from '../kit/errors.ts';
import type { Answer, Call, Route, Schema } from './route.ts';

export const IDEMPOTENCY_HEADER = 'idempotency-key';

export const IDEMPOTENCY_KEY: Schema = {
  type: 'string',
  pattern: '^[!-~]{1,128}$',
  description:
    'Makes a retry safe: the same key from the same operator gets the first answer again (a command as it is by then), for 24 hours or until the hub restarts. Another request with the key is refused with `key-reused`. Refusals are not remembered.',
  examples: ['7f9c2ba4-e88f-4a3b-9a57-1d3f0c5b2f11'],
};

/** Whether a route makes something, so that doing it twice would matter. */
export function isRepeatable({ method, answers }: Route): boolean {
  return method === 'POST' && (201 in answers || 202 in answers);
}

export interface Repeats {
  /**
   * The route's answer, made now or by an earlier request; one that is under way is waited for, and its refusal shared.
   * `path`: as requested, without the query, for how long somebody waits changes nothing. Throws what the route throws,
   * and `RefusedError` (key-reused).
   */
  once(route: Route, path: string, call: Call): Promise<{ answer: Answer; repeated: boolean }>;
}

export interface RepeatsOptions {
  /** 24 hours. */
  keptMs?: number;
  /** Characters of all answers together; 16 Mi. Policy: the oldest are forgotten. */
  limitChars?: number;
  now?(): number;
}

interface Kept {
  digest: string;
  answer: Answer;
  chars: number;
  until: number;
}

/** An answer costs memory beside its body. */
const BASE_CHARS = 500;

/** Answers live in memory alone, for some carry a token. */
export function createRepeats({
  keptMs = 86_400_000,
  limitChars = 16 * 1024 * 1024,
  now = Date.now,
}: RepeatsOptions = {}): Repeats {
  const kept = new Map<string, Kept>();
  const underWay = new Map<string, { digest: string; answer: Promise<Answer> }>();
  let chars = 0;

  function forget(name: string, { chars: size }: Kept): void {
    kept.delete(name);
    chars -= size;
  }

  /** The oldest are the first of the map. */
  function forgetOld(): void {
    const at = now();
    for (const [name, entry] of kept) {
      if (entry.until > at && chars <= limitChars) return;
      forget(name, entry);
    }
  }

  function keep(name: string, digest: string, answer: Answer): void {
    const size = BASE_CHARS + (JSON.stringify(answer.body)?.length ?? 0);
    kept.set(name, { digest, answer, chars: size, until: now() + keptMs });
    chars += size;
    forgetOld();
  }

  return {
    async once(route, path, call) {
      const { idempotencyKey: key, operator, body } = call;
      if (key === undefined || !isRepeatable(route)) return { answer: await route.handle(call), repeated: false };
      forgetOld();
      const name = JSON.stringify([operator?.name, key]);
      const digest = hash('sha256', JSON.stringify([route.method, path, body ?? null]), 'base64');
      const earlier = kept.get(name) ?? underWay.get(name);
      if (earlier) {
        if (earlier.digest !== digest) throw keyReused(key);
        return { answer: await earlier.answer, repeated: true };
      }
      const answer = Promise.resolve(call).then(route.handle);
      underWay.set(name, { digest, answer });
      try {
        keep(name, digest, await answer);
      } finally {
        underWay.delete(name);
      }
      return { answer: await answer, repeated: false };
    },
  };
}

/** The refusal of a key that stands for something else already. */
export function keyReused(key: string): RefusedError {
  return new RefusedError('key-reused', `The Idempotency-Key "${key}" belongs to another request; take a new one.`);
}

/** An id that the key decides, so that a retry after a restart finds what the first one made. */
export function idOfKey(operator: string, key: string): string {
  return `k-${digestOf(operator, key).slice(0, 40)}`;
}

/** As `idOfKey`, for the end of a longer id: 30 letters and digits. */
export function wordOfKey(operator: string, key: string): string {
  return digestOf(operator, key).slice(0, 30);
}

function digestOf(operator: string, key: string): string {
  return hash('sha256', JSON.stringify([operator, key]), 'hex');
}
