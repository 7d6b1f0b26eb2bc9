/** One command to many devices: how far each group is, sending another, stopping one. */
import { useState } from 'preact/hooks';
import { commandOf } from '../hub/catalog.ts';
import { get, path, post } from '../hub/client.http.ts';
import { COMMAND_STATES, type Command, type Group, STATES, targetText } from '../hub/commands.ts';
import { usePaged } from '../hub/paged.ts';
import { useResource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { confirmed, Dialog, FormEnd } from '../kit/dialog.tsx';
import { TextField } from '../kit/fields.tsx';
import { ifWritten, numberFrom, readAll } from '../kit/form-values.ts';
import { count, things } from '../kit/format.ts';
import { Icon } from '../kit/icons.tsx';
import { PagedTable } from '../kit/paged-table.tsx';
import { Act, Badge, Card, Empty, Facts, Trouble, Waiting } from '../kit/parts.tsx';
import type { Column } from '../kit/table.tsx';
import { Ago, Moment } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { useForm } from '../kit/use-form.ts';
import { goTo, linkTo } from '../router.ts';
import { commandTitle, paramsText } from './command-parts.tsx';
import { CommandTable } from './command-table.tsx';
import { TargetFields, useTarget } from './selector-fields.tsx';
import { meant, OrderInputs, useOrder } from './send-form.tsx';
import { TARGET_FIELDS, targetOf } from './target.ts';

const ASK_MS = 2_000;

const COLUMNS: Column<Group>[] = [
  {
    name: 'name',
    title: 'Command',
    width: '22%',
    cell: ({ id, name }) => <a href={linkTo(['groups', id])}>{commandTitle(name)}</a>,
  },
  { name: 'for', title: 'For', cell: targetText },
  { name: 'progress', title: 'Progress', cell: (group) => <Progress group={group} /> },
  { name: 'state', title: 'State', width: '130px', cell: (group) => <GroupBadge group={group} /> },
  { name: 'at', title: 'When', width: '110px', lesser: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
];

/** The list, or one group when the address names it. */
export function GroupsPage({ id }: { id: string | undefined }) {
  return id === undefined ? <Groups /> : <OneGroup key={id} id={id} />;
}

function Groups() {
  const list = usePaged<Group>('/v1/groups', 'groups', { limit: 100 }, ASK_MS);
  const [sending, setSending] = useState(false);
  return (
    <>
      <div class="page-head">
        <h1>Groups</h1>
        {may('operator') && (
          <button type="button" class="primary" onClick={() => setSending(true)}>
            <Icon name="plus" /> Send to many
          </button>
        )}
      </div>
      <PagedTable
        label="Groups"
        list={list}
        columns={COLUMNS}
        keyOf={(group) => group.id}
        onOpen={(group) => goTo(linkTo(['groups', group.id]))}
        empty={
          <Empty icon="groups" title="No groups yet">
            A group is one command to many devices, by tags or by name.
          </Empty>
        }
      />
      {sending && <SendToMany onClose={() => setSending(false)} />}
    </>
  );
}

function GroupBadge({ group: { finished, stopped } }: { group: Group }) {
  if (stopped) return <Badge tone="warn">stopped</Badge>;
  return <Badge tone={finished ? 'good' : 'busy'}>{finished ? 'finished' : 'running'}</Badge>;
}

/** What became of its commands, as a bar that fills as they end; in words for those who do not see it. */
function Progress({ group: { counts, total, refused } }: { group: Group }) {
  const over = COMMAND_STATES.filter((state) => STATES[state].ended);
  const done = over.reduce((sum, state) => sum + counts[state], 0) + refused;
  return (
    <span class="progress">
      <span class="bar" aria-hidden="true">
        {over.map((state) => (
          <span
            key={state}
            class={STATES[state].tone}
            style={{ width: `${(counts[state] / Math.max(1, total)) * 100}%` }}
          />
        ))}
        <span class="bad" style={{ width: `${(refused / Math.max(1, total)) * 100}%` }} />
      </span>
      <small>
        {count(done)} of {count(total)}
      </small>
    </span>
  );
}

const LIMITS = ['/parallel', '/stopWhenFailedPercent'];
const MOST_DEVICES = 10_000;
const PERCENT = { least: 0, most: 100, unit: '%' };

function SendToMany({ onClose }: { onClose(): void }) {
  const order = useOrder();
  const target = useTarget();
  const [parallel, setParallel] = useState('');
  const [stopPercent, setStopPercent] = useState('');
  const form = useForm([...LIMITS, ...TARGET_FIELDS, ...order.pointers], async () => {
    const { target: to, ...what } = readAll({
      target: () => targetOf(target),
      ...order.readers,
      parallel: () => ifWritten(parallel, (text) => numberFrom(text, { least: 1, most: MOST_DEVICES, whole: true })),
      stopWhenFailedPercent: () => ifWritten(stopPercent, (text) => numberFrom(text, PERCENT)),
    });
    if (!(await meant(order.type, targetText(to)))) return;
    const body = { ...to, ...what };
    const { id, total } = await post<{ id: string; total: number }>('/v1/commands', body, {
      idempotencyKey: crypto.randomUUID(),
    });
    say(`On its way to ${things(total, 'device')}.`);
    onClose();
    goTo(linkTo(['groups', id]));
  });
  return (
    <Dialog title="Send a command to many devices" onClose={onClose}>
      <form class="fields" onSubmit={form.submit} noValidate>
        <TargetFields target={target} mistakeAt={form.mistakeAt} />
        <OrderInputs order={order} mistakeAt={form.mistakeAt} />
        <div class="field-row">
          <TextField
            label="At a time (optional)"
            value={parallel}
            onText={setParallel}
            hint="Devices; all without it."
            mistake={form.mistakeAt('/parallel')}
            input={{ inputMode: 'numeric' }}
          />
          <TextField
            label="Stop at failed (optional)"
            value={stopPercent}
            onText={setStopPercent}
            unit="%"
            mistake={form.mistakeAt('/stopWhenFailedPercent')}
            input={{ inputMode: 'decimal' }}
          />
        </div>
        <FormEnd form={form} yes="Send" onCancel={onClose} />
      </form>
    </Dialog>
  );
}

function OneGroup({ id }: { id: string }) {
  const {
    data: group,
    error,
    reload,
  } = useResource(`group ${id}`, (signal) => get<Group>(path`/v1/groups/${id}`, { signal }), ASK_MS);
  const list = usePaged<Command>('/v1/commands', 'commands', { group: id, limit: 200 });
  if (!group) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  const stop = async () => {
    const text = 'No more is sent, and what no device has yet is taken back. What was sent goes on.';
    if (!(await confirmed({ title: 'Stop this group?', text, yes: 'Stop', danger: true }))) return;
    await post(path`/v1/groups/${id}/cancel`);
    reload();
  };
  return (
    <>
      <div class="page-head">
        <h1>{commandTitle(group.name)}</h1>
        <GroupBadge group={group} />
        {!group.finished && may('operator') && (
          <Act act={stop} kind="danger">
            Stop
          </Act>
        )}
      </div>
      <Card title={`For ${targetText(group)}`}>
        <Progress group={group} />
        <Facts facts={factsOf(group)} />
      </Card>
      <CommandTable
        list={list}
        takes={(command) => command.group === id}
        without={['name', 'params', 'actor']}
        empty={<Empty icon="groups" title="No device fits" />}
      />
    </>
  );
}

function factsOf(group: Group): [string, preact.ComponentChildren][] {
  const { name, params, counts, pending, refused, refusals, actor, createdAt, finishedAt, stopped } = group;
  const states = COMMAND_STATES.filter((state) => counts[state] > 0).map((state) => `${count(counts[state])} ${state}`);
  const why = refusals.slice(0, 5).map(({ device, code }) => `${device}: ${code}`);
  return [
    ['What it does', commandOf(name)?.description ?? name],
    ['Parameters', paramsText(params) || 'none'],
    ['Devices', [...states, ...(pending > 0 ? [`${count(pending)} to come`] : [])].join(', ') || 'none'],
    ...(refused > 0 ? [['Could not be told', `${count(refused)} (${why.join(', ')})`] as [string, string]] : []),
    ...(stopped
      ? [['Stopped', stopped === 'failures' ? 'too many failed' : 'somebody stopped it'] as [string, string]]
      : []),
    ['Asked by', actor],
    ['Begun', <Moment key="b" at={createdAt} />],
    ...(finishedAt === undefined
      ? []
      : [['Finished', <Moment key="f" at={finishedAt} />] as [string, preact.JSX.Element]]),
  ];
}
