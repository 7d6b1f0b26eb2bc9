/** What all sessions of a hub share: their limits, what they count, and where their frames go. */
import type { Check } from '../../schemas/index.ts';
import type { Commands } from '../commands/commands.ts';
import type { Ingest } from '../telemetry/ingest.ts';
import type { NotTaken } from '../telemetry/journal.ts';
import type { Quarantine } from '../telemetry/quarantine.ts';
import type { Frame } from '../telemetry/reading.ts';
import type { Rates } from './rate.ts';
import type { Sequence } from './sequence.ts';

export interface SessionLimits extends Rates {
  frameBytes: number;
  readingsPerFrame: number;
  window: number;
  backlogBytes: number;
}

/** Plain numbers that the metrics read. */
export interface GatewayCounts {
  frames: number;
  /** Readings that were taken, and readings that were refused for good. */
  accepted: number;
  rejected: number;
  duplicates: number;
  /** Frame numbers that a device skipped. */
  gaps: number;
  flows: number;
  errors: number;
}

export function createGatewayCounts(): GatewayCounts {
  return { frames: 0, accepted: 0, rejected: 0, duplicates: 0, gaps: 0, flows: 0, errors: 0 };
}

export interface Road {
  limits: SessionLimits;
  heartbeatMs: number;
  checks: Record<'hello' | 'telemetry' | 'progress' | 'result', Check>;
  ingest: Ingest;
  quarantine: Pick<Quarantine, 'admits' | 'drop'>;
  counts: GatewayCounts;
  commands: Pick<Commands, 'opened' | 'closed' | 'progress' | 'result'>;
  /** A clock that nobody puts back, in milliseconds: for waits. */
  monotonicMs(): number;
  /** The hub is stopping: nothing more is taken. */
  draining: boolean;
  /** Hands a frame to the journal; undefined when it was taken, else why not. `asSent`: as in the journal. */
  append(frame: Frame, asSent?: string): NotTaken | undefined;
  /** The sequence of an epoch, continued from what the hub holds durably; `ack` is what the device shall hear. */
  sequence(device: string, epoch: string, ack: 'journaled' | 'stored'): Sequence;
}
