/** Tells the audit log of devices that answer the commands of others: once of each answer, for devices repeat themselves. */
import type { Progress, Result } from '../../schemas/types.gen.ts';
import type { CommandsDeps } from './commands.ts';

/** Remembered answers. Policy when full: forget all, and tell some once more. */
const MAX_TOLD = 1_000;

export function createOffences(audit: NonNullable<CommandsDeps['audit']>) {
  const told = new Set<string>();
  return (device: string, { type, id }: Pick<Progress | Result, 'type' | 'id'>): void => {
    const offence = `${device} ${type} ${id}`;
    if (told.has(offence)) return;
    if (told.size >= MAX_TOLD) told.clear();
    told.add(offence);
    audit({ actor: `device:${device}`, action: `command.${type}`, target: id, result: 'unknown-command' });
  };
}
