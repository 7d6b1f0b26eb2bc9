/** The registry of devices: who may connect, with which token, and when each was last seen. */
import type { Row, Table } from '../backplane/backplane.ts';
import { Conflict, type Refusal, RefusedError } from '../kit/errors.ts';
import { living, OVERLAP_MS, withNext, withUse } from './device-tokens.ts';
import { createToken, type StoredToken } from './token.ts';
import { createTokenIndex } from './token-index.ts';
import { createWriteBehind } from './write-behind.ts';

/** A device as it is stored. At most two tokens, so that one can be replaced while the other still works. */
export interface DeviceRow {
  id: string;
  enabled: boolean;
  tags: Record<string, string>;
  description: string;
  createdAt: number;
  /** A connected device without a reading for so long is silent; absent: learnt from its readings. */
  expectedIntervalMs?: number;
  tokens: StoredToken[];
}

/** A device as operators and the gateway see it: never a secret, never a hash. Times are Unix milliseconds. */
export interface Device extends Omit<DeviceRow, 'tokens'> {
  tokens: Omit<StoredToken, 'sha256'>[];
  /** Absent when it was never seen. */
  lastSeenAt?: number;
}

/** What a person may say about a device. `tags` replace all tags. */
export interface DeviceDetails {
  enabled?: boolean;
  tags?: Record<string, string>;
  description?: string;
  /** `null`: learnt from its readings again. */
  expectedIntervalMs?: number | null;
}

/** Which devices are asked for: all that have these tags, and whose ids begin so. */
export interface DeviceFilter {
  tags?: Record<string, string>;
  prefix?: string;
  /** Whatever else is asked of it. */
  where?(id: string): boolean;
}

export interface Devices {
  /** Durable when it resolves; the token is told here and never again. Throws `RefusedError` (exists, invalid). */
  add(
    id: string,
    details?: Omit<DeviceDetails, 'enabled'> & { expiresAt?: number },
  ): Promise<{ device: Device; token: string }>;
  get(id: string): Device | undefined;
  readonly size: number;
  /** A page of at most `limit` devices in the order of their ids, after the id `after`; `next` is the next page's `after`. */
  list(page: { limit: number; after?: string } & DeviceFilter): { devices: Device[]; next?: string };
  /** Durable when it resolves. Throws `RefusedError` (not-found, invalid). */
  update(id: string, details: DeviceDetails): Promise<Device>;
  setEnabled(id: string, enabled: boolean): Promise<Device>;
  /** Takes all its tokens away: nobody can connect as this device until it gets another. */
  revokeTokens(id: string): Promise<Device>;
  /** Takes one token away. Throws `RefusedError` (not-found). */
  revokeToken(id: string, keyId: string): Promise<Device>;
  /**
   * Makes the next token, which is told here and never again; the one there is ends when the next is first used, or after
   * `overlapMs` (a week); a next one that was never used is replaced. Durable when it resolves. Throws `RefusedError`
   * (not-found).
   */
  rotate(
    id: string,
    options?: { expiresAt?: number; overlapMs?: number },
  ): Promise<{ device: Device; token: string; keyId: string }>;
  /** A token opened the door: the older ones end, durable when it resolves. Does nothing when there is none. */
  used(id: string, keyId: string): Promise<void>;
  /** The tokens that have expired by now; no session that came in with one may stay. Synchronous, from memory. */
  expired(now: number): { device: string; keyId: string }[];
  /** Forgets what has expired; resolves to how many. */
  forgetExpired(now: number): Promise<number>;
  /** Forgets the device and its tokens. Throws `RefusedError` (not-found). */
  remove(id: string): Promise<void>;
  /** Whose token it is, or why not (token-invalid, device-disabled). Synchronous, from memory. */
  authenticate(token: string, now: number): Device | Refusal;
  /** Called after each durable change; `device` is undefined when it was removed. */
  onChange(listener: (id: string, device: Device | undefined) => void): void;
  /** Remembers a sign of life. Written in batches once a minute, and at `close`. */
  touch(id: string, at: number): void;
  /** Writes the last signs of life. Idempotent. */
  close(): Promise<void>;
}

