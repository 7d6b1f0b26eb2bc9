/** Everything the hub says of itself: versions, sinks, journal, its own jobs. */
import { get } from '../hub/client.http.ts';
import { mergedReadings } from '../hub/live.ts';
import { useResource } from '../hub/resource.ts';
import { type HubStatus, quarantineWords, type SinkStatus, sinkWords, takesReadings } from '../hub/status.ts';
import { bytes, count, span, things } from '../kit/format.ts';
import { Badge, Card, Facts, Loaded, Trouble, Waiting } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Ago, Moment } from '../kit/time.tsx';
import { TalkersCard } from './talkers.tsx';

interface Job {
  name: string;
  at: string;
  running: boolean;
  runs: number;
  failures: number;
  nextRunAt?: number;
  last?: { at: number; durationMs: number; ok: boolean; did?: number; error?: string };
}

const ASK_MS = 2_000;

/** Follows the status while it is looked at. */
export function StatusPage() {
  const { data, error, reload } = useResource(
    'whole status',
    (signal) => get<HubStatus>('/v1/status', { signal }),
    ASK_MS,
  );
  const jobs = useResource('jobs', (signal) => get<{ jobs: Job[] }>('/v1/jobs', { signal }), ASK_MS * 5);
  if (!data) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  return (
    <>
      <div class="page-head">
        <h1>Status</h1>
        <Badge tone={data.ready ? 'good' : 'bad'}>{data.ready ? 'ready' : 'not ready'}</Badge>
        <div class="actions">
          <a class="button" href="/metrics" target="_blank" rel="noreferrer">
            Metrics
          </a>
          <a class="button" href="/openapi.json" target="_blank" rel="noreferrer">
            OpenAPI
          </a>
          <a class="button" href="/asyncapi.json" target="_blank" rel="noreferrer">
            AsyncAPI
          </a>
        </div>
      </div>
      <div class="columns">
        <HubCard status={data} />
        <JournalCard status={data} />
      </div>
      <Card title="Sinks">
        <Table label="Sinks" columns={SINK_COLUMNS} rows={data.sinks} keyOf={({ name }) => name} empty="No sinks" />
      </Card>
      <TalkersCard />
      <Card title="The hub’s own jobs">
        <Loaded resource={jobs}>
          {({ jobs: rows }) => (
            <Table label="Jobs" columns={JOB_COLUMNS} rows={rows} keyOf={({ name }) => name} empty="No jobs" />
          )}
        </Loaded>
      </Card>
    </>
  );
}

function HubCard({ status }: { status: HubStatus }) {
  const { version, node, startedAt, readings, frames, quarantine } = status;
  return (
    <Card title="Hub">
      <Facts
        facts={[
          ['Version', version],
          ['Machine', node],
          ['Started', <Moment key="s" at={startedAt} />],
          ['Runs for', span(Date.now() - startedAt)],
          ['Readings', `${count(readings.accepted)} accepted, ${count(readings.rejected)} refused`],
          [
            'Frames',
            `${count(frames.received)} received, ${count(frames.duplicate)} sent twice, ${count(frames.skipped)} skipped`,
          ],
          ['Quarantine', quarantineWords(quarantine)],
          ['Left out here', `${things(mergedReadings.value, 'reading')}, as this page was too slow for them`],
        ]}
      />
    </Card>
  );
}

function JournalCard({ status: { journal, audit } }: { status: HubStatus }) {
  const { space } = journal;
  const used = space?.usedPercent ?? (journal.bytes / journal.limitBytes) * 100;
  const tone = used >= 85 ? 'bad' : used >= 70 ? 'warn' : 'good';
  return (
    <Card title="Journal">
      <div class="bar" aria-hidden="true">
        <span class={tone} style={{ width: `${Math.max(1, used)}%` }} />
      </div>
      <Facts
        facts={[
          ['Size', `${bytes(journal.bytes)} of ${bytes(journal.limitBytes)}, ${Math.round(used)} % of its room`],
          ...(space
            ? [['It may still grow', `${bytes(space.roomBytes)}, then the ${space.endsBy} ends it`] as [string, string]]
            : []),
          ['Segments', count(journal.segments)],
          ['Frames', `${count(journal.first)} to ${count(journal.next)}`],
          ['Writing', journal.failing ? 'it cannot be written' : 'fine'],
          ['Damage at the start', journal.damage.length === 0 ? 'none' : count(journal.damage.length)],
          ['Audit log', audit.failing ? `cannot be written, ${count(audit.waiting)} wait` : 'fine'],
        ]}
      />
    </Card>
  );
}

const SINK_COLUMNS: Column<SinkStatus>[] = [
  { name: 'name', title: 'Sink', cell: ({ name }) => name },
  {
    name: 'state',
    title: 'State',
    cell: (sink) => <Badge tone={takesReadings(sink) ? 'good' : 'bad'}>{sinkWords(sink)}</Badge>,
  },
  { name: 'written', title: 'Written', width: '120px', align: 'end', cell: ({ written }) => count(written) },
  {
    name: 'refused',
    title: 'Refused',
    width: '110px',
    align: 'end',
    lesser: true,
    cell: ({ refused }) => count(refused),
  },
  {
    name: 'error',
    title: 'Last error',
    lesser: true,
    cell: ({ lastError }) => <span title={lastError}>{lastError ?? '–'}</span>,
  },
];

const JOB_COLUMNS: Column<Job>[] = [
  { name: 'name', title: 'Job', wraps: true, cell: ({ name }) => name },
  { name: 'at', title: 'When (UTC)', lesser: true, cell: ({ at }) => <code>{at}</code> },
  {
    name: 'next',
    title: 'Next',
    width: '100px',
    cell: ({ nextRunAt }) => (nextRunAt === undefined ? '–' : <Ago at={nextRunAt} />),
  },
  { name: 'last', title: 'Last', wraps: true, cell: ({ last }) => (last ? <LastRun last={last} /> : 'not yet') },
  { name: 'runs', title: 'Runs', width: '90px', align: 'end', lesser: true, cell: ({ runs }) => count(runs) },
  {
    name: 'failures',
    title: 'Failed',
    width: '90px',
    align: 'end',
    lesser: true,
    cell: ({ failures }) => count(failures),
  },
];

function LastRun({ last: { at, ok, durationMs, error } }: { last: NonNullable<Job['last']> }) {
  return (
    <span title={error}>
      <Badge tone={ok ? 'good' : 'bad'}>{ok ? 'fine' : 'failed'}</Badge> <Ago at={at} />{' '}
      <small>took {span(durationMs)}</small>
    </span>
  );
}
