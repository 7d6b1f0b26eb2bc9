/** A table over a list that comes in pages, with everything that may happen on the way. */
import type { ComponentChildren } from 'preact';
import type { Paged } from '../hub/paged.ts';
import { Act, Loaded } from './parts.tsx';
import { type Column, Table } from './table.tsx';

interface PagedTableProps<Row> {
  label: string;
  list: Paged<Row>;
  columns: Column<Row>[];
  keyOf(row: Row): string;
  onOpen?(row: Row): void;
  empty: ComponentChildren;
}

/** In the hub's own order: the newest first. */
export function PagedTable<Row>({ label, list, columns, keyOf, onOpen, empty }: PagedTableProps<Row>) {
  return (
    <Loaded resource={list}>
      {(rows) => (
        <div class="fills table-fills">
          <Table label={label} columns={columns} rows={rows} keyOf={keyOf} empty={empty} {...(onOpen && { onOpen })} />
          {list.more && (
            <div class="more">
              <Act act={list.more}>Show more</Act>
            </div>
          )}
        </div>
      )}
    </Loaded>
  );
}
