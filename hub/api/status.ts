/** What the hub says of itself, in the words of the people who run it. */
import type { AuditStatus } from '../audit/audit.ts';
import type { LinkState } from '../bridge/link/link-port.ts';
import type { ComparisonStatus } from '../telemetry/comparison.ts';
import type { JournalStatus } from '../telemetry/journal.ts';
import type { QuarantineStatus } from '../telemetry/quarantine-room.ts';
import type { ReplayStatus } from '../telemetry/replay.ts';
import type { SinkState } from '../telemetry/sinks.ts';

/** How one sink follows the journal. */
export interface SinkStatus {
  name: string;
  state: SinkState;
  /** Readings it took, and readings it will never take, since the hub started. */
  written: number;
  refused: number;
  /** Frames it has not read, and how long the oldest of them has waited. */
  lagFrames: number;
  lagMs: number;
  lastError?: string;
}

/** What became of what the store had taken. */
export interface StoreCare {
  replay: ReplayStatus;
  /** Only with a store that may forget in a restart what it took: InfluxDB. */
  comparison?: ComparisonStatus;
}

export interface HubStatus {
  version: string;
  /** Name of this node. */
  node: string;
  /** Where devices connect: the public address when there is one, else as this machine sees it. */
  gatewayUrl?: string;
  /** Unix milliseconds. */
  startedAt: number;
  uptimeMs: number;
  /** Whether the hub can do all of its work: take readings from devices, and record what operators change. */
  ready: boolean;
  /** Why not, in plain words; empty when it is ready. */
  reasons: string[];
  /** All that are known; connected and heard; connected and quiet for too long; not connected. */
  devices: { known: number; online: number; silent: number; offline: number };
  /** Since the hub started; `perSecond` is the accepted rate of the last seconds. */
  readings: { accepted: number; rejected: number; perSecond: number };
  /** Frames that arrived, those that were known already, and the numbers that devices left out. */
  frames: { received: number; duplicate: number; skipped: number };
  journal: JournalStatus;
  sinks: SinkStatus[];
  /** The MQTT brokers, each with why it is not connected. */
  brokers: { name: string; state: LinkState; since: number; lastError?: string }[];
  quarantine: QuarantineStatus;
  store: StoreCare;
  audit: AuditStatus;
}
