/** The verb of the gap ledger: which frames never came. */
import type { Command } from 'commander';
import type { Gap } from '../telemetry/gaps.ts';
import { type AddVerb, pathOf, type Session } from './session.ts';
import { type Colors, cell, table, time } from './tables.ts';

/** Adds `hub gaps`. */
export function registerGaps(program: Command, verb: AddVerb): void {
  verb(program, 'gaps [device]', 'Frames that devices left out of their numbers: dropped or lost.', listGaps, [
    'hub gaps',
    'hub gaps meter-7 --since -1d',
  ])
    .option('--since <time>', 'only those noticed since: RFC 3339, a date, Unix ms, or -1h')
    .option('--limit <rows>', 'at most so many', '100')
    .option('--cursor <cursor>', 'go on where the list before ended')
    .option('--json', 'as JSON');
}

async function listGaps({ client, options, color, print, hint }: Session, device?: string) {
  const asked = ['since', 'limit', 'cursor'].flatMap((name): [string, string][] =>
    options[name] === undefined ? [] : [[name, String(options[name])]],
  );
  // A name that nobody has is a mistake, and no device without gaps.
  const path = device === undefined ? '/v1/gaps' : pathOf`/v1/devices/${device}/gaps`;
  const page = await client.json<{ gaps: Gap[]; next?: string }>('GET', `${path}?${new URLSearchParams(asked)}`);
  if (options.json) print(JSON.stringify(page.gaps, undefined, 2));
  else if (page.gaps.length === 0) hint('No frame is missing.');
  else print(gapTable(page.gaps, color));
  if (page.next !== undefined) hint(`There are older ones: --cursor ${page.next}`);
}

function gapTable(gaps: Gap[], color: Colors): string {
  const rows = gaps.map(({ at, device, epoch, from, to }) => [time(at), device, cell(epoch), from, to, to - from + 1]);
  return table(['NOTICED', 'DEVICE', 'EPOCH', 'FROM', 'TO', 'FRAMES'], rows, color);
}
