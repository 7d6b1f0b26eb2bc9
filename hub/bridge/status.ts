/** What the bridge says of itself. */
import type { LinkStatus } from './link/link-port.ts';
import type { RuleStatus } from './rules/inbound-telemetry.ts';

export interface BrokerStatus extends LaneStatus {
  /** Frames of the journal that it has not got, and how long the oldest of them has waited. */
  lagFrames: number;
  lagMs: number;
  /** Readings that it will never take. */
  refused: number;
}

/** A connection, and what only some count, since the hub started. */
export interface LaneStatus extends LinkStatus {
  /** What Home Assistant was told of devices. */
  announced?: number;
  /** Of Sparkplug: DCMD messages, and metrics in them. */
  refusedCommands?: number;
}

export interface BridgeStatus {
  /** Id of this hub on brokers. */
  hub: string;
  brokers: BrokerStatus[];
  rules: RuleStatus[];
  commands: CommandsStatus[];
  /** The hub's own broker, when it has one. */
  embedded?: OwnBrokerStatus;
}

/** Commands from a broker, and what it is told of the ends of commands; since the hub started. */
export interface CommandsStatus {
  broker: string;
  received: number;
  sent: number;
  /** Deliveries of a message that had made its command already. */
  repeated: number;
  refused: number;
  /** Results that were published, and those that wait for the broker. */
  told: number;
  waiting: number;
  lastRefusal?: string;
}

/** What the hub's own broker counts, since it started. */
export interface OwnBrokerStatus {
  /** Clients that are signed in; the hub itself is not counted. */
  clients: number;
  /** Retained messages. */
  retained: number;
  refusedSignIns: number;
  refusedPublishes: number;
}

interface SinkProgress {
  name: string;
  lagFrames: number;
  lagMs: number;
  refused: number;
}

/** The links, each with the progress of its sink; without one when it publishes no readings. */
export function brokerStatuses(links: readonly LaneStatus[], sinks: readonly SinkProgress[]): BrokerStatus[] {
  return links.map((link) => {
    const sink = sinks.find(({ name }) => name === sinkNameOf(link.name) || name === link.name);
    const { lagFrames = 0, lagMs = 0, refused = 0 } = sink ?? {};
    return { ...link, lagFrames, lagMs, refused };
  });
}

/** Name of the cursor and of the metrics. */
export const sinkNameOf = (broker: string) => `mqtt-${broker}`;
