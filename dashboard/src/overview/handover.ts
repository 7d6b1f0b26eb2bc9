/** When a device that speaks of something else is shown by that: the newest reading decides, but two streams do not take turns. */

/** So long a stream keeps its place after its last reading. */
const KEEPS_MS = 30_000;

/** Whether a line (oldest first) gives its place to a reading of another stream that was taken at `ts`, Unix milliseconds. */
export function isOver(line: readonly { ts: number }[], ts: number): boolean {
  const last = line.at(-1);
  return last === undefined || ts - last.ts > KEEPS_MS;
}
