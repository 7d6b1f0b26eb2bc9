/** The frame around every page: where one can go, whether the hub is there, who one is. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { CommandsPage } from './commands/commands-page.tsx';
import { GroupsPage } from './commands/groups-page.tsx';
import { SchedulesPage } from './commands/schedules-page.tsx';
import { DevicePage } from './devices/device-page.tsx';
import { DevicesPage } from './devices/devices-page.tsx';
import { hasRoute } from './hub/catalog.ts';
import { joined, joinNow, nextAttemptAt } from './hub/live.ts';
import { may, type Role, session, signOut } from './hub/session.ts';
import { Icon, type IconName } from './kit/icons.tsx';
import { theme, toggleTheme } from './kit/theme.ts';
import { now } from './kit/time.tsx';
import { Logo } from './logo.tsx';
import { OverviewPage } from './overview/overview-page.tsx';
import { AlertsPage } from './pages/alerts.tsx';
import { AuditPage } from './pages/audit.tsx';
import { BridgePage } from './pages/bridge.tsx';
import { OperatorsPage } from './pages/operators.tsx';
import { QuarantinePage } from './pages/quarantine.tsx';
import { StatusPage } from './pages/status.tsx';
import { linkTo, place } from './router.ts';

interface Room {
  name: string;
  title: string;
  icon: IconName;
  page: ComponentType<{ id: string | undefined }>;
  /** The least role; anybody without it. */
  role?: Role;
  /** Only when the hub has it. */
  route?: string;
}

const ROOMS: Room[] = [
  { name: '', title: 'Overview', icon: 'overview', page: OverviewPage },
  { name: 'devices', title: 'Devices', icon: 'devices', page: DevicesOrOne },
  { name: 'commands', title: 'Commands', icon: 'commands', page: CommandsPage },
  { name: 'groups', title: 'Groups', icon: 'groups', page: GroupsPage },
  { name: 'schedules', title: 'Schedules', icon: 'schedules', page: SchedulesPage },
  { name: 'quarantine', title: 'Quarantine', icon: 'quarantine', page: QuarantinePage },
  { name: 'alerts', title: 'Alerts', icon: 'alerts', page: AlertsPage, route: 'GET /v1/alerts' },
  { name: 'bridge', title: 'Bridge', icon: 'bridge', page: BridgePage, route: 'GET /v1/bridge' },
  { name: 'operators', title: 'Operators', icon: 'operators', page: OperatorsPage, role: 'admin' },
  { name: 'audit', title: 'Audit', icon: 'audit', page: AuditPage, role: 'operator' },
  { name: 'status', title: 'Status', icon: 'status', page: StatusPage },
];

function DevicesOrOne({ id }: { id: string | undefined }) {
  return id === undefined ? <DevicesPage /> : <DevicePage key={id} id={id} />;
}

const isOpen = ({ role, route }: Room) => (!role || may(role)) && (!route || hasRoute(route));

/** Navigation, top bar and the page that the address names. */
export function Shell() {
  const [menu, setMenu] = useState(false);
  const main = useRef<HTMLElement>(null);
  const [name = '', id] = place.value.parts;
  const room = ROOMS.find((one) => one.name === name && isOpen(one));
  const title = id === undefined ? (room?.title ?? 'Not found') : id;
  useEffect(() => {
    document.title = `${title} · Telemetry Hub`;
    setMenu(false);
    main.current?.scrollTo(0, 0);
  }, [title]);
  useShortcuts();
  return (
    <div class={menu ? 'shell menu-open' : 'shell'}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the page
      </button>
      <Navigation room={name} />
      <button type="button" class="veil" tabIndex={-1} aria-label="Close the menu" onClick={() => setMenu(false)} />
      <TopBar title={room?.title ?? 'Not found'} menu={menu} onMenu={() => setMenu(!menu)} />
      <main ref={main} id="main" tabIndex={-1}>
        <LostNotice />
        {room ? <room.page id={id} /> : <NoRoom />}
      </main>
    </div>
  );
}

function Navigation({ room }: { room: string }) {
  return (
    <nav aria-label="Pages" id="pages">
      <a class="brand" href="#/">
        <Logo size={28} />
        <span>Telemetry Hub</span>
      </a>
      <ul>
        {ROOMS.filter(isOpen).map(({ name, title, icon }) => (
          <li key={name}>
            <a href={linkTo(name === '' ? [] : [name])} aria-current={name === room ? 'page' : undefined}>
              <Icon name={icon} />
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function TopBar({ title, menu, onMenu }: { title: string; menu: boolean; onMenu(): void }) {
  const dark = theme.value === 'dark';
  const label = dark ? 'Light colours' : 'Dark colours';
  return (
    <header class="top">
      <button
        type="button"
        class="bare only-narrow"
        aria-label="Menu"
        aria-expanded={menu}
        aria-controls="pages"
        onClick={onMenu}
      >
        <Icon name="menu" />
      </button>
      <span class="top-title only-narrow">{title}</span>
      <LiveSign />
      <span class="who" title={`Role: ${session.value?.role}`}>
        {session.value?.operator} <small>{session.value?.role}</small>
      </span>
      <button type="button" class="bare" aria-label={label} title={label} onClick={toggleTheme}>
        <Icon name={dark ? 'sun' : 'moon'} />
      </button>
      <button type="button" class="bare" aria-label="Sign out" title="Sign out" onClick={() => void signOut()}>
        <Icon name="out" />
      </button>
    </header>
  );
}

function LiveSign() {
  const live = joined.value === 'live';
  return (
    <span class={live ? 'live-sign on' : 'live-sign'} role="status">
      {live ? 'Live' : joined.value === 'joining' ? 'Connecting…' : 'Connection lost'}
    </span>
  );
}

/** Says that what is shown is old, and when the next attempt is. */
function LostNotice() {
  if (joined.value !== 'lost') return null;
  const seconds = Math.max(0, Math.ceil((nextAttemptAt.value - now.value) / 1_000));
  return (
    <div class="notice warn" role="alert">
      <Icon name="warning" />
      <span>The hub does not answer. What you see is the last it said; devices keep their readings meanwhile.</span>
      <button type="button" onClick={joinNow}>
        Try now{seconds > 0 ? <span aria-hidden="true"> ({seconds} s)</span> : ''}
      </button>
    </div>
  );
}

function NoRoom() {
  return (
    <div class="empty">
      <Icon name="search" size={32} />
      <h1>There is no such page</h1>
      <p>
        Or your role does not open it. <a href="#/">Go to the overview</a>.
      </p>
    </div>
  );
}

/** `/` goes to the search of the page. */
function useShortcuts() {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const busy = event.target instanceof Element && event.target.closest('input, textarea, select, dialog');
      if (event.key !== '/' || busy || event.ctrlKey || event.metaKey) return;
      const search = document.querySelector<HTMLInputElement>('input[type=search]');
      if (!search) return;
      event.preventDefault();
      search.focus();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}
