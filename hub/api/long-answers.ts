/** Room for long answers: how many are written at a time, for all operators and for one, and how long a reader may pause. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedError } from '../kit/errors.ts';
import type { Outlet, Writing } from './route.ts';

export interface LongAnswers {
  /**
   * Holds a place from now until the returned stream has ended; so it must be run. Throws `RefusedError`
   * (too-many-answers). A reader who takes nothing for too long makes the stream reject.
   */
  admit(operator: string, stream: Writing): Writing;
}

export interface LongAnswersOptions {
  /** Of all operators; 16. Half of them may be one operator's. Policy: refused with 429. */
  most?: number;
  /** How long a reader may take nothing; 5 minutes. Policy: it is cut off, for others wait for its place. */
  patienceMs?: number;
}

/** Nobody knows when a reader will be done; this is soon enough to be served and too late to be a burden. */
const RETRY_MS = 5_000;

export function createLongAnswers({ most = 16, patienceMs = 300_000 }: LongAnswersOptions = {}): LongAnswers {
  const mostOfOne = Math.ceil(most / 2);
  const places = new Map<string, number>();
  let taken = 0;

  function change(operator: string, by: 1 | -1): void {
    const own = (places.get(operator) ?? 0) + by;
    taken += by;
    if (own === 0) places.delete(operator);
    else places.set(operator, own);
  }

  return {
    admit(operator, stream) {
      const own = places.get(operator) ?? 0;
      if (own >= mostOfOne) throw tooMany(`You are reading as many long answers as one operator may (${own})`);
      if (taken >= most) throw tooMany(`As many long answers are being read as there may be (${taken})`);
      change(operator, 1);
      return async (outlet) => {
        try {
          await stream({ ...outlet, write: (text) => within(patienceMs, outlet, text) });
        } finally {
          change(operator, -1);
        }
      };
    },
  };
}

function tooMany(what: string): RefusedError {
  const advice = 'wait until one has ended, or ask for fewer rows or devices, which needs no place';
  return new RefusedError('too-many-answers', `${what}: ${advice}.`, RETRY_MS);
}

async function within(ms: number, outlet: Outlet, text: string): Promise<void> {
  const done = new AbortController();
  const impatience = sleep(ms, undefined, { signal: done.signal, ref: false }).then(() => {
    throw new Error('the reader takes nothing');
  });
  // Once the text is taken, nobody hears how the waiting was ended.
  impatience.catch(() => {});
  try {
    await Promise.race([outlet.write(text), impatience]);
  } finally {
    done.abort();
  }
}
