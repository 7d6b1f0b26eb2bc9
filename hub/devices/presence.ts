/** Who is there: each device online, silent or offline, since when and why, and its last sessions. */
import type { Table } from '../backplane/backplane.ts';
import { REFUSALS, type RefusalCode } from '../kit/errors.ts';
import { Connected } from './connected.ts';
import { createWriteBehind } from './write-behind.ts';

/** `silent`: connected, but no reading for as long as one was expected. */
export const PRESENCE_STATES = ['online', 'silent', 'offline'] as const;
export type PresenceState = (typeof PRESENCE_STATES)[number];

/** How a session ended, and when (Unix ms): a refusal of the hub, `closed` by the device, or `lost` without a goodbye. */
export interface SessionEnd {
  at: number;
  reason: RefusalCode | 'closed' | 'lost' | 'hub restarted';
  detail?: string;
  /** Of WebSocket; 1005: none was given, 1006: there was no closing handshake. */
  closeCode?: number;
}

/** A device's state, the moment it last changed (Unix ms), and why. */
export interface Presence extends Omit<SessionEnd, 'reason' | 'at'> {
  state: PresenceState;
  since: number;
  reason: SessionEnd['reason'] | 'never connected' | 'connected' | 'no reading' | 'reading came';
}

/** One connection of a device. `endedAt` is absent while it lasts; the counts are, when the hub was killed meanwhile. */
export interface SessionRecord extends Partial<Omit<SessionEnd, 'at'>> {
  id: string;
  address: string;
  connectedAt: number;
  endedAt?: number;
  /** Telemetry frames that became durable, and the readings in them. */
  frames?: number;
  readings?: number;
}

/** What is stored of a device: `session` is there while it is connected. */
export interface PresenceRow extends Presence {
  session?: SessionRecord;
  /** How long it may be quiet, learnt from its readings. */
  learntMs?: number;
}

export type PresenceListener = (device: string, presence: Presence) => void;

export interface PresenceBook {
  /** A session began; one of the same device that still lasts is over as replaced. */
  opened(session: { id: string; device: string; address: string; connectedAt: number }): void;
  /** A session is over. Touches nothing when a newer one of the device has begun. */
  ended(session: { id: string; device: string }, end: SessionEnd): void;
  /**
   * A frame with so many accepted readings became durable. Called once per frame: a map look-up and a few sums. `broker`:
   * it came over this one; a device that lives there has no connection of its own and is there while it sends.
   */
  heard(device: string, at: number, readings: number, broker?: string): void;
  /** Finds the devices that have become silent by `now`; returns how many. */
  sweep(now: number): number;
  /** Undefined when it never connected. */
  of(device: string): Presence | undefined;
  /** Its last sessions, the newest first; at most `HISTORY`. */
  sessions(device: string): SessionRecord[];
  /** So many of `known` devices are in each state. */
  counts(known: number): Record<PresenceState, number>;
  onChange(listener: PresenceListener): void;
  /** Forgets a removed device. */
  forget(device: string): void;
  /** Writes what is not written yet. Idempotent. */
  close(): Promise<void>;
}

/** Sessions kept of each device, the one that lasts included. */
export const HISTORY = 20;
const WRITE_EVERY_MS = 3_000;
const REPLACED: Partial<SessionRecord> = { reason: 'replaced', closeCode: REFUSALS.replaced.close };

interface Deps {
  presence: Table<PresenceRow>;
  sessions: Table<SessionRecord[]>;
  /** How long the device may be quiet, if somebody said so. */
  expectedIntervalMs(device: string): number | undefined;
  now?: () => number;
}

