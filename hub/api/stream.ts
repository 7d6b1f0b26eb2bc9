/** Streaming answers: what a handler writes, at the pace of whoever reads it. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Answer, Outlet } from './route.ts';

/** Runs a streaming answer; the stream ends with it, and it is told when the reader has gone. */
export function openStream(stream: NonNullable<Answer['stream']>, closing: AbortSignal): PassThrough {
  const through = new PassThrough();
  const gone = new AbortController();
  through.on('close', () => gone.abort());
  const signal = AbortSignal.any([closing, gone.signal]);
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