/** Safe as a level of an MQTT topic, as a tag of InfluxDB, in a URL and in a log line. */
export const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
export const TAG_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
export const MAX_TAGS = 32;
export const MAX_TEXT = 500;
export const EXPECTED_INTERVAL_MS = { least: 100, most: 30 * 86_400_000 } as const;
/** Losing the last minute of signs of life in a crash harms nobody. */
const SEEN_EVERY_MS = 60_000;
/** An operator changes a device by hand; more than this many collisions in a row is not coincidence. */
const UPDATE_ATTEMPTS = 5;

interface Options {
  /** Where the last signs of life are kept, apart from the rows so that writing them never collides with a change. */
  seen: Table<number>;
  now?: () => number;
}

/** Opens the registry over its table; the token index is built here. */
export function createDevices(table: Table<DeviceRow>, { seen, now = Date.now }: Options): Devices {
  const index = createTokenIndex('device', table);
  const lastSeen = createWriteBehind(seen, SEEN_EVERY_MS);
  let sortedIds: string[] | undefined;
  table.onChange((key, row) => {
    // Only who is there decides the order of pages; a changed row keeps its place.
    if (!row || sortedIds?.[firstAfter(sortedIds, key) - 1] !== key) sortedIds = undefined;
  });

  const publicOf = (row: Row<DeviceRow>): Device => {
    const { tokens, ...rest } = row.value;
    const lastSeenAt = lastSeen.get(row.key);
    const device = { ...rest, tokens: tokens.map(({ sha256: _, ...token }) => token) };
    return lastSeenAt === undefined ? device : { ...device, lastSeenAt };
  };

  async function change(id: string, edit: (row: DeviceRow) => DeviceRow, attempt = 1): Promise<Device> {
    const row = table.get(id) ?? refuse('not-found', `There is no device "${id}".`);
    try {
      return publicOf(await table.set(id, edit(row.value), row.revision));
    } catch (error) {
      if (error instanceof Conflict && attempt < UPDATE_ATTEMPTS) return change(id, edit, attempt + 1);
      throw error;
    }
  }

  const update = async (id: string, details: DeviceDetails) => {
    checkDetails(details);
    return change(id, (row) => changed(row, details));
  };

  return {
    async add(id, { tags = {}, description = '', expiresAt, ...details } = {}) {
      if (!DEVICE_ID.test(id)) refuse('invalid', `"${id.slice(0, 80)}" is no device id: ${ID_RULE}`);
      checkDetails({ tags, description, ...details });
      const createdAt = now();
      const { token, stored } = createToken('device', createdAt, expiresAt);
      const row = changed({ id, enabled: true, tags, description, createdAt, tokens: [stored] }, details);
      try {
        return { device: publicOf(await table.set(id, row, 0)), token };
      } catch (error) {
        if (error instanceof Conflict) refuse('exists', `There is a device "${id}" already.`);
        throw error;
      }
    },
    get: (id) => {
      const row = table.get(id);
      return row && publicOf(row);
    },
    get size() {
      return table.size;
    },
    list({ limit, after = '', ...filter }) {
      sortedIds ??= [...table.values()].map((row) => row.key).sort();
      const found: Row<DeviceRow>[] = [];
      // One more than asked for tells whether there is a next page.
      for (let at = firstAfter(sortedIds, after); at < sortedIds.length && found.length <= limit; at++) {
        const row = table.get(sortedIds[at]!)!;
        if (fits(row.value, filter)) found.push(row);
      }
      const devices = found.slice(0, limit).map(publicOf);
      return found.length > limit ? { devices, next: devices.at(-1)!.id } : { devices };
    },
    update,
    setEnabled: (id, enabled) => update(id, { enabled }),
    revokeTokens: (id) => change(id, (row) => ({ ...row, tokens: [] })),
    revokeToken(id, keyId) {
      return change(id, (row) => {
        const tokens = row.tokens.filter((token) => token.keyId !== keyId);
        if (tokens.length === row.tokens.length) refuse('not-found', `The device "${id}" has no such token.`);
        return { ...row, tokens };
      });
    },
    async rotate(id, { expiresAt, overlapMs = OVERLAP_MS } = {}) {
      const { token, stored } = createToken('device', now(), expiresAt);
      const device = await change(id, (row) => ({ ...row, tokens: withNext(row.tokens, stored, overlapMs, now()) }));
      return { device, token, keyId: stored.keyId };
    },
    async used(id, keyId) {
      if (!withUse(table.get(id)?.value.tokens ?? [], keyId)) return;
      await change(id, (row) => ({ ...row, tokens: withUse(row.tokens, keyId) ?? row.tokens }));
    },
    expired: (at) => index.expired(at).map(({ key, keyId }) => ({ device: key, keyId })),
    async forgetExpired(at) {
      const over = index.expired(at);
      const ids = new Set(over.map(({ key }) => key));
      await Promise.all([...ids].map((id) => change(id, (row) => ({ ...row, tokens: living(row.tokens, at) }))));
      return over.length;
    },
    async remove(id) {
      const removed = table.delete(id);
      lastSeen.forget(id);
      if (!(await removed)) refuse('not-found', `There is no device "${id}".`);
    },
    authenticate(token, at) {
      const row = index.find(token, at);
      if (!row) return { code: 'token-invalid', detail: 'This token opens no device.' };
      if (!row.value.enabled) return { code: 'device-disabled', detail: `The device "${row.key}" is disabled.` };
      return publicOf(row);
    },
    onChange: (listener) => table.onChange((id, row) => listener(id, row && publicOf(row))),
    touch: lastSeen.set,
    close: lastSeen.close,
  };
}

