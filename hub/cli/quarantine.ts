/** The verbs of the quarantine: what was refused, trying it again once the cause is mended, and dropping it. */
import type { Command } from 'commander';
import { UserError } from '../kit/errors.ts';
import type { QuarantinedReading } from '../telemetry/quarantine.ts';
import type { ReplayedPage } from '../telemetry/quarantine-replay.ts';
import { type AddVerb, EXIT, pathOf, type Session } from './session.ts';
import { type Colors, cell, sheet, table, time } from './tables.ts';

const NONE = 'No such reading is in the quarantine.';
const FILTERS = ['device', 'stream', 'code', 'from', 'to'] as const;

/** Adds `hub quarantine …`. */
export function registerQuarantine(program: Command, verb: AddVerb): void {
  const quarantine = program.command('quarantine').description('Readings that were refused.');
  const ls = verb(quarantine, 'ls', 'The newest refused readings, with reasons.', listReadings, [
    'hub quarantine ls --device meter-7',
    'hub quarantine ls --stream power --code type --from -1d',
  ]);
  withFilter(ls)
    .option('--limit <rows>', 'at most so many', '100')
    .option('--cursor <cursor>', 'go on where the list before ended')
    .option('--json', 'as JSON');
  verb(quarantine, 'show <id>', 'One refused reading, whole.', showReading, ['hub quarantine show 4711']).option(
    '--json',
    'as JSON',
  );
  const replay = verb(
    quarantine,
    'replay [id...]',
    'Checks them by the schemas of today; those that pass are stored, with the times they had.',
    replayReadings,
    ['hub quarantine replay --stream power', 'hub quarantine replay 4711 4712', 'hub quarantine replay --all'],
    'operator',
  ).addHelpText(
    'after',
    '\nEnds with 1 when some stay (hub quarantine ls then shows the reason of today), and when an id is not there.',
  );
  withFilter(replay).option('--all', 'everything').option('--json', 'as JSON');
  const drop = verb(
    quarantine,
    'drop [id...]',
    'Forgets them for good.',
    dropReadings,
    ['hub quarantine drop 4711', 'hub quarantine drop --device meter-7 --to -30d --yes'],
    'operator',
  );
  withFilter(drop).option('--all', 'everything').option('-y, --yes', 'do not ask').option('--json', 'as JSON');
}

function withFilter(command: Command): Command {
  return command
    .option('--device <device>', 'only of this device')
    .option('--stream <stream>', 'only of this stream')
    .option('--code <rule>', 'only those that broke this rule, such as type, clock or store')
    .option('--from <time>', 'only those that came at or after: RFC 3339, a date, Unix ms, or -1h')
    .option('--to <time>', 'only those that came before');
}

async function listReadings({ client, options, color, print, hint }: Session) {
  const asked = [...FILTERS, 'limit', 'cursor'].flatMap((name): [string, string][] =>
    options[name] === undefined ? [] : [[name, String(options[name])]],
  );
  const path = `/v1/quarantine?${new URLSearchParams(asked)}`;
  const { readings, next } = await client.json<{ readings: QuarantinedReading[]; next?: string }>('GET', path);
  if (options.json) print(JSON.stringify(readings, undefined, 2));
  else if (readings.length > 0) print(readingTable(readings, color));
  else hint(asked.length > 1 ? NONE : 'Nothing was refused.');
  if (next !== undefined) hint(`There are older ones: --cursor ${next}`);
}

async function showReading({ client, options, color, print }: Session, id = '') {
  const reading = await client.json<QuarantinedReading>('GET', pathOf`/v1/quarantine/${idOf(id)}`);
  print(options.json ? JSON.stringify(reading, undefined, 2) : readingSheet(reading, color));
}