/** Opens the book over its tables. Whoever was connected when the hub was killed is offline from now on. */
export function createPresence({ presence, sessions, expectedIntervalMs, now = Date.now }: Deps): PresenceBook {
  const rows = createWriteBehind(presence, WRITE_EVERY_MS);
  const histories = createWriteBehind(sessions, WRITE_EVERY_MS);
  const connected = new Map<string, Connected>();
  const listeners: PresenceListener[] = [];

  function change(device: string, next: Presence, learntMs = rows.get(device)?.learntMs) {
    const here = connected.get(device);
    if (here) here.presence = next;
    rows.set(device, { ...next, ...(learntMs && { learntMs }), ...(here && { session: here.session }) });
    for (const listener of listeners) listener(device, next);
  }

  function remember(device: string, ended: SessionRecord) {
    const others = (histories.get(device) ?? []).filter(({ id }) => id !== ended.id);
    histories.set(device, [ended, ...others].slice(0, HISTORY));
  }

  /** The first reading of a device that lives on a broker. */
  function arrived(device: string, at: number, broker: string): Connected {
    const here = new Connected({ id: `mqtt:${broker}`, address: broker, connectedAt: at }, rows.get(device)?.learntMs);
    here.isOnBroker = true;
    connected.set(device, here);
    change(device, { state: 'online', since: at, reason: 'reading came', detail: `over ${broker}` }, here.learntMs);
    return here;
  }

  function recover(startedAt: number) {
    for (const { key, value } of presence.values()) {
      if (value.state === 'offline') continue;
      if (value.session) remember(key, { ...value.session, endedAt: startedAt, reason: 'hub restarted' });
      change(key, { state: 'offline', since: startedAt, reason: 'hub restarted' });
    }
  }

  recover(now());
  return {
    opened({ id, device, address, connectedAt }) {
      const there = connected.get(device);
      const older = there?.isOnBroker ? undefined : there;
      if (older) remember(device, older.record({ endedAt: connectedAt, ...REPLACED }));
      const learntMs = there?.learntMs ?? rows.get(device)?.learntMs;
      connected.set(device, new Connected({ id, address, connectedAt }, learntMs));
      change(device, { state: 'online', since: connectedAt, reason: older ? 'replaced' : 'connected' }, learntMs);
    },
    ended({ id, device }, { at, ...end }) {
      const here = connected.get(device);
      if (here?.session.id !== id) return;
      remember(device, here.record({ ...end, endedAt: at }));
      connected.delete(device);
      change(device, { state: 'offline', since: at, ...end }, here.learntMs);
    },
    heard(device, at, readings, broker) {
      const here = connected.get(device) ?? (broker !== undefined && readings > 0 && arrived(device, at, broker));
      if (!here) return;
      here.heard(at, readings);
      if (readings > 0 && here.presence.state === 'silent')
        change(device, { state: 'online', since: at, reason: 'reading came' }, here.learntMs);
    },
    sweep(at) {
      let found = 0;
      for (const [device, here] of connected) {
        if (here.presence.state === 'silent') continue;
        const quiet = here.quietAt(expectedIntervalMs(device));
        if (at < quiet.since) continue;
        change(device, { state: 'silent', reason: 'no reading', ...quiet }, here.learntMs);
        found += 1;
      }
      return found;
    },
    of: (device) => {
      const row = connected.get(device)?.presence ?? rows.get(device);
      if (!row) return undefined;
      const { session: _, learntMs: __, ...shown } = row as PresenceRow;
      return shown;
    },
    sessions(device) {
      const here = connected.get(device);
      const past = histories.get(device) ?? [];
      return here ? [here.record({}), ...past].slice(0, HISTORY) : past;
    },
    counts(known) {
      let silent = 0;
      for (const here of connected.values()) if (here.presence.state === 'silent') silent += 1;
      return { online: connected.size - silent, silent, offline: Math.max(0, known - connected.size) };
    },
    onChange: (listener) => void listeners.push(listener),
    forget(device) {
      connected.delete(device);
      rows.forget(device);
      histories.forget(device);
    },
    async close() {
      await Promise.all([rows.close(), histories.close()]);
    },
  };
}
