/** A list of commands that changes as they do; a press opens one. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Command } from '../hub/commands.ts';
import type { Paged } from '../hub/paged.ts';
import { PagedTable } from '../kit/paged-table.tsx';
import type { Column } from '../kit/table.tsx';
import { Ago } from '../kit/time.tsx';
import { linkTo } from '../router.ts';
import { useCommandNews } from './command-news.ts';
import { CommandDialog, commandTitle, paramsText, StateBadge } from './command-parts.tsx';

const COLUMNS: Column<Command>[] = [
  { name: 'state', title: 'State', width: '136px', cell: ({ state }) => <StateBadge state={state} /> },
  { name: 'name', title: 'Command', wraps: true, cell: ({ name }) => commandTitle(name) },
  {
    name: 'device',
    title: 'Device',
    wraps: true,
    cell: ({ device }) => <a href={linkTo(['devices', device])}>{device}</a>,
  },
  { name: 'params', title: 'Parameters', lesser: true, cell: ({ params }) => paramsText(params) },
  { name: 'actor', title: 'Asked by', lesser: true, cell: ({ actor }) => actor.replace(/^operator:/, '') },
  { name: 'at', title: 'When', width: '112px', cell: ({ createdAt }) => <Ago at={createdAt} /> },
];

interface CommandTableProps {
  list: Paged<Command>;
  /** Whether a command that is new belongs into this list. */
  takes(command: Command): boolean;
  /** Columns that say nothing here. */
  without?: string[];
  empty: ComponentChildren;
}

/** The newest first. */
export function CommandTable({ list, takes, without = [], empty }: CommandTableProps) {
  const [open, setOpen] = useState<string>();
  const data = useCommandNews(list, takes);
  const opened = data?.find(({ id }) => id === open);
  return (
    <>
      <PagedTable
        label="Commands"
        list={{ ...list, data }}
        columns={COLUMNS.filter(({ name }) => !without.includes(name))}
        keyOf={({ id }) => id}
        onOpen={({ id }) => setOpen(id)}
        empty={empty}
      />
      {opened && <CommandDialog command={opened} onClose={() => setOpen(undefined)} />}
    </>
  );
}
