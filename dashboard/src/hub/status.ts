/** What the hub says of itself, and what of it needs a person's attention, in plain words. */
import { bytes, count, span, things } from '../kit/format.ts';

export interface SinkStatus {
  name: string;
  state: string;
  written: number;
  refused: number;
  lagFrames: number;
  lagMs: number;
  lastError?: string;
}

export interface HubStatus {
  version: string;
  node: string;
  startedAt: number;
  uptimeMs: number;
  ready: boolean;
  reasons: string[];
  devices: { known: number; online: number; silent: number; offline: number };
  readings: { accepted: number; rejected: number; perSecond: number };
  frames: { received: number; duplicate: number; skipped: number };
  journal: {
    bytes: number;
    limitBytes: number;
    space?: { usedPercent: number; alarm: number; roomBytes: number; endsBy: string; diskFreeBytes?: number };
    segments: number;
    first: number;
    next: number;
    failing: boolean;
    damage: unknown[];
  };
  sinks: SinkStatus[];
  quarantine: { readings: number; dropped: number };
  audit: { failing: boolean; waiting: number; lost: number };
  /** Where devices connect: the public address when there is one, else as the hub's own machine sees it. */
  gatewayUrl?: string;
}

/** A matter that wants a person, the gravest first. */
export interface Concern {
  grave: boolean;
  title: string;
  /** What it means and what to do. */
  text: string;
  /** Where to look at it. */
  at?: string;
}

const WORRYING_LAG_MS = 30_000;

/** `ok`: it writes. `waiting`: it has written everything. The others cannot write, for now or until somebody acts. */
const WRITES = new Set(['ok', 'waiting']);
/** A batch under way is no lag. */
const USUAL_LAG_MS = 2_000;
const TROUBLES: Record<string, string> = {
  retrying: 'does not take readings now, and is tried again',
  stalled: 'takes no readings until somebody acts',
};

/** Whether it takes readings. */
export const takesReadings = ({ state }: SinkStatus): boolean => WRITES.has(state);

/** How a sink is, in words. */
export function sinkWords(sink: SinkStatus): string {
  const { state, lagFrames, lagMs } = sink;
  const isLate = lagFrames > 0 && lagMs > USUAL_LAG_MS;
  if (takesReadings(sink)) return isLate ? `${span(lagMs)} behind` : 'up to date';
  return lagFrames > 0 ? `${state}, ${span(lagMs)} behind` : state;
}

/** What was refused and kept, and what found no room: it is refused all the same, and its device is told. */
export function quarantineWords({ readings, dropped }: HubStatus['quarantine']): string {
  const left = `${count(dropped)} more found no room and ${dropped === 1 ? 'was' : 'were'} not kept, and the device was told`;
  return dropped === 0 ? `${count(readings)} kept` : `${count(readings)} kept; ${left}`;
}

/** Everything in the status that should not be so. */
export function concernsOf(status: HubStatus): Concern[] {
  return [...journalConcerns(status), ...sinkConcerns(status), ...deviceConcerns(status)].sort(
    (a, b) => Number(b.grave) - Number(a.grave),
  );
}

function journalConcerns({ journal, reasons, audit }: HubStatus): Concern[] {
  const { space } = journal;
  const concerns: Concern[] = reasons.map((reason) => ({
    grave: true,
    title: 'The hub cannot do all of its work',
    text: reason,
    at: '#/status',
  }));
  if (space && space.alarm > 0) {
    const text = `${bytes(space.roomBytes)} are left. When it is full, devices are told to wait.`;
    concerns.push({
      grave: space.alarm >= 95,
      title: `The journal is ${Math.round(space.usedPercent)} % full`,
      text,
      at: '#/status',
    });
  }
  if (journal.damage.length > 0) {
    const text = '“hub journal check” tells which records are missing.';
    concerns.push({ grave: false, title: 'The journal was found damaged at the start', text, at: '#/status' });
  }
  if (audit.lost > 0) {
    concerns.push({
      grave: true,
      title: `${things(audit.lost, 'audit entry', 'audit entries')} lost`,
      text: 'The audit log could not be written.',
    });
  }
  return concerns;
}

function sinkConcerns({ sinks }: HubStatus): Concern[] {
  return sinks
    .filter((sink) => !takesReadings(sink) || sink.lagMs > WORRYING_LAG_MS)
    .map((sink) => ({
      grave: !takesReadings(sink),
      title: `“${sink.name}” ${TROUBLES[sink.state] ?? 'is behind'}`,
      text: troubleText(sink),
      at: '#/status',
    }));
}

function troubleText({ lagFrames, lagMs, lastError }: SinkStatus): string {
  const waiting =
    lagFrames > 0 ? `${things(lagFrames, 'frame')} wait in the journal, the oldest for ${span(lagMs)}; ` : '';
  return `${waiting}nothing is lost.${lastError ? ` It said: ${lastError}` : ''}`;
}

function deviceConcerns({ devices, quarantine }: HubStatus): Concern[] {
  const concerns: Concern[] = [];
  if (devices.silent > 0) {
    const text = 'Connected, but no reading came for longer than usual.';
    concerns.push({
      grave: false,
      title: `${things(devices.silent, 'device')} silent`,
      text,
      at: '#/devices?presence=silent',
    });
  }
  if (quarantine.readings > 0) {
    const lost = quarantine.dropped > 0 ? ` ${count(quarantine.dropped)} more found no room.` : '';
    const text = `They were refused; each has its reason.${lost}`;
    concerns.push({
      grave: false,
      title: `${things(quarantine.readings, 'reading')} in quarantine`,
      text,
      at: '#/quarantine',
    });
  }
  return concerns;
}
