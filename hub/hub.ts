/** The composition root: every part of a hub, from the end of the road to its beginning. Stopped in reverse. */
import type { Catalog } from '../schemas/index.ts';
import type { Config } from './config.ts';
import { createGatewayCounts, type GatewayCounts } from './gateway/road.ts';
import { type AlertParts, openAlerts } from './hub-alerts.ts';
import { openBridge } from './hub-bridge.ts';
import { openApi, openCertificates, openGateway } from './hub-doors.ts';
import { openRecords, type Records } from './hub-records.ts';
import { openRoad, type Road } from './hub-road.ts';
import { openStorage, type Storage } from './hub-storage.ts';
import { type Job, type Jobs, startJobs } from './jobs.cron.ts';
import { Unavailable, UserError } from './kit/errors.ts';
import type { Log } from './kit/log.ts';
import { createReadiness, type Readiness } from './kit/readiness.ts';
import { createStack, type Stack } from './kit/stack.ts';
import { nodeFiles } from './telemetry/files.node.ts';
import { takeLock } from './telemetry/journal-lock.ts';
import { createLive, type Live } from './telemetry/live.ts';

export interface HubOptions {
  catalog: Catalog;
  dataDir: string;
  log: Log;
  version: string;
}

/** What every group of parts (`hub-*.ts`) is built with. */
export interface HubStart extends HubOptions {
  config: Config;
  /** Each part says here how it is stopped, as soon as it was built. */
  stack: Stack;
  readiness: Readiness;
  /** Of readings and frames, whichever way they come. */
  counts: GatewayCounts;
  live: Live;
}

export interface Hub {
  /** `mqtt`: of its own broker, when it has one. */
  urls: { api: string; gateway: string; mqtt?: string };
  /** The certificate that operators see, when the API speaks TLS. PEM text. */
  apiCertificate?: string;
  /** Reads the certificates again; those that cannot be used are logged and change nothing. */
  reload(): Promise<void>;
  /** Drains: takes nothing new, finishes what it has, says goodbye to the devices. Idempotent. */
  stop(): Promise<void>;
}

/** Starts a hub; what was started is stopped again when a later part fails. Throws `UserError` for mistakes of people. */
export async function startHub(config: Config, options: HubOptions): Promise<Hub> {
  const stack = createStack();
  try {
    return await build({
      ...options,
      config,
      stack,
      readiness: createReadiness(),
      counts: createGatewayCounts(),
      live: createLive(),
    });
  } catch (error) {
    await stack.unwind();
    throw startError(error);
  }
}

async function build(start: HubStart): Promise<Hub> {
  const { dataDir, stack, readiness } = start;
  await nodeFiles.makeDirectory(dataDir).catch((error: Error) => {
    throw new UserError(`The hub cannot start: the data folder cannot be made: ${error.message}`);
  });
  stack.push('lock', await takeLock(nodeFiles, dataDir));
  const storage = await openStorage(start);
  const records = await openRecords(start, storage.catalog.commands);
  const bridge = await openBridge(start, storage, records);
  const road = openRoad(start, storage, records, bridge);
  await storage.journal.saveCursors();
  const alerts = openAlerts(start, storage, records, road, bridge.publishers);
  const jobs = openJobs(start, storage, records, road, alerts);
  const certificates = await openCertificates(start);
  const api = await openApi(start, storage, records, road, alerts, jobs, certificates);
  const gateway = await openGateway(start, records, road, certificates);
  road.reporter.tellGateway(start.config.gateway.publicUrl ?? gateway);
  const mqtt = await bridge.open();
  readiness.set(true);
  let stopped: Promise<void> | undefined;
  return {
    urls: { api, gateway, ...(mqtt !== undefined && { mqtt }) },
    ...(certificates.api && { apiCertificate: certificates.api.current.cert }),
    async reload() {
      for (const keeper of new Set(Object.values(certificates))) await keeper.reload();
    },
    stop() {
      stopped ??= unwind(start);
      return stopped;
    },
  };
}

function openJobs(
  { log, stack }: HubStart,
  storage: Storage,
  records: Records,
  { care }: Road,
  alerts: AlertParts,
): Jobs {
  const table = [...timetable(storage, records), ...care.jobs, ...alerts.jobs];
  const jobs = startJobs(table, (job, error) => log.error({ job, err: error }, 'a job failed'));
  stack.push('jobs', () => jobs.close());
  return jobs;
}

/** What the hub does by the clock. */
function timetable({ journal, store, retentionMs }: Storage, records: Records): Job[] {
  const { commands, devices, groups, presence, schedules } = records;
  return [
    { name: 'run schedules', at: '* * * * * *', run: () => schedules.tick() },
    { name: 'expire commands', at: '*/10 * * * * *', run: async () => commands.sweep() },
    { name: 'expire tokens', at: '* * * * *', run: () => devices.forgetExpired(Date.now()) },
    { name: 'forget old runs', at: '23 * * * *', run: () => schedules.prune() },
    { name: 'forget old groups', at: '29 * * * *', run: () => groups.prune(Date.now()) },
    { name: 'sweep the journal', at: '* * * * *', run: () => journal.sweep(Date.now()) },
    {
      name: 'prune the store',
      at: '17 * * * *',
      run: async () => retentionMs > 0 && store.prune(Date.now() - retentionMs),
    },
    { name: 'sum up readings', at: '7,37 * * * * *', run: async () => store.rollups?.roll(Date.now()) },
    { name: 'find silent devices', at: '*/10 * * * * *', run: async () => presence.sweep(Date.now()) },
  ];
}

function unwind({ stack, log }: HubStart): Promise<void> {
  return stack.unwind((part, error) => {
    if (error) log.error({ part, err: error }, 'a part did not stop as it should');
    else log.debug({ part }, 'stopped');
  });
}

/** What the machine refuses is for a person to mend: a folder, a file, an address. Anything else is a bug, and stays one. */
function startError(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  const isOfMachine = error instanceof Unavailable || (typeof code === 'string' && /^E[A-Z]+$/.test(code));
  return isOfMachine ? new UserError(`The hub cannot start: ${message}`) : error;
}
