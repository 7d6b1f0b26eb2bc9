/** Commands on a timetable: when each runs next, how its last run went, pausing, running now. */
import { useState } from 'preact/hooks';
import { call, get, path, post, remove } from '../hub/client.http.ts';
import { type Run, type Schedule, targetText } from '../hub/commands.ts';
import { useResource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { confirmed, Dialog } from '../kit/dialog.tsx';
import { Icon } from '../kit/icons.tsx';
import { Act, Badge, Empty, Facts, Loaded, type Tone } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Ago, Moment } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { linkTo } from '../router.ts';
import { AddSchedule } from './add-schedule.tsx';
import { commandTitle, paramsText } from './command-parts.tsx';

const ASK_MS = 5_000;
const RUN_TONES: Record<Run['state'], Tone> = { due: 'busy', sent: 'good', refused: 'bad', interrupted: 'warn' };

const COLUMNS: Column<Schedule>[] = [
  { name: 'id', title: 'Schedule', width: '20%', cell: ({ id }) => id },
  { name: 'what', title: 'Command', cell: ({ name }) => commandTitle(name) },
  { name: 'for', title: 'For', lesser: true, cell: targetText },
  {
    name: 'cron',
    title: 'When',
    lesser: true,
    cell: ({ cron, timeZone }) => (
      <span>
        <code>{cron}</code> <small>{timeZone}</small>
      </span>
    ),
  },
  {
    name: 'next',
    title: 'Next',
    width: '120px',
    cell: ({ enabled, nextRuns: [next] }) =>
      !enabled ? <Badge tone="calm">paused</Badge> : next === undefined ? '–' : <Ago at={next} />,
  },
  {
    name: 'last',
    title: 'Last',
    width: '170px',
    cell: ({ lastRun }) => (lastRun ? <RunBadge run={lastRun} /> : 'not yet'),
  },
];

function RunBadge({ run: { state, at, error } }: { run: Run }) {
  return (
    <span title={error?.message}>
      <Badge tone={RUN_TONES[state]}>{state}</Badge> <Ago at={at} />
    </span>
  );
}

/** In the order of their names. */
export function SchedulesPage() {
  const known = useResource(
    'schedules',
    (signal) => get<{ schedules: Schedule[] }>('/v1/schedules', { signal }),
    ASK_MS,
  );
  const [adding, setAdding] = useState(false);
  const [open, setOpen] = useState<string>();
  const opened = known.data?.schedules.find(({ id }) => id === open);
  return (
    <>
      <div class="page-head">
        <h1>Schedules</h1>
        {may('operator') && (
          <button type="button" class="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" /> Add schedule
          </button>
        )}
      </div>
      <Loaded resource={known}>
        {({ schedules }) => (
          <Table
            label="Schedules"
            columns={COLUMNS}
            rows={schedules}
            keyOf={({ id }) => id}
            onOpen={({ id }) => setOpen(id)}
            empty={
              <Empty icon="schedules" title="No schedules yet">
                A schedule sends a command on a timetable, to one device or to many.
              </Empty>
            }
          />
        )}
      </Loaded>
      {adding && <AddSchedule onClose={() => setAdding(false)} onAdded={known.reload} />}
      {opened && <ScheduleDialog schedule={opened} onClose={() => setOpen(undefined)} reload={known.reload} />}
    </>
  );
}

function ScheduleDialog({ schedule, onClose, reload }: { schedule: Schedule; onClose(): void; reload(): void }) {
  const { id, description } = schedule;
  return (
    <Dialog title={id} onClose={onClose} wide>
      {description && <p>{description}</p>}
      <ScheduleFacts schedule={schedule} />
      <Runs id={id} />
      {may('operator') && <ScheduleActions schedule={schedule} onClose={onClose} reload={reload} />}
    </Dialog>
  );
}

function ScheduleFacts({ schedule }: { schedule: Schedule }) {
  const { name, params, cron, timeZone, missed, missedLimit, nextRuns, createdBy, createdAt } = schedule;
  const missedWords = {
    skip: 'are left out',
    once: 'are made up for once',
    all: `are all made up for, ${missedLimit} at most`,
  }[missed];
  const next = nextRuns.map((at) => (
    <div key={at}>
      <Moment at={at} />
    </div>
  ));
  const when = (
    <span>
      <code>{cron}</code> in {timeZone}
    </span>
  );
  const added = (
    <span>
      <Moment at={createdAt} /> by {createdBy.replace(/^operator:/, '')}
    </span>
  );
  return (
    <Facts
      facts={[
        ['Command', `${commandTitle(name)} ${paramsText(params)}`],
        ['For', targetText(schedule)],
        ['When', when],
        ['Next', next.length === 0 ? 'paused' : next],
        ['Missed times', missedWords],
        ['Added', added],
      ]}
    />
  );
}

const RUN_COLUMNS: Column<Run>[] = [
  { name: 'at', title: 'For', cell: ({ at }) => <Moment at={at} /> },
  {
    name: 'state',
    title: 'State',
    width: '130px',
    cell: ({ state }) => <Badge tone={RUN_TONES[state]}>{state}</Badge>,
  },
  { name: 'what', title: 'What came of it', cell: runWords },
];

function runWords({ command, group, error, manual, late }: Run) {
  const how = manual ? 'by hand' : late ? 'late' : '';
  if (group)
    return (
      <span>
        <a href={linkTo(['groups', group])}>{group}</a> {how}
      </span>
    );
  if (error) return error.message;
  return (
    <span>
      <code>{command}</code> {how}
    </span>
  );
}

function Runs({ id }: { id: string }) {
  const known = useResource(
    `runs ${id}`,
    (signal) => get<{ runs: Run[] }>(path`/v1/schedules/${id}/runs`, { signal }),
    ASK_MS,
  );
  return (
    <Loaded resource={known}>
      {({ runs }) => (
        <div class="short">
          <Table label="Runs" columns={RUN_COLUMNS} rows={runs} keyOf={(run) => run.id} empty="It did not run yet." />
        </div>
      )}
    </Loaded>
  );
}

function ScheduleActions({
  schedule: { id, enabled },
  onClose,
  reload,
}: {
  schedule: Schedule;
  onClose(): void;
  reload(): void;
}) {
  const toggle = () => call('PATCH', path`/v1/schedules/${id}`, { enabled: !enabled }).then(reload);
  const run = async () => {
    await post(path`/v1/schedules/${id}/run`);
    say(`${id} was run.`);
    reload();
  };
  const dismiss = async () => {
    if (!(await confirmed({ title: `Remove ${id}?`, text: 'What it sent stays.', yes: 'Remove', danger: true })))
      return;
    await remove(path`/v1/schedules/${id}`);
    onClose();
    reload();
  };
  return (
    <footer>
      <Act act={dismiss} kind="danger">
        Remove
      </Act>
      <Act act={toggle}>{enabled ? 'Pause' : 'Resume'}</Act>
      <Act act={run} kind="primary">
        Run now
      </Act>
    </footer>
  );
}
