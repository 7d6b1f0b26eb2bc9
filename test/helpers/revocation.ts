/** The guarantee I8, for machines that are busy with other things. */

const GONE_MS = 1_000;
/** How long the hub takes for a request tells how busy the machine is. */
const BUSY = 4;

/** A dead token has no socket after so many milliseconds, when a request took `requestMs` at that time. */
export const goneWithinMs = (requestMs: number): number => GONE_MS + BUSY * requestMs;