const ID_RULE = 'a letter or digit, then letters, digits, or . _ : - (64 at most).';

function refuse(code: 'invalid' | 'exists' | 'not-found', detail: string): never {
  throw new RefusedError(code, detail);
}

/** The row with these details; `null` takes one away. */
function changed(
  row: DeviceRow,
  { expectedIntervalMs = row.expectedIntervalMs, ...details }: DeviceDetails,
): DeviceRow {
  const { expectedIntervalMs: _, ...rest } = { ...row, ...details };
  return typeof expectedIntervalMs === 'number' ? { ...rest, expectedIntervalMs } : rest;
}

function fits({ id, tags }: DeviceRow, { tags: asked = {}, prefix = '', where }: DeviceFilter): boolean {
  if (!id.startsWith(prefix)) return false;
  for (const name in asked) if (tags[name] !== asked[name]) return false;
  return where?.(id) ?? true;
}

function checkDetails({ tags = {}, description = '', expectedIntervalMs }: DeviceDetails) {
  const { least, most } = EXPECTED_INTERVAL_MS;
  if (typeof expectedIntervalMs === 'number' && !(expectedIntervalMs >= least && expectedIntervalMs <= most))
    refuse('invalid', `The expected interval is ${least} to ${most} ms.`);
  const names = Object.keys(tags);
  if (names.length > MAX_TAGS) refuse('invalid', `A device has at most ${MAX_TAGS} tags.`);
  for (const name of names) {
    if (!TAG_NAME.test(name))
      refuse('invalid', `"${name.slice(0, 80)}" is no tag name: a letter, then letters, digits, _ or -.`);
    if (!isText(tags[name])) refuse('invalid', `The tag "${name}" needs a line of at most ${MAX_TEXT} characters.`);
  }
  if (!isText(description)) refuse('invalid', `A description is a line of at most ${MAX_TEXT} characters.`);
}

function isText(text: unknown): boolean {
  return typeof text === 'string' && text.length <= MAX_TEXT && !/\p{Cc}/u.test(text);
}

/** Where the ids greater than `after` begin, in a sorted list. */
function firstAfter(ids: readonly string[], after: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle]! <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
