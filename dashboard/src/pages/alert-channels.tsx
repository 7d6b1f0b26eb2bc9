/** Where notices of alerts go, and how it goes. */
import { get, path, post } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { count } from '../kit/format.ts';
import { Act, Badge, Card, Empty, Loaded, Said } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { say } from '../kit/toast.tsx';

interface Channel {
  name: string;
  kind: string;
  waiting: number;
  delivered: number;
  dropped: number;
  lastError?: string;
}

const ASK_MS = 5_000;

const COLUMNS: Column<Channel>[] = [
  {
    name: 'name',
    title: 'Channel',
    cell: ({ name, kind }) => (
      <span>
        {name} <small>{kind}</small>
      </span>
    ),
  },
  {
    name: 'state',
    title: 'State',
    cell: ({ lastError }) => <Badge tone={lastError ? 'bad' : 'good'}>{lastError ? 'failing' : 'fine'}</Badge>,
  },
  { name: 'waiting', title: 'Waiting', width: '96px', align: 'end', cell: ({ waiting }) => count(waiting) },
  {
    name: 'delivered',
    title: 'Delivered',
    width: '110px',
    align: 'end',
    lesser: true,
    cell: ({ delivered }) => count(delivered),
  },
  {
    name: 'dropped',
    title: 'Given up',
    width: '110px',
    align: 'end',
    lesser: true,
    cell: ({ dropped }) => count(dropped),
  },
  { name: 'test', title: 'Try it', width: '110px', cell: ({ name }) => may('operator') && <Try name={name} /> },
];

function Try({ name }: { name: string }) {
  const test = async () => {
    await post(path`/v1/alerts/channels/${name}/test`);
    say(`${name} took a test notice.`);
  };
  return (
    <Act act={test} label={`Send a test notice to ${name}`}>
      Test
    </Act>
  );
}

/** Channels are made in the configuration. */
export function Channels() {
  const load = (signal: AbortSignal) => get<{ channels: Channel[] }>('/v1/alerts/channels', { signal });
  const channels = useResource('channels', load, ASK_MS);
  return (
    <Card title="Channels">
      <Loaded resource={channels}>
        {({ channels: rows }) => (
          <>
            <Table label="Channels" columns={COLUMNS} rows={rows} keyOf={({ name }) => name} empty={<Nobody />} />
            <Said lines={rows.map(({ name, lastError }) => [name, lastError])} />
          </>
        )}
      </Loaded>
    </Card>
  );
}

function Nobody() {
  return (
    <Empty icon="alerts" title="Nobody is told">
      Name a webhook in the configuration: <code>hub config docs</code> tells of <code>alerts.webhooks</code>.
    </Empty>
  );
}
