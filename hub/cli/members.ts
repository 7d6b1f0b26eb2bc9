/** The devices of a group that are not done, or did not succeed: who they are, and why. */

import type { Command, CommandState } from '../commands/command.ts';
import type { Group } from '../commands/group.ts';
import { UserError } from '../kit/errors.ts';
import type { Client } from './session.ts';
import { type Colors, cell, shownState, table } from './tables.ts';
import { deviceOf, whereabouts } from './waiting.ts';

/** Named of each state; the others are counted. */
const SHOWN = 10;
/** What a person must see first comes first. */
const STATES: CommandState[] = [
  ...(['failed', 'rejected', 'unknown', 'expired', 'cancelled'] as const),
  ...(['queued', 'sent', 'accepted'] as const),
];

/** Undefined when every device that was reached has succeeded. Throws `UserError`. */
export async function memberTable(client: Client, group: Group, color: Colors): Promise<string | undefined> {
  const asked = STATES.filter((state) => group.counts[state] > 0);
  const rows = (await Promise.all(asked.map((state) => rowsOf(client, group, state, color)))).flat();
  for (const { device, code } of group.refusals) rows.push([device, color.red('refused'), code]);
  if (rows.length === 0) return undefined;
  const more = asked.filter((state) => group.counts[state] > SHOWN);
  const lines = more.map((state) => {
    return color.dim(`All that are ${state}: hub commands ls --group ${group.id} --state ${state} --limit 1000`);
  });
  return [table(['DEVICE', 'STATE', 'WHY'], rows, color), ...lines].join('\n');
}

async function rowsOf(client: Client, { id: group }: Group, state: CommandState, color: Colors) {
  const query = new URLSearchParams({ group, state, limit: String(SHOWN) });
  const { commands } = await client.json<{ commands: Command[] }>('GET', `/v1/commands?${query}`);
  return Promise.all(
    commands.map(async (command) => [command.device, shownState(command, color), await reasonOf(client, command)]),
  );
}

/** What the device said; of a command that nobody has yet, where the device is. */
async function reasonOf(client: Client, { device, state, error }: Command): Promise<string> {
  if (error) return `${cell(error.code)}: ${cell(error.message)}`;
  if (state === 'expired') return 'was not reached in time';
  if (state !== 'queued') return '';
  try {
    return whereabouts(await deviceOf(client, device));
  } catch (mistake) {
    if (mistake instanceof UserError) return 'is gone';
    throw mistake;
  }
}
