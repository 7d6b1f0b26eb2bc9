/** The devices: found by word, presence and tag, sorted, smooth with ten thousand of them. */
import { useMemo, useState } from 'preact/hooks';
import type { Device } from '../hub/devices.ts';
import { may } from '../hub/session.ts';
import { SearchField } from '../kit/fields.tsx';
import { count } from '../kit/format.ts';
import { Icon } from '../kit/icons.tsx';
import { Choice, Empty, Trouble, Waiting } from '../kit/parts.tsx';
import { type Column, type Sorting, sorted, Table } from '../kit/table.tsx';
import { Ago } from '../kit/time.tsx';
import { goTo, linkTo, place } from '../router.ts';
import { AddDevice } from './add-device.tsx';
import { type DeviceFilter, fits, sortingOf, sortText, tagsOf } from './device-filter.ts';
import { PresenceBadge, Tags } from './device-parts.tsx';
import { useFleet } from './fleet.ts';

const COLUMNS: Column<Device>[] = [
  {
    name: 'id',
    title: 'Device',
    width: '26%',
    by: ({ id }) => id,
    cell: ({ id }) => <a href={linkTo(['devices', id])}>{id}</a>,
  },
  {
    name: 'presence',
    title: 'Presence',
    width: '116px',
    by: ({ presence, enabled }) => `${enabled ? presence.state : 'disabled'}`,
    cell: ({ presence, enabled }) => <PresenceBadge presence={presence} enabled={enabled} />,
  },
  {
    name: 'since',
    title: 'Since',
    width: '112px',
    lesser: true,
    by: ({ presence }) => -presence.since,
    cell: ({ presence }) => <Ago at={presence.since} />,
  },
  {
    name: 'tags',
    title: 'Tags',
    lesser: true,
    by: ({ tags }) => Object.values(tags).join(' '),
    cell: ({ tags }) => <Tags tags={tags} />,
  },
  {
    name: 'description',
    title: 'Description',
    lesser: true,
    by: ({ description }) => description.toLowerCase(),
    cell: ({ description }) => description,
  },
];

const PRESENCES: [DeviceFilter['presence'], string][] = [
  ['', 'All'],
  ['online', 'Online'],
  ['silent', 'Silent'],
  ['offline', 'Offline'],
  ['disabled', 'Disabled'],
];

/** What the address asks for. */
function filterOf(query: URLSearchParams): DeviceFilter {
  const presence = PRESENCES.find(([name]) => name === query.get('presence'))?.[0] ?? '';
  return { text: query.get('search') ?? '', presence, tag: query.get('tag') ?? '' };
}

/** Filter and sorting are in the address, so that it can be shared and gone back to. */
export function DevicesPage() {
  const fleet = useFleet();
  const [adding, setAdding] = useState(false);
  const { query } = place.value;
  const filter = filterOf(query);
  const { text, presence, tag } = filter;
  const sorting = sortingOf(query.get('sort'), COLUMNS);
  const show = ({ text: search, ...rest }: DeviceFilter, by: Sorting) =>
    goTo(linkTo(['devices'], { search, ...rest, sort: sortText(by) }), { replace: true });
  const shown = useMemo(() => {
    return sorted(
      (fleet.data ?? []).filter((device) => fits(device, { text, presence, tag })),
      COLUMNS,
      sorting,
    );
  }, [fleet.data, text, presence, tag, sortText(sorting)]);
  return (
    <>
      <div class="page-head">
        <h1>Devices</h1>
        {fleet.data && <span class="soft">{countWords(shown.length, fleet.data.length)}</span>}
        {may('operator') && (
          <button type="button" class="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" /> Add device
          </button>
        )}
      </div>
      <Filters filter={filter} onChange={(next) => show({ ...filter, ...next }, sorting)} devices={fleet.data ?? []} />
      {fleet.error && <Trouble error={fleet.error} onRetry={fleet.reload} />}
      <div class="fills table-fills">
        {fleet.data ? (
          <Table
            label="Devices"
            columns={COLUMNS}
            rows={shown}
            keyOf={({ id }) => id}
            onOpen={({ id }) => goTo(linkTo(['devices', id]))}
            sorting={sorting}
            onSort={(by) => show(filter, by)}
            empty={<NoDevices any={fleet.data.length > 0} />}
          />
        ) : (
          !fleet.error && <Waiting />
        )}
      </div>
      {adding && <AddDevice onClose={() => setAdding(false)} onAdded={fleet.reload} />}
    </>
  );
}

const countWords = (shown: number, all: number) => (shown === all ? count(all) : `${count(shown)} of ${count(all)}`);

function NoDevices({ any }: { any: boolean }) {
  if (any)
    return (
      <Empty icon="search" title="No device fits">
        Change the search or the filters above.
      </Empty>
    );
  return (
    <Empty icon="devices" title="No devices yet">
      Add one: it gets a token, and you get a program to start from.
    </Empty>
  );
}

interface FiltersProps {
  filter: DeviceFilter;
  devices: readonly Device[];
  onChange(change: Partial<DeviceFilter>): void;
}

function Filters({ filter, devices, onChange }: FiltersProps) {
  const tags = useMemo(() => tagsOf(devices), [devices]);
  const known = filter.tag === '' || tags.includes(filter.tag) ? tags : [filter.tag, ...tags];
  return (
    <div class="filters">
      <SearchField label="Search devices" value={filter.text} onText={(text) => onChange({ text })} />
      <Choice
        label="Presence"
        options={PRESENCES}
        value={filter.presence}
        onPick={(presence) => onChange({ presence })}
      />
      {known.length > 0 && (
        <select aria-label="Tag" value={filter.tag} onChange={(event) => onChange({ tag: event.currentTarget.value })}>
          <option value="">Any tag</option>
          {known.map((tag) => (
            <option key={tag} value={tag}>
              {tag}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}
