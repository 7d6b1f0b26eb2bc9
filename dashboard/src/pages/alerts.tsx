/** Alerts: what fires and what is over, and the rules behind them. */
import { useState } from 'preact/hooks';
import { get, patch, path, remove } from '../hub/client.http.ts';
import { usePaged } from '../hub/paged.ts';
import { useResource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { confirmed } from '../kit/dialog.tsx';
import { Icon } from '../kit/icons.tsx';
import { PagedTable } from '../kit/paged-table.tsx';
import { Act, Badge, Card, Choice, Empty, Trouble } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Ago } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { linkTo } from '../router.ts';
import { Channels } from './alert-channels.tsx';
import { AddRule } from './alert-rule-form.tsx';
import { ALERT_TONES, type Alert, type Rule, ruleWords, SEVERITY_TONES } from './alert-words.ts';

const ASK_MS = 3_000;

const COLUMNS: Column<Alert>[] = [
  {
    name: 'state',
    title: 'State',
    width: '116px',
    cell: ({ state }) => <Badge tone={ALERT_TONES[state]}>{state}</Badge>,
  },
  { name: 'summary', title: 'What', cell: ({ summary }) => <span title={summary}>{summary}</span> },
  { name: 'device', title: 'About', width: '14%', cell: about },
  { name: 'rule', title: 'Rule', width: '14%', lesser: true, cell: ({ rule }) => rule },
  { name: 'since', title: 'Since', width: '104px', cell: ({ since }) => <Ago at={since} /> },
  {
    name: 'over',
    title: 'Over',
    width: '104px',
    lesser: true,
    cell: ({ resolvedAt }) => resolvedAt !== undefined && <Ago at={resolvedAt} />,
  },
];

function about({ device, sink }: Alert) {
  if (device !== undefined) return <a href={linkTo(['devices', device])}>{device}</a>;
  return sink ?? 'the hub';
}

const STATES: [Alert['state'] | '', string][] = [
  ['', 'All'],
  ['firing', 'Firing'],
  ['pending', 'Pending'],
  ['resolved', 'Resolved'],
];

/** Only on hubs that have alerts. */
export function AlertsPage() {
  const rules = useResource('rules', (signal) => get<{ rules: Rule[] }>('/v1/alerts/rules', { signal }), ASK_MS * 5);
  const [adding, setAdding] = useState(false);
  return (
    <>
      <div class="page-head">
        <h1>Alerts</h1>
        {may('operator') && (
          <button type="button" class="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" /> Add rule
          </button>
        )}
      </div>
      <AlertList />
      <Card title="Rules">
        {rules.error && <Trouble error={rules.error} onRetry={rules.reload} />}
        <Table
          label="Rules"
          columns={ruleColumns(rules.reload)}
          rows={rules.data?.rules ?? []}
          keyOf={({ id }) => id}
          empty={
            <Empty icon="alerts" title="No rules yet">
              A rule says what is wrong, for how long, and of which devices.
            </Empty>
          }
        />
      </Card>
      <Channels />
      {adding && <AddRule onClose={() => setAdding(false)} onAdded={rules.reload} />}
    </>
  );
}

function AlertList() {
  const [state, setState] = useState<Alert['state'] | ''>('');
  const alerts = usePaged<Alert>('/v1/alerts', 'alerts', { state }, ASK_MS);
  return (
    <>
      <div class="filters">
        <Choice label="State" options={STATES} value={state} onPick={(next) => setState(next)} />
      </div>
      <PagedTable
        label="Alerts"
        list={alerts}
        columns={COLUMNS}
        keyOf={({ id }) => id}
        empty={
          <Empty icon="check" title={state === 'resolved' ? 'Nothing was wrong' : 'Nothing is wrong'}>
            No rule has found anything.
          </Empty>
        }
      />
    </>
  );
}

function ruleColumns(reload: () => void): Column<Rule>[] {
  return [
    { name: 'id', title: 'Rule', width: '20%', cell: ({ id, description }) => <span title={description}>{id}</span> },
    { name: 'words', title: 'Fires when', cell: (rule) => <span title={ruleWords(rule)}>{ruleWords(rule)}</span> },
    {
      name: 'severity',
      title: 'Severity',
      width: '112px',
      lesser: true,
      cell: ({ severity }) => <Badge tone={SEVERITY_TONES[severity]}>{severity}</Badge>,
    },
    {
      name: 'origin',
      title: 'From',
      width: '116px',
      lesser: true,
      cell: ({ origin }) => (origin === 'api' ? 'here' : 'configuration'),
    },
    { name: 'actions', title: 'State', width: '192px', cell: (rule) => <RuleActions rule={rule} reload={reload} /> },
  ];
}

function RuleActions({ rule: { id, enabled, origin }, reload }: { rule: Rule; reload(): void }) {
  if (origin === 'configuration' || !may('operator'))
    return <Badge tone={enabled ? 'good' : 'calm'}>{enabled ? 'on' : 'off'}</Badge>;
  const toggle = () => patch(path`/v1/alerts/rules/${id}`, { enabled: !enabled }).then(reload);
  const dismiss = async () => {
    if (
      !(await confirmed({
        title: `Remove the rule ${id}?`,
        text: 'What it found is resolved.',
        yes: 'Remove',
        danger: true,
      }))
    )
      return;
    await remove(path`/v1/alerts/rules/${id}`);
    say(`${id} was removed.`);
    reload();
  };
  return (
    <span class="row-actions">
      <Act act={toggle}>{enabled ? 'Switch off' : 'Switch on'}</Act>
      <Act act={dismiss} kind="danger" label={`Remove ${id}`}>
        <Icon name="trash" size={16} />
      </Act>
    </span>
  );
}
