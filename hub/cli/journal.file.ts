/** The verbs that work on the folder of the journal itself, whether a hub runs or not: ls, check, export, repair. */
import { once } from 'node:events';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import pc from 'picocolors';
import { parseTime, TIME_FORMS } from '../api/time.ts';
import { UserError } from '../kit/errors.ts';
import { nodeFiles } from '../telemetry/files.node.ts';
import { checkJournal, type JournalCheck } from '../telemetry/journal-check.ts';
import { type ExportFilter, exportJournal } from '../telemetry/journal-export.ts';
import { type JournalList, listJournal } from '../telemetry/journal-list.ts';
import { type Repair, repairJournal } from '../telemetry/journal-repair.ts';
import type { Finding } from '../telemetry/journal-survey.ts';
import { listOf } from './arguments.ts';
import { EXIT } from './session.ts';
import { bytes, type Colors, cell, sheet, table, time } from './tables.ts';

interface Options {
  data?: string;
  dir?: string;
  json?: boolean;
}

interface ExportOptions extends Options {
  from?: number;
  to?: number;
  fromOffset?: number;
  toOffset?: number;
  device?: string[];
  stream?: string[];
}

/** What a verb is given; resolves to the exit code. */
type Verb = (folder: string, options: ExportOptions, color: Colors) => Promise<number>;

const EXIT_CODES = `
Exit codes: 0 done, and nothing is broken or missing · 1 something is, or it failed · 2 wrong usage ·
  75 a hub uses the journal (repair only).
Works on files, needs no token and no running hub. ls, check and export change nothing and may be used
while a hub runs.`;
const SILENT = { info() {}, warn() {}, error() {} };

/** Adds `hub journal`. Its verbs throw `UserError`. */
export function registerJournal(program: Command): void {
  const journal = program.command('journal').description('What readings wait in: look into it, check it, mend it.');
  verb(journal, 'ls', 'Its segments, and how far each sink has read.', list, [
    'hub journal ls',
    'hub journal ls --json',
  ]);
  verb(journal, 'check', 'Reads all of it and says what is damaged or missing, and where.', check, [
    'hub journal check',
    'hub journal check --data /var/lib/telemetry-hub --json | jq .findings',
  ]);
  verb(journal, 'export', 'Prints its frames as lines of JSON.', exportFrames, [
    'hub journal export --device meter-7 --from -1h',
    "hub journal export --stream power | jq -c '.readings[]'",
    'hub journal export --from-offset 4200 --to-offset 4300',
  ])
    .option('--from <time>', `arrived at or after: ${TIME_FORMS}`, timeOf)
    .option('--to <time>', 'arrived before', timeOf)
    .option('--from-offset <offset>', 'at this offset or later', offsetOf)
    .option('--to-offset <offset>', 'before this offset', offsetOf)
    .option('--device <device>', 'only of this device; may be repeated', listOf)
    .option('--stream <stream>', 'only of this stream; may be repeated', listOf);
  verb(journal, 'repair', 'Leaves out what is damaged, of a journal that no hub uses.', repair, [
    'hub journal repair --data /var/lib/telemetry-hub',
  ]);
}

