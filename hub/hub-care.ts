/** Builds who looks after what a store in a server has taken: the replay after its restart, and the comparison. */
import type { StoreCare } from './api/status.ts';
import type { HubStart } from './hub.ts';
import type { Storage } from './hub-storage.ts';
import type { Job } from './jobs.cron.ts';
import { type Comparison, createComparison } from './telemetry/comparison.ts';
import { nodeFiles } from './telemetry/files.node.ts';
import { createReplay, type Replay } from './telemetry/replay.ts';
import { createReplayMemory } from './telemetry/replay-memory.ts';
import type { Sinks } from './telemetry/sinks.ts';

export interface Care {
  replay: Replay;
  status(): StoreCare;
  /** What is to be done by the clock. */
  jobs: Job[];
}

const HOUR_MS = 3_600_000;
const SETTLE_MS = 120_000;

export function openCare({ config, dataDir, log, stack }: HubStart, storage: Storage, sinks: Sinks): Care {
  const { journal, store, quarantine } = storage;
  const onRefused = quarantine.add;
  const replay = createReplay(
    { journal, store, memory: createReplayMemory(nodeFiles, dataDir), onRestart: sinks.nudge, onRefused, log },
    { batchReadings: config.store.batchReadings, windowMs: config.journal.replayHours * HOUR_MS },
  );
  stack.push('replay', () => replay.close());
  // At once, so that a server which dies young is known to be another one afterwards.
  replay.look().catch((error) => log.error({ err: error }, 'the store could not be looked at'));
  const { countByMinute } = store;
  if (!countByMinute) return { replay, status: () => ({ replay: replay.status() }), jobs: [] };
  const isReplaying = () => replay.status().leftFrames > 0;
  const comparison = createComparison(
    { journal, store: { ...store, countByMinute }, onRefused, isReplaying, log },
    { clockAheadMs: config.limits.clockAheadMs, settleMs: SETTLE_MS },
  );
  const status = () => ({ replay: replay.status(), comparison: comparison.status() });
  return { replay, status, jobs: jobsOf(replay, comparison) };
}

/** For a store that may forget in a restart what it took. */
function jobsOf(replay: Replay, comparison: Comparison): Job[] {
  return [
    { name: 'look for a restarted store', at: '*/5 * * * * *', run: () => replay.look() },
    { name: 'compare journal and store', at: '*/10 * * * *', run: () => comparison.run() },
  ];
}
