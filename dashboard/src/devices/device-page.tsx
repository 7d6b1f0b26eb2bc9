/** One device: what it measures, what it was told, how it was connected, and what can be done with it. */
import type { ComponentType } from 'preact';
import { get } from '../hub/client.http.ts';
import { type DeviceWithLast, deviceUrl } from '../hub/devices.ts';
import { presencesIn, useLive } from '../hub/live.ts';
import { useResource } from '../hub/resource.ts';
import { may, type Role } from '../hub/session.ts';
import { Icon } from '../kit/icons.tsx';
import { Trouble, Waiting } from '../kit/parts.tsx';
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
  if (!device) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  const name = place.value.parts[2] ?? '';
  const tabs = TABS.filter(({ role }) => role === undefined || may(role));
  const tab = tabs.find((one) => one.name === name) ?? tabs[0]!;
  return (
    <>
      <Head device={device} />
      <nav class="tabs" aria-label="Parts of the device">
        {tabs.map(({ name: other, title }) => (
          <a
            key={other}
            href={linkTo(['devices', id, ...(other === '' ? [] : [other])])}
            aria-current={other === tab.name ? 'page' : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      {error && <Trouble error={error} onRetry={reload} />}
      <tab.part device={device} reload={reload} />
    </>
  );
}

/** The hub's word; then it counts from when the device was added. */
const NEVER = 'never connected';

function Head({ device }: { device: DeviceWithLast }) {
  const { id, presence, enabled, tags, description } = device;
  return (
    <div class="device-head">
      <p class="crumbs">
        <a href="#/devices">Devices</a> <Icon name="right" size={14} />
      </p>
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
