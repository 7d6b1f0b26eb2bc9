/** Readings that were refused, each with its reason; where the hub can, trying them again and dropping them. */
import { useState } from 'preact/hooks';
import { hasRoute } from '../hub/catalog.ts';
import { post } from '../hub/client.http.ts';
import { type Paged, usePaged } from '../hub/paged.ts';
import { may } from '../hub/session.ts';
import { confirmed, Dialog } from '../kit/dialog.tsx';
import { SearchField } from '../kit/fields.tsx';
import { things } from '../kit/format.ts';
import { PagedTable } from '../kit/paged-table.tsx';
import { Act, Empty, Facts } from '../kit/parts.tsx';
import type { Column } from '../kit/table.tsx';
import { Ago, Moment } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { goTo, linkTo, place } from '../router.ts';

export interface Refused {
  id: number;
  device: string;
  stream: string;
  epoch: string;
  seq: number;
  receivedAt: number;
  index?: number;
  path: string;
  code: string;
  message: string;
  reading: unknown;
  /** When it was last tried again in vain. */
  triedAt?: number;
}

const COLUMNS: Column<Refused>[] = [
  { name: 'at', title: 'Came', width: '104px', cell: ({ receivedAt }) => <Ago at={receivedAt} /> },
  {
    name: 'device',
    title: 'Device',
    width: '22%',
    wraps: true,
    cell: ({ device }) => <a href={linkTo(['devices', device])}>{device}</a>,
  },
  { name: 'stream', title: 'Stream', width: '120px', lesser: true, cell: ({ stream }) => stream },
  { name: 'why', title: 'Why', wraps: true, cell: why },
  { name: 'reading', title: 'Reading', lesser: true, cell: ({ reading }) => <code>{JSON.stringify(reading)}</code> },
];

/** What is wrong and where, in one line. */
export function why({ path, message, code }: Pick<Refused, 'path' | 'message' | 'code'>): string {
  // What is wrong with the stream says so itself.
  if (path === '/stream') return message || code;
  return `${path.replace(/^\//, '').replaceAll('/', '.')} ${message || code}`.trim();
}

/** The list for one device, or for all. */
export function QuarantineList({ device }: { device?: string }) {
  const list = usePaged<Refused>('/v1/quarantine', 'readings', { device }, 5_000);
  const [open, setOpen] = useState<Refused>();
  return (
    <>
      {(list.data?.length ?? 0) > 0 && <AllActions list={list} {...(device && { device })} />}
      <PagedTable
        label="Refused readings"
        list={list}
        columns={device ? COLUMNS.filter(({ name }) => name !== 'device') : COLUMNS}
        keyOf={({ id }) => String(id)}
        onOpen={(refused) => setOpen(refused)}
        empty={
          <Empty icon="check" title="Nothing was refused">
            Readings that break their schema, or that the store refuses, are kept here with the reason.
          </Empty>
        }
      />
      {open && <RefusedDialog refused={open} onClose={() => setOpen(undefined)} onChanged={list.reload} />}
    </>
  );
}

/** The hub tries at most a thousand in one request; `next` says where to go on. */
async function replay(selection: Record<string, unknown>): Promise<void> {
  let [replayed, refused] = [0, 0];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const answer: { replayed: number; refused: number; next?: number } = await post('/v1/quarantine/replay', {
      ...selection,
      after,
    });
    replayed += answer.replayed;
    refused += answer.refused;
    after = answer.next;
  }
  say(`${things(replayed, 'reading')} stored${refused > 0 ? `; ${things(refused, 'reading')} still refused` : ''}.`, {
    bad: replayed === 0,
  });
}

async function drop(selection: Record<string, unknown>, what: string): Promise<boolean> {
  if (!(await confirmed({ title: `Drop ${what}?`, text: 'They are forgotten for good.', yes: 'Drop', danger: true })))
    return false;
  const { dropped } = await post<{ dropped: number }>('/v1/quarantine/drop', selection);
  say(`${things(dropped, 'reading')} dropped.`);
  return true;
}

const canReplay = () => may('operator') && hasRoute('POST /v1/quarantine/replay');

function AllActions({ list, device }: { list: Paged<Refused>; device?: string }) {
  if (!canReplay()) return null;
  const selection = device === undefined ? { all: true } : { device };
  return (
    <div class="actions">
      <Act act={() => replay(selection).then(list.reload)}>Try all again</Act>
      <Act kind="danger" act={() => drop(selection, 'all of these readings').then(list.reload)}>
        Drop all
      </Act>
    </div>
  );
}

function RefusedDialog({ refused, onClose, onChanged }: { refused: Refused; onClose(): void; onChanged(): void }) {
  const { id, device, stream, receivedAt, code, reading, triedAt, seq } = refused;
  const done = () => {
    onChanged();
    onClose();
  };
  return (
    <Dialog title={`Refused: ${why(refused)}`} onClose={onClose} wide>
      <Facts
        facts={[
          [
            'Device',
            <a key="d" href={linkTo(['devices', device])} onClick={onClose}>
              {device}
            </a>,
          ],
          ['Stream', stream],
          ['Rule', <code key="c">{code}</code>],
          ['Came', <Moment key="m" at={receivedAt} />],
          ['Frame', `number ${seq}`],
          ...(triedAt === undefined
            ? []
            : [['Tried again', <Moment key="t" at={triedAt} />] as [string, preact.JSX.Element]]),
        ]}
      />
      <pre class="block">{typeof reading === 'string' ? reading : JSON.stringify(reading, null, 2)}</pre>
      {canReplay() && (
        <footer>
          <Act kind="danger" act={async () => (await drop({ ids: [id] }, 'this reading')) && done()}>
            Drop
          </Act>
          <Act kind="primary" act={() => replay({ ids: [id] }).then(done)}>
            Try again
          </Act>
        </footer>
      )}
    </Dialog>
  );
}

/** Of all devices. */
export function QuarantinePage() {
  const device = place.value.query.get('device') ?? '';
  const change = (text: string) => goTo(linkTo(['quarantine'], { device: text.trim() }), { replace: true });
  return (
    <>
      <div class="page-head">
        <h1>Quarantine</h1>
      </div>
      <div class="filters">
        <SearchField label="Only of the device" value={device} onText={change} />
      </div>
      <QuarantineList key={device} {...(device && { device })} />
    </>
  );
}
