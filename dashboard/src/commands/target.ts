/** Whom an order is for, as a person wrote it. */
import { tagsFromText } from '../devices/tag-text.ts';
import type { Selector } from '../hub/commands.ts';

/** Where the mistakes of a target are told: by the form itself, and by the hub. */
export const TARGET_FIELDS = ['/target', '/device', '/selector'];

export type TargetKind = 'tags' | 'devices' | 'all' | 'one';

export interface TargetText {
  kind: TargetKind;
  text: string;
}

/**
 * What the API takes: `device` for one, `selector` for many. Throws an `Error` for people when nothing was written: to the
 * hub no tags would mean every device.
 */
export function targetOf({ kind, text }: TargetText): { device: string } | { selector: Selector } {
  if (kind === 'all') return { selector: { tags: {} } };
  if (text.trim() === '') throw new Error('Write for which devices it is, or choose every device.');
  if (kind === 'one') return { device: text.trim() };
  if (kind === 'tags') return { selector: { tags: tagsFromText(text) } };
  return { selector: { devices: text.split(/[\s,]+/).filter(Boolean) } };
}
