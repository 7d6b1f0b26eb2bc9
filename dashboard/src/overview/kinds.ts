/** Picks a few of many devices, so that every kind is among them. */
import type { Device } from '../hub/devices.ts';

/** Takes from each kind (the id without its number) in turn, so that a big fleet does not hide a small one. */
export function ofAllKinds(devices: Device[], most: number): Device[] {
  const kinds = Map.groupBy(devices, ({ id }) => id.replace(/\d+$/, ''));
  const rows = [...kinds.values()];
  const picked: Device[] = [];
  for (let turn = 0; picked.length < Math.min(most, devices.length); turn += 1) {
    for (const row of rows) if (picked.length < most) picked.push(...row.slice(turn, turn + 1));
  }
  return picked.sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
}
