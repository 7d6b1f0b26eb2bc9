/** The lists on the page of a device: its commands, sessions, gaps, refused readings, and who changed what. */
import { CommandTable } from '../commands/command-table.tsx';
import { SendForm } from '../commands/send-form.tsx';
import { hasRoute } from '../hub/catalog.ts';
import { get, path } from '../hub/client.http.ts';
import type { Command } from '../hub/commands.ts';
import { type DeviceSession, endWords } from '../hub/devices.ts';
import { usePaged } from '../hub/paged.ts';
import { useResource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { count, span, things } from '../kit/format.ts';
import { PagedTable } from '../kit/paged-table.tsx';
import { Card, Empty, Loaded } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Moment, now } from '../kit/time.tsx';
import { AuditList } from '../pages/audit.tsx';
import { QuarantineList } from '../pages/quarantine.tsx';
import type { DevicePartProps } from './device-page.tsx';

/** Sending beside what was sent. */
export function DeviceCommands({ device }: DevicePartProps) {
  const list = usePaged<Command>(path`/v1/devices/${device.id}/commands`, 'commands');
  return (
    <div class={may('operator') ? 'beside' : ''}>
      {may('operator') && (
        <Card title="Send a command">
          <SendForm device={device.id} isOnline={device.online} />
        </Card>
      )}
      <Card title="Commands of this device" class="short">
        <CommandTable
          list={list}
          takes={(command) => command.device === device.id}
          without={['device', 'actor']}
          empty={<Empty icon="commands" title="None so far" />}
        />
      </Card>
    </div>
  );
}

const SESSION_COLUMNS: Column<DeviceSession>[] = [
  {
    name: 'from',
    title: 'Connected',
    width: '190px',
    wraps: true,
    cell: ({ connectedAt }) => <Moment at={connectedAt} />,
  },
  {
    name: 'for',
    title: 'For',
    width: '110px',
    cell: ({ connectedAt, endedAt }) => span((endedAt ?? now.value) - connectedAt),
  },
  { name: 'end', title: 'Ended', wraps: true, cell: endWords },
  { name: 'address', title: 'From', lesser: true, cell: ({ address }) => <code>{address}</code> },
  {
    name: 'readings',
    title: 'Readings',
    width: '110px',
    align: 'end',
    cell: ({ readings }) => (readings === undefined ? '–' : count(readings)),
  },
];

/** The last connections. */
export function DeviceSessions({ device }: DevicePartProps) {
  const key = `sessions ${device.id} ${device.presence.since}`;
  const url = path`/v1/devices/${device.id}/sessions`;
  const known = useResource(key, (signal) => get<{ sessions: DeviceSession[] }>(url, { signal }));
  return (
    <Loaded resource={known}>
      {({ sessions }) => (
        <Table
          label="Sessions"
          columns={SESSION_COLUMNS}
          rows={sessions}
          keyOf={({ id }) => id}
          empty={<Empty icon="devices" title="It never connected" />}
        />
      )}
    </Loaded>
  );
}

interface Gap {
  id: number;
  epoch: string;
  from: number;
  to: number;
  at: number;
}

const GAP_COLUMNS: Column<Gap>[] = [
  { name: 'at', title: 'Noticed', width: '200px', cell: ({ at }) => <Moment at={at} /> },
  { name: 'size', title: 'Missing', cell: ({ from, to }) => things(to - from + 1, 'frame') },
  {
    name: 'numbers',
    title: 'Numbers',
    cell: ({ from, to }) => (from === to ? count(from) : `${count(from)} to ${count(to)}`),
  },
  { name: 'epoch', title: 'Epoch', lesser: true, cell: ({ epoch }) => <code>{epoch}</code> },
];

/** Frames that never came. */
export function DeviceGaps({ device }: DevicePartProps) {
  if (!hasRoute('GET /v1/devices/{id}/gaps')) return <Empty icon="status" title="This hub keeps no ledger of gaps" />;
  return <GapList id={device.id} />;
}

function GapList({ id }: { id: string }) {
  const list = usePaged<Gap>(path`/v1/devices/${id}/gaps`, 'gaps');
  return (
    <PagedTable
      label="Gaps"
      list={list}
      columns={GAP_COLUMNS}
      keyOf={(gap) => String(gap.id)}
      empty={
        <Empty icon="check" title="No gaps">
          Every numbered frame of this device reached the hub.
        </Empty>
      }
    />
  );
}

/** Its refused readings. */
export function DeviceQuarantine({ device }: DevicePartProps) {
  return <QuarantineList device={device.id} />;
}

/** Who changed it. */
export function DeviceAudit({ device }: DevicePartProps) {
  return <AuditList target={device.id} />;
}