async function replayReadings(session: Session, ...ids: string[]) {
  const { client, options, print, hint } = session;
  const selection = selectionOf(session, ids);
  const sum = { replayed: 0, refused: 0 };
  let after: number | undefined = 0;
  while (after !== undefined) {
    const page: ReplayedPage = await client.json('POST', '/v1/quarantine/replay', { ...selection, after });
    sum.replayed += page.replayed;
    sum.refused += page.refused;
    after = page.next;
    if (after !== undefined && !options.json) hint(`${sum.replayed} replayed, ${sum.refused} stay …`);
  }
  if (sum.refused > 0) process.exitCode = EXIT.failed;
  missMissing(session, ids, sum.replayed + sum.refused);
  if (options.json) return print(JSON.stringify(sum, undefined, 2));
  if (sum.replayed + sum.refused === 0) return ids.length > 0 ? undefined : hint(NONE);
  print(`${sum.replayed} replayed, ${sum.refused} stay${sum.refused > 0 ? ': hub quarantine ls says why' : ''}.`);
}

async function dropReadings(session: Session, ...ids: string[]) {
  const { client, options, ask, print } = session;
  const selection = selectionOf(session, ids);
  if (!options.yes) {
    if (!ask) throw new UserError('Readings are forgotten for good. Nobody can be asked here; say --yes.', EXIT.usage);
    const question = `Forget ${whichText(selection)} for good?`;
    if (!(await ask(question))) throw new UserError('Nothing was dropped.', EXIT.failed);
  }
  const answer = await client.json<{ dropped: number }>('POST', '/v1/quarantine/drop', selection);
  print(options.json ? JSON.stringify(answer, undefined, 2) : `${answer.dropped} dropped.`);
  missMissing(session, ids, answer.dropped);
}

/** Whoever names readings hears when they are not all there, as with `show`. */
function missMissing({ hint }: Session, ids: readonly string[], found: number): void {
  const named = new Set(ids.map(idOf)).size;
  if (found >= named) return;
  process.exitCode = EXIT.failed;
  hint(found === 0 ? NONE : `${named - found} of the ${named} readings are not in the quarantine.`);
}

/** Throws `UserError` (usage) when nothing says which readings are meant. */
function selectionOf({ options }: Session, ids: readonly string[]): Record<string, unknown> {
  const filter = Object.fromEntries(FILTERS.flatMap((name) => (options[name] ? [[name, options[name]]] : [])));
  const named = { ...filter, ...(ids.length > 0 && { ids: ids.map(idOf) }), ...(options.all && { all: true }) };
  if (Object.keys(named).length > 0) return named;
  throw new UserError('Say which readings: ids, --device, --stream, --code, --from, --to or --all.', EXIT.usage);
}

function idOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UserError(`"${text}" is no id; hub quarantine ls shows them.`, EXIT.usage);
  return Number(text);
}

/** `readings 1, 2`, `all refused readings with device meter-7`. */
function whichText({ ids, all: _, ...filter }: Record<string, unknown>): string {
  const named = Object.entries(filter).map(([name, value]) => `${name} ${value}`);
  const listed = Array.isArray(ids) ? `reading ${ids.join(', ')}` : 'all refused readings';
  return named.length > 0 ? `${listed} with ${named.join(', ')}` : listed;
}

/** When, whose, what was wrong where, and what was sent. */
function readingTable(readings: QuarantinedReading[], color: Colors): string {
  const rows = readings.map(({ id, receivedAt, device, stream, path, code, message, reading }) => {
    return [id, time(receivedAt), device, cell(stream), cell(path), code, cell(message), cell(reading)];
  });
  return table(['ID', 'RECEIVED', 'DEVICE', 'STREAM', 'PATH', 'RULE', 'MESSAGE', 'READING'], rows, color);
}

function readingSheet({ index, ts, triedAt, ...kept }: QuarantinedReading, color: Colors): string {
  return sheet(
    [
      ['id', kept.id],
      ['device', kept.device],
      ['stream', cell(kept.stream)],
      ['received', time(kept.receivedAt)],
      ['frame', `${cell(kept.epoch)} ${kept.seq}${index === undefined ? '' : `, reading ${index}`}`],
      ['reason', `${cell(kept.path)} ${cell(kept.message)} (${kept.code})`.trim()],
      ...(ts === undefined ? [] : [['time', `${time(ts)}, by the hub's clock`] as [string, string]]),
      ...(triedAt === undefined ? [] : [['tried', `${time(triedAt)}, in vain`] as [string, string]]),
      ['reading', cell(kept.reading)],
    ],
    color,
  );
}