function verb(parent: Command, name: string, description: string, run: Verb, examples: string[]): Command {
  const command = parent.command(name).description(description);
  command.option('--data <dir>', "the hub's data folder (HUB_DATA)");
  command.option('--dir <dir>', "the journal's folder, when journal.dir names another (HUB_JOURNAL__DIR)");
  if (name !== 'export') command.option('--json', 'as JSON');
  command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}${EXIT_CODES}`);
  return command.action(async () => {
    const options = command.optsWithGlobals<ExportOptions>();
    const color = pc.createColors(process.stdout.isTTY === true && pc.isColorSupported);
    process.exitCode = await run(folderOf(options), options, color);
  });
}

function folderOf({ dir = process.env.HUB_JOURNAL__DIR, data = process.env.HUB_DATA }: Options): string {
  return dir || join(data || './data', 'journal');
}

async function list(folder: string, { json }: Options, color: Colors): Promise<number> {
  const found = await listJournal(nodeFiles, folder, Date.now());
  print(json ? JSON.stringify(found, undefined, 2) : listText(found, color));
  return EXIT.ok;
}

function listText({ folder, holder, segments, cursors, ...all }: JournalList, color: Colors): string {
  const parts = [
    sheet(
      [
        ['journal', folder],
        ['used by', holder === undefined ? 'no hub' : `process ${holder}`],
        ['frames', `offsets ${all.first} to ${all.next}, that one not included`],
        ['size', `${bytes(all.bytes)} in ${counted(segments.length, 'segment')}`],
      ],
      color,
    ),
  ];
  const rows = segments.map(({ file, first, next, waitingFor, ...segment }) => [
    file,
    first,
    next - first,
    bytes(segment.bytes),
    time(segment.createdAt),
    waitingFor.length === 0 ? color.dim('nobody') : cell(waitingFor.join(', ')),
  ]);
  if (rows.length > 0) parts.push(table(['SEGMENT', 'OFFSET', 'FRAMES', 'SIZE', 'BEGUN', 'WAITS FOR'], rows, color));
  const sinks = Object.entries(cursors).map(([sink, { offset, lagFrames }]) => [cell(sink), offset, lagFrames]);
  if (sinks.length > 0) parts.push(table(['SINK', 'READS AT', 'FRAMES LEFT'], sinks, color));
  return parts.join('\n\n');
}

async function check(folder: string, { json }: Options, color: Colors): Promise<number> {
  const found = await checkJournal(nodeFiles, folder, Date.now());
  print(json ? JSON.stringify(found, undefined, 2) : checkText(found, color));
  return found.findings.length === 0 ? EXIT.ok : EXIT.failed;
}

function checkText({ segments, frames, findings, holder, ...all }: JournalCheck, color: Colors): string {
  const whole = `${counted(frames, 'frame')} in ${counted(segments, 'segment')}, ${bytes(all.bytes)}, offsets ${all.first} to ${all.next}`;
  if (findings.length === 0) return `${whole}: ${color.green('all as it was written.')}`;
  const advice = findings.some((finding) => finding.bytes > 0)
    ? `\n\nhub journal repair leaves out what is damaged${holder === undefined ? '' : ', once the hub is stopped'}.`
    : '';
  return `${whole}.\n\n${findingTable(findings, color)}${advice}`;
}

const counted = (count: number, thing: string) => `${count} ${thing}${count === 1 ? '' : 's'}`;

function findingTable(findings: Finding[], color: Colors): string {
  const rows = findings.map(({ file, at, bytes: count, what }) => [cell(file), at, count, color.red(what)]);
  return table(['FILE', 'AT', 'BYTES', 'WHAT'], rows, color);
}

async function exportFrames(folder: string, options: ExportOptions): Promise<number> {
  const { from: fromMs, to: toMs, fromOffset, toOffset, device: devices, stream: streams } = options;
  const given = Object.entries({ fromMs, toMs, fromOffset, toOffset, devices, streams });
  const filter: ExportFilter = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  let places = 0;
  let hasReader = true;
  // A reader such as `head` that has enough ends the export quietly.
  process.stdout.on('error', () => {
    hasReader = false;
  });
  for await (const frame of exportJournal(nodeFiles, folder, filter, Date.now(), () => places++)) {
    if (!process.stdout.write(`${JSON.stringify(frame)}\n`)) await once(process.stdout, 'drain').catch(() => {});
    if (!hasReader) return EXIT.ok;
  }
  if (places === 0) return EXIT.ok;
  const [what, were] = places === 1 ? ['1 place is', 'was'] : [`${places} places are`, 'were'];
  process.stderr.write(`${what} damaged or missing and ${were} passed over: see hub journal check.\n`);
  return EXIT.failed;
}

async function repair(folder: string, { json }: Options, color: Colors): Promise<number> {
  const repaired = await repairJournal(nodeFiles, folder, SILENT, Date.now()).catch((error: NodeJS.ErrnoException) => {
    if (error.code === undefined) throw error;
    throw new UserError(`The journal could not be repaired, and is as it was: ${error.message}`);
  });
  print(json ? JSON.stringify(repaired, undefined, 2) : repairText(folder, repaired, color));
  return EXIT.ok;
}

function repairText(folder: string, { findings, changed }: Repair, color: Colors): string {
  if (findings.length === 0) return 'There was nothing to repair.';
  const done = changed.length === 0 ? 'Nothing could be changed about this.' : `Written anew: ${changed.join(', ')}.`;
  const kept = findings.some((finding) => finding.bytes > 0) ? ` Damaged bytes are in ${join(folder, 'damaged')}.` : '';
  return `${findingTable(findings, color)}\n\n${done}${kept}`;
}

function timeOf(text: string): number {
  const found = parseTime(text, Date.now());
  if (found === undefined) throw new InvalidArgumentError(`Write ${TIME_FORMS}.`);
  return found;
}

function offsetOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Write a whole number, 0 or more.');
  return Number(text);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
