/** Moments on the page: how long ago, counting on; the exact local time and UTC on hover. */
import { signal } from '@preact/signals';
import { clockTime, distance, localTime, utcTime } from './format.ts';

/** The present, Unix milliseconds, once a second while the page is looked at. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);

/** How long ago that was, or how soon it will be. */
export function Ago({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={`${localTime(at)}\n${utcTime(at)}`}>
      {distance(at, now.value)}
    </time>
  );
}

/** The moment itself. */
export function Moment({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={utcTime(at)}>
      {localTime(at)}
    </time>
  );
}

/** The time of the day. */
export function Clock({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={`${localTime(at)}\n${utcTime(at)}`}>
      {clockTime(at)}
    </time>
  );
}
