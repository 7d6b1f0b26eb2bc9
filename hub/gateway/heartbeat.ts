/** Asks connections for a sign of life, and ends those that give none or whose certificate has expired. */
import type { Session } from './session.ts';

/** Connections are pinged in so many groups, one after the other, so that a heartbeat is no burst. */
export const HEARTBEAT_GROUPS = 32;

interface Pinged {
  /** From 0 on, below `HEARTBEAT_GROUPS`. */
  readonly heartbeatGroup: number;
  /** When its certificate expires, Unix milliseconds. */
  readonly endsAt: number;
  /** False when the last pings went unanswered. */
  ping(): boolean;
}

/** Each connection of `links` is pinged once in `heartbeatMs`. Returns the function that stops it. */
export function startHeartbeat(links: ReadonlyMap<Pinged, Pick<Session, 'close'>>, heartbeatMs: number): () => void {
  let tick = 0;
  const timer = setInterval(() => {
    tick = (tick + 1) % HEARTBEAT_GROUPS;
    const now = Date.now();
    for (const [connection, session] of links) {
      if (now >= connection.endsAt) session.close('certificate-invalid', 'it has expired');
      if (connection.heartbeatGroup !== tick) continue;
      if (!connection.ping()) session.close('silent', 'two pings went unanswered');
    }
  }, heartbeatMs / HEARTBEAT_GROUPS);
  return () => clearInterval(timer);
}
