/** The registry of devices: who may connect, with which token, and when each was last seen. */
import type { Row, Table } from '../backplane/backplane.ts';
import { Conflict, type Refusal, RefusedError, RefusedMember } from '../kit/errors.ts';
import { checkDetails, checkId, type DeviceDetails, withDetails } from './device-details.ts';
import { faultSentence, living, OVERLAP_MS, withNext, withUse } from './device-tokens.ts';
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
  /** How long its last token was made to hold, milliseconds; absent: for ever. The next one inherits it. */
  tokenLifeMs?: number;
}

/** A device as operators and the gateway see it: never a secret, never a hash. Times are Unix milliseconds. */
export interface Device extends Omit<DeviceRow, 'tokens' | 'tokenLifeMs'> {
  tokens: Omit<StoredToken, 'sha256'>[];
  /** Absent when it was never seen. */
  lastSeenAt?: number;
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
  /** In their order. Not to be changed. */
  ids(): readonly string[];
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
   * `overlapMs` (a week); a next one that was never used is replaced. It holds as long as the one before was made to hold,
   * unless `expiresAt` says otherwise (`null`: for ever). Durable when it resolves. Throws `RefusedError` (not-found).
   */
  rotate(
    id: string,
    options?: { expiresAt?: number | null; overlapMs?: number },
  ): Promise<{ device: Device; token: string; keyId: string; expiresAt?: number }>;
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
  /** Called after each durable change; `device` is undefined when it was removed; `isRevoked`: a token was taken away. */
  onChange(listener: (id: string, device: Device | undefined, isRevoked: boolean) => void): void;
  /** Remembers a sign of life. Written in batches once a minute, and at `close`. */
  touch(id: string, at: number): void;
  /** Writes the last signs of life. Idempotent. */
  close(): Promise<void>;
}

/** Losing the last minute of signs of life in a crash harms nobody. */
const SEEN_EVERY_MS = 60_000;
/** Of changes at the same moment one wins each time; more than this many in a row are no coincidence. */
const UPDATE_ATTEMPTS = 50;

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

  const ids = () => {
    sortedIds ??= [...table.values()].map((row) => row.key).sort();
    return sortedIds;
  };

  const publicOf = (row: Row<DeviceRow>): Device => {
    const { tokens, tokenLifeMs: _, ...rest } = row.value;
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
    return change(id, (row) => withDetails(row, details));
  };

  /** Listeners hear of it before it resolves, so they are told why. */
  const revoking = new Set<string>();
  async function revoke(id: string, edit: (row: DeviceRow) => DeviceRow): Promise<Device> {
    revoking.add(id);
    return change(id, edit).finally(() => revoking.delete(id));
  }

  return {
    async add(id, { tags = {}, description = '', expiresAt, ...details } = {}) {
      checkId(id);
      checkDetails({ tags, description, ...details });
      const createdAt = now();
      const { token, stored } = createToken('device', createdAt, expiresAt);
      const fresh: DeviceRow = { id, enabled: true, tags, description, createdAt, tokens: [stored] };
      const row = withDetails(withLife(fresh, stored), details);
      try {
        return { device: publicOf(await table.set(id, row, 0)), token };
      } catch (error) {
        if (error instanceof Conflict) throw new RefusedMember('exists', '/id', `There is a device "${id}" already.`);
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
    ids,
    list({ limit, after = '', ...filter }) {
      const sorted = ids();
      const found: Row<DeviceRow>[] = [];
      // One more than asked for tells whether there is a next page.
      for (let at = firstAfter(sorted, after); at < sorted.length && found.length <= limit; at++) {
        const row = table.get(sorted[at]!)!;
        if (fits(row.value, filter)) found.push(row);
      }
      const devices = found.slice(0, limit).map(publicOf);
      return found.length > limit ? { devices, next: devices.at(-1)!.id } : { devices };
    },
    update,
    setEnabled: (id, enabled) => update(id, { enabled }),
    revokeTokens: (id) => revoke(id, (row) => ({ ...row, tokens: [] })),
    revokeToken(id, keyId) {
      return revoke(id, (row) => {
        const tokens = row.tokens.filter((token) => token.keyId !== keyId);
        if (tokens.length === row.tokens.length) refuse('not-found', `The device "${id}" has no such token.`);
        return { ...row, tokens };
      });
    },
    async rotate(id, { expiresAt = inherited(table.get(id)?.value, now()), overlapMs = OVERLAP_MS } = {}) {
      const { token, stored } = createToken('device', now(), expiresAt ?? undefined);
      const device = await change(id, (row) =>
        withLife({ ...row, tokens: withNext(row.tokens, stored, overlapMs, now()) }, stored),
      );
      return { device, token, keyId: stored.keyId, ...(stored.expiresAt && { expiresAt: stored.expiresAt }) };
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
      if ('why' in row) return { code: 'token-invalid', detail: faultSentence(row) };
      if (!row.value.enabled) return { code: 'device-disabled', detail: `The device "${row.key}" is disabled.` };
      return publicOf(row);
    },
    onChange: (listener) => table.onChange((id, row) => listener(id, row && publicOf(row), revoking.has(id))),
    touch: lastSeen.set,
    close: lastSeen.close,
  };
}

function refuse(code: 'not-found', detail: string): never {
  throw new RefusedError(code, detail);
}

/** The row that remembers how long its newest token was made to hold. */
function withLife({ tokenLifeMs: _, ...row }: DeviceRow, { createdAt, expiresAt }: StoredToken): DeviceRow {
  return expiresAt === undefined ? row : { ...row, tokenLifeMs: expiresAt - createdAt };
}

/** When a token made now would expire if it held as long as the last one; undefined: never. */
function inherited({ tokenLifeMs }: Partial<DeviceRow> = {}, now: number): number | undefined {
  return tokenLifeMs === undefined ? undefined : now + tokenLifeMs;
}

function fits({ id, tags }: DeviceRow, { tags: asked = {}, prefix = '', where }: DeviceFilter): boolean {
  if (!id.startsWith(prefix)) return false;
  for (const name in asked) if (tags[name] !== asked[name]) return false;
  return where?.(id) ?? true;
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
