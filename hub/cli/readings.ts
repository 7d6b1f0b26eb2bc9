/** The verbs of readings: those in the store, and those that come in. */
import { type Command, Option } from 'commander';
import { backoffMs } from '../kit/backoff.ts';
import { UserError } from '../kit/errors.ts';
import { type AddVerb, EXIT, pathOf, pause, type ServerEvent, type Session } from './session.ts';
import * as show from './tables.ts';

/** The options of a query that are the API's own parameters. */
const ASKED = new Set([...['stream', 'from', 'to', 'fields', 'every', 'fn', 'fill', 'points', 'order', 'limit']]);

/** Rows of each device, if nobody says otherwise: the API's own default. */
const LIMIT = 100;

/** Adds `hub query` and `hub tail`. */
export function registerReadings(program: Command, verb: AddVerb): void {
  const query = verb(
    program,
    'query <device> <stream>',
    'Readings of a device, of several (a,b) or of a tag (floor=1) from the store.',
    runQuery,
    [
      'hub query meter-7 power --from -15m',
      'hub query meter-7 power --from -1d --every 1h --fn max --fields power,energy',
      'hub query meter-7 power --from -7d --points 40           (the week in 40 windows: mean, lowest, highest)',
      'hub query meter-7,meter-8 power --every 1h               (two devices)',
      'hub query floor=1,room=12 power --every 1d --fill null   (all with these tags)',
      'hub query meter-7 power --from 2026-07-01 --to 2026-07-02 --limit 1000000 --csv > july-1.csv',
      'hub query floor=1 power --every 1h --ndjson | jq -r "[.device, .power] | @tsv"',
    ],
  );
  query.option('--from <time>', 'first moment: RFC 3339, a date, Unix ms, or -1h', '-1h');
  query.option('--to <time>', 'end, not included', 'now');
  query.option('--fields <names>', 'with commas between; all without it');
  query.option('--every <duration>', 'a row for each window of this length, such as 5m; milliseconds without a unit');
  query.option(
    '--fn <name>',
    'of each window: mean, min, max, first, last, count, or envelope (mean, lowest, highest); mean without it',
  );
  query.option('--fill <what>', 'what windows without readings hold: none, null, previous or a number');
  query.option('--points <count>', 'as a chart so wide needs it: windows chosen for it, each with its min and max');
  query.option('--order <order>', 'desc (newest first) or asc', 'desc');
  query.option('--limit <rows>', `at most so many rows of each device, up to 1000000; ${LIMIT} without it`);
  query.option('--json', 'as JSON');
  query.addOption(new Option('--csv', 'as CSV').conflicts('json'));
  query.addOption(new Option('--ndjson', 'as JSON, one row a line').conflicts(['json', 'csv']));
  verb(program, 'tail [device]', 'Readings as they become durable; Ctrl-C ends it.', runTail, [
    'hub tail',
    'hub tail meter-7 --stream power --json | jq .power',
  ])
    .option('--stream <name>', 'only this stream')
    .option('--json', 'one JSON object a line');
}

async function runQuery(session: Session, devices = '', stream = '') {
  const { client, options, pour } = session;
  const asked = Object.entries({ ...options, stream }).filter(
    ([name, value]) => ASKED.has(name) && value !== undefined,
  );
  const path = queryPath(
    devices,
    new URLSearchParams(asked.map(([name, value]): [string, string] => [name, String(value)])),
  );
  if (options.json) return showJson(session, path);
  if (!options.csv && !options.ndjson) return showRows(session, path, `${devices} in ${stream}`);
  const lines = { count: options.csv ? -1 : 0 };
  await pour(counted(client.text(path, options.csv ? 'text/csv' : 'application/x-ndjson'), lines));
  hintAtLimit(session, lines.count >= LIMIT);
}

