/** Why a command has not ended: what the hub knows of the device that it is for. */

import type { Command } from '../commands/command.ts';
import { type Client, pathOf } from './session.ts';
import { cell, type ShownDevice, time } from './tables.ts';

type Unfinished = Pick<Command, 'device' | 'state' | 'expiresAt' | 'deadlineAt'>;

/** One sentence about a command that is queued, sent or accepted. Throws `UserError` when the hub does not tell. */
export async function waitingFor(client: Client, command: Unfinished): Promise<string> {
  const { device, state, expiresAt, deadlineAt } = command;
  if (state === 'queued') {
    const where = whereabouts(await deviceOf(client, device));
    return `${device} ${where}; the command waits until ${time(expiresAt)}.`;
  }
  const said = state === 'sent' ? 'was sent it and has not answered' : 'has it and is not done';
  return `${device} ${said}; after ${time(Number(deadlineAt))} nobody waits for it any more.`;
}

/** Throws `UserError`. */
export function deviceOf(client: Client, id: string): Promise<ShownDevice> {
  return client.json<ShownDevice>('GET', pathOf`/v1/devices/${id}`);
}

/** `is offline since … (lost)`: why a device gets nothing now, as far as one can see. */
export function whereabouts({ id, enabled, tokens, presence }: ShownDevice): string {
  if (!enabled) return `is disabled (hub devices enable ${id})`;
  if (tokens.length === 0) return `has no token (hub devices rotate ${id} makes one)`;
  if (presence.state !== 'offline') return 'is connected and gets it after those before it';
  if (presence.reason === 'never connected') return 'has never been connected';
  return `is offline since ${time(presence.since)} (${cell(presence.reason)})`;
}
