/** How long a test waits for what must come, milliseconds: far longer than a busy machine needs, shorter than a test's own limit. */
export const PATIENCE_MS = 60_000;
