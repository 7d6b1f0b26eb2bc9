/** Port: where the readings of a simulated device come from, be it a signal at a pace or a recording. */
import type { Reading } from './device.ts';

/** Where the readings go. */
export interface Outlet {
  send(readings: Reading[]): void;
  /** Readings that can be sent now without any being dropped. */
  readonly room: number;
}

export interface Feed {
  start(outlet: Outlet): void;
  /** Ends it for good; nothing is sent afterwards. Idempotent. */
  stop(): void;
  /** Nothing more will come. */
  readonly finished: boolean;
  /** There is room again. */
  wake?(): void;
  /** Sets the time between two readings; absent when the source decides. */
  setIntervalMs?(intervalMs: number): void;
  /** Takes a reading at once and returns its time (Unix ms); undefined when it has ended. Absent when the source decides. */
  readNow?(): number | undefined;
}
