/** How the CLI shows things to people: tables, times, sizes and one line for each reading. */
import type pc from 'picocolors';
import stringWidth from 'string-width';
import type { Command } from '../commands/command.ts';
import type { Device } from '../devices/devices.ts';
import type { Presence, SessionRecord } from '../devices/presence.ts';
import { spanText } from '../kit/span.ts';

export type Colors = ReturnType<typeof pc.createColors>;

/** A device as the API shows it. */
export type ShownDevice = Device & { presence: Presence; last?: Record<string, Record<string, unknown>> };

export type Cell = string | number;

/** A table without lines, as a terminal's user expects of `ls`. Ten thousand rows take no longer than to ask for them. */
export function table(head: string[], rows: Cell[][], color: Colors): string {
  const lines = [head.map((text) => color.bold(text)), ...rows.map((row) => row.map(String))];
  const widths = lines.map((line) => line.map((text) => stringWidth(text)));
  const columns = head.map((_, column) => widths.reduce((most, line) => Math.max(most, line[column] ?? 0), 0));
  const padded = lines.map((line, row) =>
    line.map((text, column) => text + ' '.repeat(columns[column]! - widths[row]![column]!)).join('  '),
  );
  return trimmed(padded.join('\n'));
}

/** Names and values, one below the other. */
export function sheet(rows: [string, Cell][], color: Colors): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${color.bold(name.padEnd(width))}  ${value}`).join('\n');
}

export function deviceTable(devices: ShownDevice[], now: number, color: Colors): string {
  const rows = devices.map((device) => [
    device.id,
    stateOf(device, color),
    device.lastSeenAt === undefined ? 'never' : ago(now - device.lastSeenAt),
    expiryOf(device, now),
    tagsOf(device),
    device.description,
  ]);
  return table(['DEVICE', 'STATE', 'SEEN', 'TOKEN EXPIRES', 'TAGS', 'DESCRIPTION'], rows, color);
}

export function deviceSheet(device: ShownDevice, now: number, color: Colors): string {
  const rows: [string, Cell][] = [
    ['device', device.id],
    ['state', stateOf(device, color)],
    ['since', `${time(device.presence.since)} (${ago(now - device.presence.since)}): ${reasonOf(device.presence)}`],
    [
      'seen',
      device.lastSeenAt === undefined ? 'never' : `${time(device.lastSeenAt)} (${ago(now - device.lastSeenAt)})`,
    ],
    ['added', time(device.createdAt)],
    ['expected', device.expectedIntervalMs ? `a reading each ${spanText(device.expectedIntervalMs)}` : 'as learnt'],
    ['tags', tagsOf(device) || '–'],
    ['description', device.description || '–'],
    ['tokens', device.tokens.map((token) => tokenText(token, now)).join(', ') || 'none'],
  ];
  for (const [stream, reading] of Object.entries(device.last ?? {})) rows.push([stream, readingText(reading)]);
  return sheet(rows, color);
}

/** The state of a command, and how far it is. */
export function shownState({ state, progress }: Pick<Command, 'state' | 'progress'>, color: Colors): string {
  if (state === 'succeeded') return color.green(state);
  if (state === 'failed' || state === 'rejected') return color.red(state);
  if (state === 'unknown' || state === 'expired') return color.yellow(state);
  return state === 'accepted' && progress !== undefined ? `${state} ${Math.round(progress * 100)} %` : state;
}

/** The last sessions of a device: when, how long, from where, what came, and how each ended. */
export function sessionTable(sessions: SessionRecord[], now: number, color: Colors): string {
  const rows = sessions.map(({ connectedAt, endedAt, address, readings = '–', frames = '–', ...end }) => [
    time(connectedAt),
    spanText((endedAt ?? now) - connectedAt),
    address,
    frames,
    readings,
    endedAt === undefined ? color.green('connected') : reasonOf(end),
  ]);
  return table(['CONNECTED', 'LASTED', 'ADDRESS', 'FRAMES', 'READINGS', 'END'], rows, color);
}

/** More digits than a sensor has; a mean has as many as fit. JSON and CSV have them all. */
const DIGITS = 9;

/** Rows of telemetry; columns are the fields that occur. */
export function rowTable(rows: Record<string, unknown>[], color: Colors): string {
  const fields = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== 'ts');
  const cells = rows.map((row) => [time(Number(row.ts)), ...fields.map((name) => cell(shown(row[name])))]);
  return table(['TIME', ...fields], cells, color);
}

function shown(value: unknown): unknown {
  if (value === null) return '–';
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
}

/** `2026-07-01 12:00:00.000Z  temperature=21.4 humidity=48.2` */
export function readingText({ ts, ...fields }: Record<string, unknown>): string {
  const values = Object.entries(fields).map(([name, value]) => `${name}=${cell(value)}`);
  return `${time(Number(ts))}  ${values.join(' ')}`;
}

/** Unix milliseconds as UTC to the millisecond. */
export function time(unixMs: number): string {
  return Number.isFinite(unixMs) ? new Date(unixMs).toISOString().replace('T', ' ') : '–';
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  return `${Number((count / 1024 ** step).toFixed(1))} ${units[step]}`;
}

/** `AbC123 (expires in 3 d 4 h)` */
function tokenText({ keyId, expiresAt }: Device['tokens'][number], now: number): string {
  if (expiresAt === undefined) return keyId;
  return `${keyId} (${expiresAt <= now ? 'expired' : `expires in ${spanText(expiresAt - now)}`})`;
}

/** Of the newest token; the others end before it. */
function expiryOf({ tokens }: Device, now: number): string {
  const { expiresAt } = tokens.at(-1) ?? {};
  const two = tokens.length > 1 ? ' (2 tokens)' : '';
  if (tokens.length === 0) return 'no token';
  if (expiresAt === undefined) return `–${two}`;
  return expiresAt <= now ? 'expired' : `in ${spanText(expiresAt - now)}${two}`;
}

const ago = (ms: number) => (ms < 1_000 ? 'just now' : `${spanText(ms)} ago`);
const trimmed = (text: string) => text.replaceAll(/ +$/gm, '');
const tagsOf = ({ tags }: Device) =>
  Object.entries(tags)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');

/** Its presence; and of a device that is away, whether it may come at all. */
function stateOf({ enabled, tokens, presence: { state } }: ShownDevice, color: Colors): string {
  if (state === 'online') return color.green(state);
  if (state === 'silent') return color.yellow(state);
  const barred = !enabled ? 'disabled' : tokens.length === 0 ? 'no token' : undefined;
  return barred ? `${color.dim(state)}, ${color.yellow(barred)}` : color.dim(state);
}

/** `replaced (4500), a newer connection took over` */
function reasonOf({
  reason,
  closeCode,
  detail,
}: Pick<SessionRecord, 'closeCode' | 'detail'> & { reason?: string }): string {
  const code = closeCode === undefined ? '' : ` (${closeCode})`;
  return `${reason ?? 'ended'}${code}${detail ? `, ${cell(detail)}` : ''}`;
}

/** What came from a device is shown without its control characters: they could rewrite the terminal. */
export function cell(value: unknown): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replaceAll(/\p{Cc}/gu, '�');
}
