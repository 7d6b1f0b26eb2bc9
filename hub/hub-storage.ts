/** Builds where readings end: the journal, the telemetry store and the quarantine. */
import { join } from 'node:path';
import type { Catalog } from '../schemas/index.ts';
import type { Config } from './config.ts';
import { rollupsOf } from './config-store.ts';
import type { HubStart } from './hub.ts';
import type { Log } from './kit/log.ts';
import { createSqliteGaps } from './telemetry/gaps.sqlite.ts';
import type { GapLedger } from './telemetry/gaps.ts';
import { openJournal } from './telemetry/journal.file.ts';
import type { Journal } from './telemetry/journal.ts';
import { createSqliteQuarantine } from './telemetry/quarantine.sqlite.ts';
import type { Quarantine } from './telemetry/quarantine.ts';
import { createInfluxStore } from './telemetry/store.influx.ts';
import { createSqliteStore } from './telemetry/store.sqlite.ts';
import type { TelemetryStore } from './telemetry/store.ts';

export interface Storage {
  catalog: Catalog;
  journal: Journal;
  store: TelemetryStore;
  quarantine: Quarantine;
  gaps: GapLedger;
  /** How long the store keeps a reading; 0: for ever. */
  retentionMs: number;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** Throws `Unavailable` when a server must be there and is not. */
export async function openStorage({ config, catalog, dataDir, log, stack }: HubStart): Promise<Storage> {
  for (const file of catalog.replaced) log.info({ file }, 'a schema replaces the shipped one of its name');
  const { dir = join(dataDir, 'journal'), replayHours, ...journalOptions } = config.journal;
  const journal = await openJournal({ ...journalOptions, dir, replayMs: replayHours * HOUR_MS, log });
  stack.push('journal', () => journal.close());
  const store = await openStore(config, join(dataDir, 'telemetry.db'), catalog.streams, log);
  stack.push('store', () => store.close());
  const quarantine = await createSqliteQuarantine({
    file: join(dataDir, 'quarantine.db'),
    limitReadings: config.limits.quarantineReadings,
    // A replay may last a while after the window ended.
    rememberMs: (replayHours + 1) * HOUR_MS,
    log,
  });
  stack.push('quarantine', () => quarantine.close());
  journal.onCommit((frames) => quarantine.expect(frames));
  const gaps = await createSqliteGaps({ file: join(dataDir, 'gaps.db') });
  stack.push('gap ledger', () => gaps.close());
  return { catalog, journal, store, quarantine, gaps, retentionMs: config.store.retentionDays * DAY_MS };
}

function openStore(
  { store }: Config,
  file: string,
  streams: Catalog['streams'],
  log: Log,
): Promise<TelemetryStore> | TelemetryStore {
  const rollups = rollupsOf(store);
  const rawKeepMs = store.retentionDays * DAY_MS;
  if (store.kind === 'sqlite') return createSqliteStore({ file, streams, rollups, rawKeepMs });
  return createInfluxStore({ ...store, rollups, streams, log });
}
