/** A table that stays quick with many thousands of rows: only those in sight are in the page. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './icons.tsx';

export interface Column<Row> {
  name: string;
  title: string;
  cell(row: Row): ComponentChildren;
  /** Width as CSS says it; the rest is shared. */
  width?: string;
  align?: 'end';
  /** Not on narrow screens. */
  lesser?: boolean;
  /** Goes on in a second line instead of being cut. */
  wraps?: boolean;
  /** What to sort by; a column without cannot be sorted. */
  by?(row: Row): string | number;
}

export interface Sorting {
  column: string;
  down: boolean;
}

interface TableProps<Row> {
  /** What is in the table, for screen readers. */
  label: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  keyOf(row: Row): string;
  /** Pressing a row, or Enter on it. */
  onOpen?(row: Row): void;
  sorting?: Sorting;
  onSort?(sorting: Sorting): void;
  /** When there is nothing to show. */
  empty: ComponentChildren;
}

const ROW_PX = 44;
const SPARE_ROWS = 8;
/** Until it is measured. */
const USUAL_HEIGHT_PX = 600;

/** The rows in their order; the table itself never sorts, so that who filters and counts sees the same. */
export function sorted<Row>(rows: readonly Row[], columns: Column<Row>[], { column, down }: Sorting): Row[] {
  const by = columns.find(({ name }) => name === column)?.by;
  if (!by) return [...rows];
  const sign = down ? -1 : 1;
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map(({ row }) => row);
}

/** Scrolls inside of itself; its rows are all of one height. */
export function Table<Row>(props: TableProps<Row>) {
  const { label, columns, rows, keyOf, onOpen, empty } = props;
  const box = useRef<HTMLElement>(null);
  const { first, last } = useRowsInSight(box, rows.length);
  if (rows.length === 0) return <div class="empty">{empty}</div>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section class="table-box" ref={box} tabIndex={0} aria-label={label}>
      <table aria-rowcount={rows.length + 1}>
        <Head {...props} />
        <tbody onKeyDown={moveFocus}>
          <Space rows={first} columns={columns.length} />
          {rows.slice(first, last).map((row, index) => (
            <Line key={keyOf(row)} row={row} columns={columns} index={first + index + 2} {...(onOpen && { onOpen })} />
          ))}
          <Space rows={rows.length - last} columns={columns.length} />
        </tbody>
      </table>
    </section>
  );
}

/** Room for rows that are not in the page. */
function Space({ rows, columns }: { rows: number; columns: number }) {
  if (rows === 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row that is only room takes no focus
    <tr aria-hidden="true" class="space">
      <td colSpan={columns} style={{ height: `${rows * ROW_PX}px` }} />
    </tr>
  );
}

function Head<Row>({ columns, sorting, onSort }: TableProps<Row>) {
  return (
    <thead>
      <tr>
        {columns.map(({ name, title, width, align, lesser, by }) => {
          const down = sorting?.column === name ? sorting.down : undefined;
          const order = down === undefined ? undefined : down ? 'descending' : 'ascending';
          return (
            <th
              key={name}
              scope="col"
              class={classOf(align, lesser, width?.endsWith('%'))}
              aria-sort={order}
              style={width === undefined ? {} : { '--width': width }}
            >
              {by && onSort ? (
                <button type="button" class="bare" onClick={() => onSort({ column: name, down: down === false })}>
                  {title}
                  {down !== undefined && <Icon name={down ? 'down' : 'up'} size={14} />}
                </button>
              ) : (
                title
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

interface LineProps<Row> {
  row: Row;
  columns: Column<Row>[];
  index: number;
  onOpen?(row: Row): void;
}

function Line<Row>({ row, columns, index, onOpen }: LineProps<Row>) {
  const open = onOpen && {
    tabIndex: 0,
    class: 'opens',
    onClick: (event: MouseEvent) => isPlainPress(event) && onOpen(row),
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key === 'Enter' && event.target === event.currentTarget) onOpen(row);
    },
  };
  return (
    <tr aria-rowindex={index} {...open}>
      {columns.map(({ name, align, lesser, wraps, cell }) => (
        <td key={name} class={classOf(align, lesser)}>
          {wraps ? <div class="two-lines">{cell(row)}</div> : cell(row)}
        </td>
      ))}
    </tr>
  );
}

const classOf = (align?: 'end', lesser?: boolean, share?: boolean) =>
  [align, lesser && 'lesser', share && 'share'].filter(Boolean).join(' ');

/** A button, a link or a selection inside of the row is not the row. */
function isPlainPress({ target }: MouseEvent): boolean {
  const inside = target instanceof Element && target.closest('button, a, input, label');
  return !inside && getSelection()?.isCollapsed !== false;
}

/** Up and down go from row to row. */
function moveFocus(event: KeyboardEvent) {
  const row = event.target;
  if (!(row instanceof HTMLTableRowElement)) return;
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
  if (!(next instanceof HTMLTableRowElement) || next.ariaHidden === 'true') return;
  event.preventDefault();
  next.focus();
}

function useRowsInSight(box: { current: HTMLElement | null }, rows: number) {
  const [view, setView] = useState({ top: 0, height: USUAL_HEIGHT_PX });
  const isEmpty = rows === 0;
  // The box is another one after the table was empty.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight || USUAL_HEIGHT_PX });
    const sizes = new ResizeObserver(look);
    sizes.observe(element);
    element.addEventListener('scroll', look, { passive: true });
    return () => {
      sizes.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, [isEmpty]);
  const first = Math.max(0, Math.min(Math.floor(view.top / ROW_PX), rows) - SPARE_ROWS);
  return { first, last: Math.min(rows, first + Math.ceil(view.height / ROW_PX) + 2 * SPARE_ROWS) };
}
