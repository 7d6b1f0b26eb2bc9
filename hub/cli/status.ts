/** The verbs of the hub itself: its status, and its own jobs. */
import type { Command } from 'commander';
import type { HubStatus } from '../api/status.ts';
import type { JobStatus } from '../jobs.cron.ts';
import { UserError } from '../kit/errors.ts';
import { type AddVerb, EXIT, pause, type Session } from './session.ts';
import { type Colors, duration, statusSheet, table, time } from './tables.ts';

const WATCH_MS = 1_000;

/** Adds `hub status` and `hub jobs`. */
export function registerStatus(program: Command, verb: AddVerb): void {
  verb(program, 'status', 'What the hub says of itself.', showStatus, ['hub status', 'hub status --watch'])
    .option('--json', 'as JSON')
    .option('--watch', 'again each second; Ctrl-C ends it');
  verb(program, 'jobs', "The hub's own housekeeping: last run, result, next run.", listJobs, ['hub jobs']).option(
    '--json',
    'as JSON',
  );
}

async function showStatus(session: Session) {
  const { options, color, stopped, print, reprint } = session;
  const text = (status: HubStatus) => {
    return options.json ? JSON.stringify(status, undefined, options.watch ? 0 : 2) : statusSheet(status, color);
  };
  let { client } = session;
  if (!options.watch) {
    print(text(await client.json('GET', '/v1/status')));
    return;
  }
  while (!stopped.aborted) {
    const line = await client.json<HubStatus>('GET', '/v1/status').then(text, (error) => messageOf(error, stopped));
    if (stopped.aborted) return;
    if (options.json) print(line);
    else reprint(line);
    await pause(WATCH_MS, stopped);
    client = await session.reconnect().catch(() => client);
  }
}

/** A watcher outlives a restart of the hub: being unreachable is what it shows meanwhile. */
function messageOf(error: unknown, stopped: AbortSignal): string {
  if (stopped.aborted) return '';
  if (error instanceof UserError && error.exitCode === EXIT.unreachable) return error.message;
  throw error;
}

async function listJobs({ client, options, color, print }: Session) {
  const { jobs } = await client.json<{ jobs: JobStatus[] }>('GET', '/v1/jobs');
  print(options.json ? JSON.stringify(jobs, undefined, 2) : jobTable(jobs, color));
}

function jobTable(jobs: JobStatus[], color: Colors): string {
  const rows = jobs.map(({ name, at, running, runs, failures, last, nextRunAt }) => {
    const did = last?.did === undefined ? '' : ` (${last.did})`;
    const result = last?.ok ? `${color.green('ok')}${did}` : color.red(last?.error ?? '–');
    return [
      name,
      at,
      running ? 'now' : last ? time(last.at) : 'not yet',
      last ? result : '',
      last ? duration(last.durationMs) : '',
      failures > 0 ? color.red(`${failures} of ${runs}`) : String(failures),
      nextRunAt === undefined ? '–' : time(nextRunAt),
    ];
  });
  return table(['JOB', 'AT (UTC)', 'LAST RUN', 'RESULT', 'TOOK', 'FAILED', 'NEXT RUN'], rows, color);
}
