/** What may be said of a device: its id, tags and texts, and how a stored row changes by it. Pure. */
import { RefusedMember } from '../kit/errors.ts';

/** What a person may say about a device. `tags` replace all tags. */
export interface DeviceDetails {
  enabled?: boolean;
  tags?: Record<string, string>;
  description?: string;
  /** `null`: learnt from its readings again. */
  expectedIntervalMs?: number | null;
}

/** Safe as a level of an MQTT topic, as a tag of InfluxDB, in a URL and in a log line. */
export const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
export const TAG_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
export const MAX_TAGS = 32;
export const MAX_TEXT = 500;
export const EXPECTED_INTERVAL_MS = { least: 100, most: 30 * 86_400_000 } as const;

const ID_RULE = 'a letter or digit, then letters, digits, or . _ : - (64 at most).';

/** Throws `RefusedError` (invalid). */
export function checkId(id: string): void {
  if (!DEVICE_ID.test(id)) refuse('/id', `"${id.slice(0, 80)}" is no device id: ${ID_RULE}`);
}

/** What a row has of them; `null` takes one away. */
interface Detailed {
  expectedIntervalMs?: number;
}

/** The row with these details. */
export function withDetails<T extends Detailed>(
  row: T,
  { expectedIntervalMs = row.expectedIntervalMs, ...details }: DeviceDetails,
): T {
  const { expectedIntervalMs: _, ...rest } = { ...row, ...details };
  return (typeof expectedIntervalMs === 'number' ? { ...rest, expectedIntervalMs } : rest) as T;
}

/** Throws `RefusedError` (invalid), naming the first that does not fit. */
export function checkDetails({ tags = {}, description = '', expectedIntervalMs }: DeviceDetails) {
  const { least, most } = EXPECTED_INTERVAL_MS;
  if (typeof expectedIntervalMs === 'number' && !(expectedIntervalMs >= least && expectedIntervalMs <= most))
    refuse('/expectedIntervalMs', `The expected interval is ${least} to ${most} ms.`);
  const names = Object.keys(tags);
  if (names.length > MAX_TAGS) refuse('/tags', `A device has at most ${MAX_TAGS} tags.`);
  for (const name of names) {
    if (!TAG_NAME.test(name))
      refuse('/tags', `"${name.slice(0, 80)}" is no tag name: a letter, then letters, digits, _ or -.`);
    if (!isText(tags[name])) refuse('/tags', `The tag "${name}" needs a line of at most ${MAX_TEXT} characters.`);
  }
  if (!isText(description)) refuse('/description', `A description is a line of at most ${MAX_TEXT} characters.`);
}

/** Half of a surrogate pair is no text: it would be another one after a restart, when it was stored as UTF-8. */
function isText(text: unknown): boolean {
  return typeof text === 'string' && text.length <= MAX_TEXT && !/[\p{Cc}\p{Cs}]/u.test(text);
}

function refuse(member: string, detail: string): never {
  throw new RefusedMember('invalid', member, detail);
}
