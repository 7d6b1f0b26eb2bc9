/** The devices that send most, as a card. */
import { get } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { bytes, count } from '../kit/format.ts';
import { Badge, Card, Loaded } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';

interface Talker {
  device: string;
  perSecond: { frames: number; readings: number; bytes: number; flows: number };
}

/** The hub looks as often. */
const ASK_MS = 5_000;

const COLUMNS: Column<Talker>[] = [
  { name: 'device', title: 'Device', wraps: true, cell: ({ device }) => <a href={`#/devices/${device}`}>{device}</a> },
  { name: 'bytes', title: 'A second', align: 'end', cell: ({ perSecond }) => bytes(perSecond.bytes) },
  { name: 'readings', title: 'Readings/s', align: 'end', cell: ({ perSecond }) => count(perSecond.readings) },
  { name: 'frames', title: 'Frames/s', align: 'end', lesser: true, cell: ({ perSecond }) => count(perSecond.frames) },
  { name: 'flows', title: 'Told to wait/s', align: 'end', cell: ({ perSecond }) => <Flows {...perSecond} /> },
];

function Flows({ flows }: { flows: number }) {
  return flows > 0 ? <Badge tone="warn">{count(flows)}</Badge> : '0';
}

export function TalkersCard() {
  const talkers = useResource('talkers', (signal) => get<{ talkers: Talker[] }>('/v1/talkers', { signal }), ASK_MS);
  const empty = 'No device sent anything in the last seconds';
  return (
    <Card title="Top talkers">
      <Loaded resource={talkers}>
        {({ talkers: rows }) => (
          <Table label="Top talkers" columns={COLUMNS} rows={rows} keyOf={({ device }) => device} empty={empty} />
        )}
      </Loaded>
    </Card>
  );
}