async function showRows(session: Session, path: string, what: string) {
  const { client, options, color, print, hint } = session;
  const { rows, limited = false } = await client.json<{ rows: Record<string, unknown>[]; limited?: true }>('GET', path);
  if (rows.length === 0) hint(`No readings of ${what} between ${options.from} and ${options.to}.`);
  else print(show.rowTable(rows, color));
  hintAtLimit(session, limited);
}

async function showJson(session: Session, path: string) {
  const { client, pour } = session;
  const end = { text: '' };
  await pour(legibly(ending(client.text(path, 'application/json'), end)));
  hintAtLimit(session, end.text.endsWith('],"limited":true}'));
}

/** Whoever said no limit may not know that there is one. */
function hintAtLimit({ options, hint }: Session, isLimited: boolean) {
  if (options.limit !== undefined || options.points !== undefined || !isLimited) return;
  hint(
    `There may be more: without --limit there are at most ${LIMIT} rows of each device. ` +
      'Ask with --limit 10000, or with --every 5m for a row of each five minutes.',
  );
}

/** Keeps the last letters, for what a long answer says at its end. */
async function* ending(texts: AsyncIterable<string>, end: { text: string }): AsyncGenerator<string> {
  for await (const text of texts) {
    end.text = (end.text + text).slice(-32);
    yield text;
  }
}

async function* counted(texts: AsyncIterable<string>, lines: { count: number }): AsyncGenerator<string> {
  for await (const text of texts) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines.count += 1;
    yield text;
  }
}

/** Characters of JSON that a person may want to read; longer ones are for programs. */
const LEGIBLE_CHARS = 1_000_000;

/** JSON with a line for each value when it is short, and as it comes when it is long. */
async function* legibly(texts: AsyncIterable<string>): AsyncGenerator<string> {
  let held = '';
  let isLong = false;
  for await (const text of texts) {
    held += text;
    isLong ||= held.length > LEGIBLE_CHARS;
    if (!isLong) continue;
    yield held;
    held = '';
  }
  yield `${isLong ? held : JSON.stringify(JSON.parse(held), undefined, 2)}\n`;
}

/** The id of a device has neither a comma nor an equals sign. */
function queryPath(devices: string, asked: URLSearchParams): string {
  const isTag = devices.includes('=');
  if (!isTag && !devices.includes(',')) return `${pathOf`/v1/devices/${devices}/telemetry`}?${asked}`;
  asked.set(isTag ? 'tag' : 'devices', devices);
  return `/v1/telemetry?${asked}`;
}

async function runTail(session: Session, device?: string) {
  const { options, stopped, hint } = session;
  // No snapshot: what was said before, and again at each new connection, is no reading that becomes durable.
  const filter = {
    snapshot: 'false',
    ...(device !== undefined && { device }),
    ...(options.stream && { stream: String(options.stream) }),
  };
  const path = `/v1/live?${new URLSearchParams(filter)}`;
  let { client } = session;
  let heard = false;
  for (let attempt = 0; !stopped.aborted; attempt += 1) {
    try {
      for await (const event of client.events(path)) {
        attempt = 0;
        heard = true;
        printEvent(event, session);
      }
      hint('The hub ended the stream. Connecting again.');
    } catch (error) {
      if (stopped.aborted) return;
      const unreachable = error instanceof UserError && error.exitCode === EXIT.unreachable;
      // What the hub refuses now it refuses again; and a first attempt that finds nobody shall say so.
      if (!unreachable || (attempt === 0 && !heard)) throw error;
      hint(`${error.message} Connecting again.`);
    }
    await pause(100 + backoffMs(attempt, 500, 10_000), stopped);
    client = await session.reconnect().catch(() => client);
  }
}

function printEvent({ event, data }: ServerEvent, { options, color, print, hint }: Session) {
  if (event === 'merged') hint(`${JSON.parse(data).count} readings were left out: this terminal is slow.`);
  if (event !== 'reading') return;
  if (options.json) {
    print(data);
    return;
  }
  const { device, stream, ...reading } = JSON.parse(data);
  print(`${color.cyan(device)} ${color.dim(stream)} ${show.readingText(reading)}`);
}
