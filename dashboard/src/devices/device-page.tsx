/** One device: what it measures, what it was told, how it was connected, and what can be done with it. */
import type { ComponentType } from 'preact';
import { get, HubRefusal } from '../hub/client.http.ts';
import { type DeviceWithLast, deviceUrl } from '../hub/devices.ts';
import { presencesIn, useLive } from '../hub/live.ts';
import { useResource } from '../hub/resource.ts';
import { may, type Role, session } from '../hub/session.ts';
import { Icon } from '../kit/icons.tsx';
import { Empty, Trouble, Waiting } from '../kit/parts.tsx';
import { Ago } from '../kit/time.tsx';
import { linkTo, place } from '../router.ts';
import { DeviceAudit, DeviceCommands, DeviceGaps, DeviceQuarantine, DeviceSessions } from './device-lists.tsx';
import { PresenceBadge, Tags } from './device-parts.tsx';
import { DeviceSettings } from './device-settings.tsx';
import { Measurements } from './measurements.tsx';

/** What each part of the page is given. */
export interface DevicePartProps {
  device: DeviceWithLast;
  reload(): void;
}

interface Tab {
  name: string;
  title: string;
  part: ComponentType<DevicePartProps>;
  role?: Role;
}

const TABS: Tab[] = [
  { name: '', title: 'Measurements', part: Measurements },
  { name: 'commands', title: 'Commands', part: DeviceCommands },
  { name: 'sessions', title: 'Sessions', part: DeviceSessions },
  { name: 'gaps', title: 'Gaps', part: DeviceGaps },
  { name: 'quarantine', title: 'Quarantine', part: DeviceQuarantine },
  { name: 'audit', title: 'Audit', part: DeviceAudit, role: 'operator' },
  { name: 'settings', title: 'Settings', part: DeviceSettings },
];

/** The tab is in the address. */
export function DevicePage({ id }: { id: string }) {
  const resource = useResource(`device ${id}`, (signal) => get<DeviceWithLast>(deviceUrl(id), { signal }));
  useLive({ presence: true }, (news) => {
    const own = presencesIn(news).findLast(({ device }) => device === id);
    if (!own) return;
    const { presence } = own;
    resource.set((device) => ({ ...device, presence, online: presence.state !== 'offline' }));
  });
  const { data: device, error, reload } = resource;
  if (!device) return error ? <Unknown id={id} error={error} reload={reload} /> : <Waiting />;
  const name = place.value.parts[2] ?? '';
  const isOpen = ({ role }: Tab) => role === undefined || may(role);
  const tab = TABS.find((one) => one.name === name);
  return (
    <>
      <Head device={device} />
      <nav class="tabs" aria-label="Parts of the device">
        {TABS.filter(isOpen).map(({ name: other, title }) => (
          <a
            key={other}
            href={linkTo(['devices', id, ...(other === '' ? [] : [other])])}
            aria-current={other === name ? 'page' : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      {error && <Trouble error={error} onRetry={reload} />}
      {tab && isOpen(tab) ? <tab.part device={device} reload={reload} /> : <Closed id={id} tab={tab} />}
    </>
  );
}

/** There is no such device, or what the hub said instead of telling of it. */
function Unknown({ id, error, reload }: { id: string; error: Error; reload(): void }) {
  const isMissing = error instanceof HubRefusal && error.code === 'not-found';
  return (
    <>
      <Crumbs />
      {!isMissing && <Trouble error={error} onRetry={reload} />}
      {isMissing && (
        <div class="empty" role="alert">
          <Icon name="devices" size={32} />
          <h1>There is no device “{id}”</h1>
          <p>
            It was removed, or its id is written otherwise. <a href="#/devices">Go to the list of devices</a>.
          </p>
        </div>
      )}
    </>
  );
}

/** A part that the role does not open, or that there is not. */
function Closed({ id, tab }: { id: string; tab: Tab | undefined }) {
  const title = tab ? `${tab.title} needs the role ${tab.role}` : 'A device has no such part';
  return (
    <Empty icon="operators" title={title}>
      {tab && `Yours is ${session.value?.role}. `}
      <a href={linkTo(['devices', id])}>Go to the measurements</a>.
    </Empty>
  );
}

/** The hub's word; then it counts from when the device was added. */
const NEVER = 'never connected';

function Crumbs() {
  return (
    <p class="crumbs">
      <a href="#/devices">Devices</a> <Icon name="right" size={14} />
    </p>
  );
}

function Head({ device }: { device: DeviceWithLast }) {
  const { id, presence, enabled, tags, description } = device;
  return (
    <div class="device-head">
      <Crumbs />
      <div class="page-head">
        <h1>{id}</h1>
        <PresenceBadge presence={presence} enabled={enabled} />
        <span class="soft">
          {presence.reason}, {presence.reason === NEVER && 'added '}
          <Ago at={presence.since} />
        </span>
      </div>
      {(description || Object.keys(tags).length > 0) && (
        <div class="device-about">
          {description && <span>{description}</span>}
          <Tags tags={tags} />
        </div>
      )}
    </div>
  );
}
