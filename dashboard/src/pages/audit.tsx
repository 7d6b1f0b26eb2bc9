/** Who changed what, when, from where, and with what result. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { usePaged } from '../hub/paged.ts';
import { Dialog } from '../kit/dialog.tsx';
import { SearchField } from '../kit/fields.tsx';
import { PagedTable } from '../kit/paged-table.tsx';
import { Badge, Empty, Facts } from '../kit/parts.tsx';
import type { Column } from '../kit/table.tsx';
import { Moment } from '../kit/time.tsx';

interface Entry {
  id: number;
  at: number;
  actor: string;
  action: string;
  /** The action for people; absent of what has no name. */
  words?: string;
  target: string;
  result: string;
  from?: string;
  detail?: string;
}

const COLUMNS: Column<Entry>[] = [
  { name: 'at', title: 'When', width: '190px', wraps: true, cell: ({ at }) => <Moment at={at} /> },
  { name: 'actor', title: 'Who', width: '150px', wraps: true, cell: ({ actor }) => actor.replace(/^operator:/, '') },
  { name: 'action', title: 'What', wraps: true, cell: What },
  { name: 'target', title: 'Of what', width: '18%', lesser: true, wraps: true, cell: ({ target }) => target },
  {
    name: 'result',
    title: 'Result',
    width: '170px',
    wraps: true,
    cell: ({ result }) => <Badge tone={result === 'ok' ? 'good' : 'bad'}>{result}</Badge>,
  },
  { name: 'from', title: 'From', width: '140px', lesser: true, cell: ({ from }) => <code>{from}</code> },
];

function What({ action, words = action, detail }: Entry) {
  return (
    <span title={[action, detail].filter(Boolean).join(', ')}>
      {words} {detail && <small>{detail}</small>}
    </span>
  );
}

/** The log, of one target or of all. */
export function AuditList({ target, actor }: { target?: string; actor?: string }) {
  const list = usePaged<Entry>('/v1/audit', 'entries', { target, actor });
  const empty = <Empty icon="audit" title="Nothing was changed" />;
  const [open, setOpen] = useState<Entry>();
  return (
    <>
      <PagedTable
        label="Audit log"
        list={list}
        columns={COLUMNS}
        keyOf={({ id }) => String(id)}
        onOpen={(entry) => setOpen(entry)}
        empty={empty}
      />
      {open && <EntryDialog entry={open} onClose={() => setOpen(undefined)} />}
    </>
  );
}

/** All of an entry, uncut. */
function EntryDialog({ entry, onClose }: { entry: Entry; onClose(): void }) {
  const { at, actor, action, words, target, result, from, detail } = entry;
  const facts: [string, ComponentChildren][] = [
    ['When', <Moment key="w" at={at} />],
    ['Who', actor.replace(/^operator:/, '')],
    ['What', words],
    ['Asked for', <code key="a">{action}</code>],
    ['Of what', target],
    ['Result', result],
    ['Details', detail],
    ['From', from !== undefined && <code key="f">{from}</code>],
  ];
  return (
    <Dialog title="What was done" onClose={onClose}>
      <Facts facts={facts.filter(([, fact]) => Boolean(fact))} />
    </Dialog>
  );
}

/** The whole log. */
export function AuditPage() {
  const [target, setTarget] = useState('');
  return (
    <>
      <div class="page-head">
        <h1>Audit</h1>
      </div>
      <div class="filters">
        <SearchField label="Only about the id" value={target} onText={setTarget} />
      </div>
      <AuditList target={target.trim()} />
    </>
  );
}
