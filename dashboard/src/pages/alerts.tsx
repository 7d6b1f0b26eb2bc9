/** Alerts: which fire, and the rules behind them. */
import { get } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { fieldValue } from '../kit/format.ts';
import { Badge, Empty, Trouble, Waiting } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Ago } from '../kit/time.tsx';
import { linkTo } from '../router.ts';
import { ALERT_TONES, type Alert } from './alert-words.ts';

const ASK_MS = 3_000;

const COLUMNS: Column<Alert>[] = [
  {
    name: 'state',
    title: 'State',
    width: '124px',
    cell: ({ state }) => <Badge tone={ALERT_TONES[state]}>{state}</Badge>,
  },
  { name: 'rule', title: 'Rule', cell: ({ rule }) => rule },
  {
    name: 'device',
    title: 'Device',
    cell: ({ device }) => device && <a href={linkTo(['devices', device])}>{device}</a>,
  },
  { name: 'value', title: 'Value', cell: ({ value }) => fieldValue(value) },
  { name: 'since', title: 'Since', width: '110px', cell: ({ since }) => <Ago at={since} /> },
];

/** Only on hubs that have alerts. */
export function AlertsPage() {
  const { data, error, reload } = useResource(
    'alerts',
    (signal) => get<{ alerts: Alert[] }>('/v1/alerts', { signal }),
    ASK_MS,
  );
  if (!data) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  return (
    <>
      <div class="page-head">
        <h1>Alerts</h1>
      </div>
      <Table
        label="Alerts"
        columns={COLUMNS}
        rows={data.alerts}
        keyOf={({ rule, device }) => `${rule} ${device}`}
        empty={<Empty icon="alerts" title="Nothing fires" />}
      />
    </>
  );
}
