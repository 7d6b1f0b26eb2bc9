/** Puts together what the hub says of itself, from the parts that know it. */
import type { HubStatus, SinkStatus, StoreCare } from './api/status.ts';
import type { Audit } from './audit/audit.ts';
import type { BridgeStatus, BrokerStatus } from './bridge/status.ts';
import type { PresenceState } from './devices/presence.ts';
import type { GatewayCounts } from './gateway/road.ts';
import type { Journal } from './telemetry/journal.ts';
import type { Quarantine } from './telemetry/quarantine.ts';
import type { Sinks } from './telemetry/sinks.ts';

export interface StatusDeps {
  version: string;
  node: string;
  counts: GatewayCounts;
  /** Devices by their presence. */
  presence(): Record<PresenceState, number>;
  journal: Pick<Journal, 'status'>;
  sinks: Pick<Sinks, 'status'>;
  quarantine: Pick<Quarantine, 'status'>;
  store(): StoreCare;
  audit: Pick<Audit, 'status'>;
  bridge(sinks: readonly SinkStatus[]): BridgeStatus;
  /** Why the hub is not ready; empty when it is. */
  notReady(): string[];
  /** What else is to be looked at once a second. */
  onSecond(): void;
}

export interface StatusReporter {
  status(): Promise<HubStatus>;
  /** Each sink with its lag behind the journal. */
  sinks(): SinkStatus[];
  /** The bridge with each broker and rule. */
  bridge(): BridgeStatus;
  /** Remembers where devices connect, once that is known. */
  tellGateway(url: string): void;
  close(): void;
}

const SAMPLE_MS = 1_000;
const SAMPLES = 5;

export function createStatusReporter(deps: StatusDeps): StatusReporter {
  const { counts, journal } = deps;
  const startedAt = Date.now();
  let gatewayUrl: string | undefined;
  /** Accepted readings at the last few seconds, oldest first; their difference is the rate. */
  const samples = [{ at: performance.now(), accepted: 0 }];
  const timer = setInterval(() => {
    samples.push({ at: performance.now(), accepted: counts.accepted });
    if (samples.length > SAMPLES) samples.shift();
    deps.onSecond();
  }, SAMPLE_MS);

  function perSecond(): number {
    const first = samples[0]!;
    const seconds = (performance.now() - first.at) / 1000;
    return seconds > 0 ? Math.round((counts.accepted - first.accepted) / seconds) : 0;
  }

  function sinks(): SinkStatus[] {
    const { cursors } = journal.status(Date.now());
    return deps.sinks.status().map((sink) => {
      const { lagFrames, lagMs } = cursors[sink.name] ?? { lagFrames: 0, lagMs: 0 };
      return { ...sink, lagFrames, lagMs };
    });
  }

  return {
    async status() {
      const now = Date.now();
      const { online, silent, offline } = deps.presence();
      const reasons = deps.notReady();
      return {
        version: deps.version,
        node: deps.node,
        ...(gatewayUrl !== undefined && { gatewayUrl }),
        startedAt,
        uptimeMs: now - startedAt,
        ready: reasons.length === 0,
        reasons,
        devices: { known: online + silent + offline, online, silent, offline },
        readings: {
          accepted: counts.accepted,
          rejected: counts.rejected,
          perSecond: perSecond(),
        },
        frames: { received: counts.frames, duplicate: counts.duplicates, skipped: counts.gaps },
        journal: journal.status(now),
        sinks: sinks(),
        brokers: deps.bridge(sinks()).brokers.map(briefly),
        quarantine: deps.quarantine.status(),
        store: deps.store(),
        audit: deps.audit.status(),
      };
    },
    sinks,
    bridge: () => deps.bridge(sinks()),
    tellGateway: (url) => {
      gatewayUrl = url;
    },
    close: () => clearInterval(timer),
  };
}

function briefly({ name, state, since, lastError }: BrokerStatus): HubStatus['brokers'][number] {
  return { name, state, since, ...(lastError !== undefined && { lastError }) };
}
