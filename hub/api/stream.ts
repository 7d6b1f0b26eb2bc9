/** Streaming answers: what a handler writes, at the pace of whoever reads it. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Pass } from './passes.ts';
import type { Outlet, Writing } from './route.ts';

/** What was written already may still be read for so long once the pass has ended. */
const LAST_WORDS_MS = 1_000;

/**
 * Runs a streaming answer; the stream ends with it, and it is told when the reader has gone, the server closes or the pass
 * has ended. A reader who does not read is cut off then.
 */
export function openStream(stream: Writing, closing: AbortSignal, pass: Pass): PassThrough {
  const through = new PassThrough();
  const gone = new AbortController();
  through.on('close', () => {
    gone.abort();
    pass.giveBack();
  });
  pass.signal.addEventListener('abort', () => setTimeout(() => through.destroy(), LAST_WORDS_MS).unref());
  const signal = AbortSignal.any([closing, gone.signal, pass.signal]);
  const outlet: Outlet = {
    signal,
    async write(text) {
      if (signal.aborted) throw new Error('the reader has gone');
      if (!through.write(text)) await once(through, 'drain', { signal });
    },
  };
  stream(outlet).then(
    () => through.end(),
    (error) => through.destroy(error),
  );
  return through;
}
