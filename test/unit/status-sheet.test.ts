/** What `hub status` says of the sinks: the words of the dashboard. */
import pc from 'picocolors';
import { expect, it } from 'vitest';
import { sinkWords } from '../../dashboard/src/hub/status.ts';
import type { HubStatus, SinkStatus } from '../../hub/api/status.ts';
import { statusSheet } from '../../hub/cli/status-sheet.ts';

const SINK: SinkStatus = { name: 'store', state: 'waiting', written: 5, refused: 0, lagFrames: 0, lagMs: 0 };

const sheetOf = (sink: SinkStatus): string => {
  const status = {
    ...{ version: '1', node: 'n', startedAt: 0, uptimeMs: 1, ready: true, reasons: [] },
    devices: { known: 0, online: 0, silent: 0, offline: 0 },
    readings: { accepted: 0, rejected: 0, perSecond: 0 },
    frames: { received: 0, duplicate: 0, skipped: 0 },
    journal: { bytes: 1, limitBytes: 2, failing: false, damage: [], space: { alarm: 0 } },
    quarantine: { readings: 0, limitReadings: 1, alarm: 0, dropped: 0 },
    store: { replay: { leftFrames: 0, replayed: 0, restarts: 0 } },
    ...{ sinks: [sink], brokers: [] },
  };
  return statusSheet(status as unknown as HubStatus, pc.createColors(false));
};

it.each<[Partial<SinkStatus>, string]>([
  [{}, 'up to date'],
  [{ state: 'ok', lagFrames: 3, lagMs: 40 }, 'up to date'],
  [{ state: 'ok', lagFrames: 3, lagMs: 60_000 }, 'behind'],
  [{ state: 'retrying' }, 'retrying'],
  [{ state: 'stalled' }, 'stalled'],
])('a sink that is %o is “%s” in both', (change, words) => {
  const sink = { ...SINK, ...change };
  expect(sheetOf(sink)).toMatch(new RegExp(`^store +(\\d.*)?${words} +5 +0`, 'm'));
  expect(sinkWords(sink)).toContain(words);
});
