/** The verbs of the hub itself: its status, who sends most, and its own jobs. */
import { type Command, Option } from 'commander';
import type { HubStatus } from '../api/status.ts';
import { MEASURES, type Talker } from '../gateway/traffic.ts';
import type { JobStatus } from '../jobs.cron.ts';
import { UserError } from '../kit/errors.ts';
import { spanText } from '../kit/span.ts';
import { type AddVerb, EXIT, pause, type Session } from './session.ts';
import { statusSheet } from './status-sheet.ts';
import { bytes, type Colors, table, time } from './tables.ts';

const WATCH_MS = 1_000;

/** Adds `hub status`, `hub top` and `hub jobs`. */
export function registerStatus(program: Command, verb: AddVerb): void {
  verb(program, 'status', 'What the hub says of itself.', showStatus, ['hub status', 'hub status --watch'])
    .option('--json', 'as JSON')
    .option('--watch', 'again each second; Ctrl-C ends it');
  verb(program, 'top', 'The devices that send most, in the last five seconds.', showTop, [
    'hub top',
    'hub top --by flows --watch',
  ])
    .addOption(
      new Option('--by <what>', 'of what most is most; flows: told to wait').choices(MEASURES).default('bytes'),
    )
    .option('--limit <rows>', 'at most so many, up to 100', '10')
    .option('--json', 'as JSON')
    .option('--watch', 'again each second; Ctrl-C ends it');
  verb(program, 'jobs', "The hub's own housekeeping: last run, result, next run.", listJobs, ['hub jobs']).option(
    '--json',
    'as JSON',
  );
}

async function showStatus(session: Session) {
  await show<HubStatus>(session, '/v1/status', (status) => statusSheet(status, session.color));
}

async function showTop(session: Session) {
  const { options, color } = session;
  const path = `/v1/talkers?${new URLSearchParams({ by: String(options.by), limit: String(options.limit) })}`;
  await show<{ talkers: Talker[] }>(session, path, ({ talkers }) =>
    talkers.length > 0 ? talkerTable(talkers, color) : 'No device sent anything in the last seconds.',
  );
}

function talkerTable(talkers: Talker[], color: Colors): string {
  const rows = talkers.map(({ device, perSecond }) => [
    device,
    `${bytes(perSecond.bytes)}/s`,
    perSecond.readings,
    perSecond.frames,
    perSecond.flows > 0 ? color.yellow(String(perSecond.flows)) : 0,
  ]);
  return table(['DEVICE', 'BYTES', 'READINGS/S', 'FRAMES/S', 'FLOWS/S'], rows, color);
}

/** Prints what the hub answers, as JSON or as `sheet` has it, with `--watch` again and again. */
async function show<T>(session: Session, path: string, sheet: (answer: T) => string) {
  const { options, stopped, print, reprint } = session;
  const text = (answer: T) => (options.json ? JSON.stringify(answer, undefined, options.watch ? 0 : 2) : sheet(answer));
  let { client } = session;
  if (!options.watch) {
    print(text(await client.json('GET', path)));
    return;
  }
  while (!stopped.aborted) {
    const line = await client.json<T>('GET', path).then(text, (error) => messageOf(error, stopped));
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
      last ? spanText(last.durationMs) : '',
      failures > 0 ? color.red(`${failures} of ${runs}`) : String(failures),
      nextRunAt === undefined ? '–' : time(nextRunAt),
    ];
  });
  return table(['JOB', 'AT (UTC)', 'LAST RUN', 'RESULT', 'TOOK', 'FAILED', 'NEXT RUN'], rows, color);
}
