/** What is known when somebody begins to listen: last readings, presence, the newest commands, in pieces that fit a frame. */
import type { Command } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import type { Devices } from '../devices/devices.ts';
import type { Presence, PresenceBook } from '../devices/presence.ts';
import type { Live, LiveFilter } from '../telemetry/live.ts';
import type { Reading } from '../telemetry/reading.ts';

export interface SnapshotDeps {
  devices: Pick<Devices, 'get' | 'ids'>;
  presence: Pick<PresenceBook, 'of'>;
  commands: Pick<Commands, 'list'>;
  live: Pick<Live, 'lastOf'>;
}

/** A reading with where it came from. */
export type ToldReading = Reading & { device: string; stream: string };
/** The presence of a device. */
export type ToldPresence = Presence & { device: string };

/** What happened or what is known, sorted by kind. */
export interface News {
  readings: ToldReading[];
  presence: ToldPresence[];
  commands: Command[];
}

const PIECE = 1_000;
const MAX_COMMANDS = 100;

/** All pieces, at least one; taken in one turn of the loop, so nothing changes between them. */
export function snapshotOf(filter: LiveFilter, named: ReadonlySet<string> | undefined, deps: SnapshotDeps): News[] {
  const tells = (kind: 'reading' | 'presence' | 'command') => filter.kinds?.has(kind) !== false;
  const ids = [...(named ?? deps.devices.ids())].filter(
    (id) => deps.devices.get(id) !== undefined && filter.wants?.(id) !== false,
  );
  const readings = tells('reading') ? ids.flatMap((id) => lastOf(id, filter, deps)) : [];
  const presence = tells('presence') ? ids.flatMap((id) => presenceOf(id, deps)) : [];
  const commands = tells('command') ? commandsOf(filter, named, deps) : [];
  const pieces: News[] = [{ readings: readings.splice(0, PIECE), presence: presence.splice(0, PIECE), commands }];
  while (readings.length + presence.length > 0)
    pieces.push({ readings: readings.splice(0, PIECE), presence: presence.splice(0, PIECE), commands: [] });
  return pieces;
}

function lastOf(device: string, { streams }: LiveFilter, { live }: SnapshotDeps): ToldReading[] {
  const last = Object.entries(live.lastOf(device)).filter(([stream]) => streams?.has(stream) !== false);
  return last.map(([stream, reading]) => ({ device, stream, ...reading }));
}

function presenceOf(device: string, { presence }: SnapshotDeps): ToldPresence[] {
  const now = presence.of(device);
  return now ? [{ device, ...now }] : [];
}

/** The newest first. Among the newest thousand, when it is not said of which devices. */
function commandsOf(
  { wants }: LiveFilter,
  named: ReadonlySet<string> | undefined,
  { commands }: SnapshotDeps,
): Command[] {
  const found = named
    ? [...named].flatMap((device) => commands.list({ device, limit: MAX_COMMANDS }).commands)
    : commands.list({ limit: 10 * MAX_COMMANDS }).commands;
  return found
    .filter(({ device }) => wants?.(device) !== false)
    .sort((a, b) => b.createdAt - a.createdAt)
    .slice(0, MAX_COMMANDS);
}
