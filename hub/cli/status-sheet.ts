/** The status of the hub as the CLI shows it, in the words of the dashboard. */
import type { HubStatus, SinkStatus } from '../api/status.ts';
import { spanText } from '../kit/span.ts';
import { bytes, type Cell, type Colors, cell, sheet, table, time } from './tables.ts';

/** Names and values, and a table of the sinks. */
export function statusSheet(status: HubStatus, color: Colors): string {
  const { devices, readings, frames, journal, quarantine } = status;
  const rows: [string, Cell][] = [
    ['hub', `${status.version} on ${status.node}, up ${spanText(status.uptimeMs)}`],
    ['state', status.ready ? color.green('ready') : color.red(`not ready: ${status.reasons.join('; ')}`)],
    ['devices', `${devices.online} online, ${devices.silent} silent, ${devices.offline} offline`],
    ['readings', `${readings.accepted} accepted, ${readings.rejected} rejected`],
    ['frames', `${frames.received} received, ${frames.duplicate} known already, ${frames.skipped} skipped by devices`],
    ['rate', `${Math.round(readings.perSecond)} readings/s`],
    ['journal', journalText(journal, color)],
    ...brokerRows(status, color),
    ['quarantine', quarantineText(quarantine, color)],
    ...careRows(status, color),
  ];
  const sinks = status.sinks.map((sink) => [
    sink.name,
    stateOfSink(sink, color),
    sink.written,
    sink.refused,
    sink.lagFrames === 0 ? 'none' : `${sink.lagFrames} frames, ${spanText(sink.lagMs)}`,
    sink.lastError ?? '',
  ]);
  return `${sheet(rows, color)}\n\n${table(['SINK', 'STATE', 'WRITTEN', 'REFUSED', 'LAG', 'LAST ERROR'], sinks, color)}`;
}

/** How many brokers are connected, and each that is not, with the reason. */
function brokerRows({ brokers }: HubStatus, color: Colors): [string, Cell][] {
  if (brokers.length === 0) return [];
  const away = brokers.filter(({ state }) => state !== 'connected');
  const count = `${brokers.length - away.length} of ${brokers.length} connected`;
  const rows = away.map(({ name, state, lastError = '' }): [string, Cell] => [
    'broker',
    color.red(`${name} is ${state}: ${cell(lastError)}`),
  ]);
  return [['brokers', count], ...rows];
}

/** What the store lost and got back; nothing when there is nothing to say. */
function careRows({ store }: HubStatus, color: Colors): [string, Cell][] {
  const { replay, comparison } = store;
  const texts = replay.leftFrames > 0 ? [color.yellow(`${replay.leftFrames} frames are to be written again`)] : [];
  if (replay.replayed > 0) texts.push(`${replay.replayed} readings written again`);
  if (replay.restarts > 0) texts.push(`restarted ${replay.restarts} times`);
  if (replay.tells === false) texts.push(color.yellow('does not tell of its restarts'));
  const { compared = 0, missing = 0, restored = 0, upTo = 0 } = comparison ?? {};
  if (missing > restored) texts.push(color.red(`${missing - restored} values lost`));
  if (restored > 0) texts.push(color.yellow(`${restored} values were missing and are restored`));
  if (compared > 0) texts.push(`compared up to ${time(upTo)}`);
  return texts.length > 0 ? [['store', texts.join(', ')]] : [];
}

/** `2 MiB of 4 GiB`, and what is wrong with it. */
function journalText({ space, failing, damage, ...journal }: HubStatus['journal'], color: Colors): string {
  const troubles = [];
  if (failing) troubles.push('cannot be written');
  if (space.alarm > 0) troubles.push(`room for ${bytes(space.roomBytes)} more, by its ${space.endsBy}`);
  if (damage.length > 0) troubles.push(`damaged in ${damage.length} places, see hub journal check`);
  const filled = `${bytes(journal.bytes)} of ${bytes(journal.limitBytes)}`;
  if (troubles.length === 0) return filled;
  const paint = failing || space.alarm === 95 ? color.red : color.yellow;
  return paint([filled, ...troubles].join('; '));
}

/** `2 readings`, and what is wrong with it. */
function quarantineText({ readings, limitReadings, alarm, dropped }: HubStatus['quarantine'], color: Colors): string {
  const filled = `${readings} readings${alarm > 0 ? ` of ${limitReadings}` : ''}`;
  const text = dropped > 0 ? `${filled}, ${dropped} not kept` : filled;
  if (alarm === 0) return text;
  return alarm === 100 ? color.red(`${text}; full`) : color.yellow(`${text}; nearly full`);
}

/** A batch under way is no lag. */
const USUAL_LAG_MS = 2_000;

/** In the words of the dashboard: whether it waits for readings or is writing some says nothing to a person. */
function stateOfSink({ state, lagFrames, lagMs }: SinkStatus, color: Colors): string {
  if (state === 'stalled') return color.red(state);
  if (state === 'retrying') return color.yellow(state);
  const isLate = lagFrames > 0 && lagMs > USUAL_LAG_MS;
  return isLate ? color.yellow(`${spanText(lagMs)} behind`) : color.green('up to date');
}
