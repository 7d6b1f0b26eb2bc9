/** The verb of the telemetry store: fill it again from the journal. */
import type { Command } from 'commander';
import type { AddVerb, Session } from './session.ts';

export function registerStore(program: Command, verb: AddVerb): void {
  const store = program.command('store').description('The telemetry store.');
  verb(
    store,
    'replay',
    'Writes everything that the journal still holds to the store again, behind live readings.',
    replay,
    ['hub store replay', 'hub status --watch'],
    'operator',
  ).option('--json', 'as JSON');
}

async function replay({ client, options, print, hint }: Session) {
  const answer = await client.json<{ leftFrames: number }>('POST', '/v1/store/replay');
  if (options.json) print(JSON.stringify(answer, undefined, 2));
  else if (answer.leftFrames === 0) hint('The journal holds nothing that the store has read.');
  else print(`${answer.leftFrames} frames are written again; hub status shows how far it is.`);
}
