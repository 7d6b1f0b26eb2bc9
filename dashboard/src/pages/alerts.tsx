/** Alerts: what fires and what is over, and the rules behind them. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { get } from '../hub/client.http.ts';
import { usePaged } from '../hub/paged.ts';
import { useResource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { Dialog } from '../kit/dialog.tsx';
import { Icon } from '../kit/icons.tsx';
import { PagedTable } from '../kit/paged-table.tsx';
import { Badge, Choice, Empty, Facts } from '../kit/parts.tsx';
import type { Column } from '../kit/table.tsx';
import { Ago, Moment } from '../kit/time.tsx';
import { linkTo } from '../router.ts';
import { Channels } from './alert-channels.tsx';
import { RuleForm } from './alert-rule-form.tsx';
import { AlertRules } from './alert-rules.tsx';
import { ALERT_TONES, type Alert, alertWords, type Rule } from './alert-words.ts';

const ASK_MS = 3_000;

const columnsFor = (rules: readonly Rule[]): Column<Alert>[] => [
  {
    name: 'state',
    title: 'State',
    width: '116px',
    cell: ({ state }) => <Badge tone={ALERT_TONES[state]}>{state}</Badge>,
  },
  { name: 'summary', title: 'What', wraps: true, cell: (alert) => <What words={wordsOf(alert, rules)} /> },
  { name: 'device', title: 'About', width: '14%', wraps: true, cell: about },
  { name: 'rule', title: 'Rule', width: '14%', lesser: true, wraps: true, cell: ({ rule }) => rule },
  { name: 'since', title: 'Since', width: '104px', cell: ({ since }) => <Ago at={since} /> },
  {
    name: 'over',
    title: 'Over',
    width: '104px',
    lesser: true,
    cell: ({ resolvedAt }) => resolvedAt !== undefined && <Ago at={resolvedAt} />,
  },
];

const What = ({ words }: { words: string }) => <span title={words}>{words}</span>;

const wordsOf = (alert: Alert, rules: readonly Rule[]) =>
  alertWords(
    alert,
    rules.find(({ id }) => id === alert.rule),
  );

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
      <AlertList rules={rules.data?.rules ?? []} />
      <AlertRules rules={rules} />
      <Channels />
      {adding && <RuleForm onClose={() => setAdding(false)} onDone={rules.reload} />}
    </>
  );
}

function AlertList({ rules }: { rules: readonly Rule[] }) {
  const [state, setState] = useState<Alert['state'] | ''>('');
  const alerts = usePaged<Alert>('/v1/alerts', 'alerts', { state }, ASK_MS);
  const [open, setOpen] = useState<string>();
  const opened = alerts.data?.find(({ id }) => id === open);
  return (
    <>
      <div class="filters">
        <Choice label="State" options={STATES} value={state} onPick={(next) => setState(next)} />
      </div>
      <PagedTable
        label="Alerts"
        list={alerts}
        columns={columnsFor(rules)}
        keyOf={({ id }) => id}
        onOpen={({ id }) => setOpen(id)}
        empty={
          <Empty icon="check" title={state === 'resolved' ? 'Nothing was wrong' : 'Nothing is wrong'}>
            No rule has found anything.
          </Empty>
        }
      />
      {opened && <AlertDialog alert={opened} words={wordsOf(opened, rules)} onClose={() => setOpen(undefined)} />}
    </>
  );
}

/** All of an alert, uncut. */
function AlertDialog({ alert, words, onClose }: { alert: Alert; words: string; onClose(): void }) {
  const { state, severity, rule, since, firedAt, resolvedAt } = alert;
  const moment = (at: number | undefined) => at !== undefined && <Moment at={at} />;
  const facts: [string, ComponentChildren][] = [
    ['About', about(alert)],
    ['Rule', rule],
    ['Severity', severity],
    ['Since', moment(since)],
    ['Fired', moment(firedAt)],
    ['Over', moment(resolvedAt)],
  ];
  return (
    <Dialog title={words} onClose={onClose}>
      <div>
        <Badge tone={ALERT_TONES[state]}>{state}</Badge>
      </div>
      <Facts facts={facts.filter(([, fact]) => Boolean(fact))} />
    </Dialog>
  );
}
