/** Tokens of devices (`thd_…`) and operators (`tho_…`): made, recognised and compared; only their hash is kept. */
import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

const PREFIXES = { device: 'thd', operator: 'tho' } as const;
export type TokenKind = keyof typeof PREFIXES;

/** What the hub keeps of a token: enough to recognise it, nothing to make it from. */
export interface StoredToken {
  /** The public part of the token, by which it is looked up and named. */
  keyId: string;
  /** SHA-256 of the whole token, in hex. */
  sha256: string;
  /** Unix milliseconds. */
  createdAt: number;
  /** Unix milliseconds; absent: never. */
  expiresAt?: number;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const KEY_ID_CHARS = 12;
/** 62^43 is just above 2^256. */
const SECRET_CHARS = 43;
const CRC_CHARS = 6;
const CHAR = '[0-9A-Za-z]';
const SHAPE = new RegExp(`^(thd|tho)_(${CHAR}{${KEY_ID_CHARS}})_(${CHAR}{${SECRET_CHARS}})(${CHAR}{${CRC_CHARS}})$`);

/** A new token, `thd_<keyId>_<secret><crc>`; the text is shown once, `stored` is what stays. */
export function createToken(kind: TokenKind, now: number, expiresAt?: number): { token: string; stored: StoredToken } {
  const keyId = randomText(KEY_ID_CHARS);
  const body = `${PREFIXES[kind]}_${keyId}_${randomText(SECRET_CHARS)}`;
  const token = body + checksumOf(body);
  const stored = { keyId, sha256: hashOf(token).toString('hex'), createdAt: now };
  return { token, stored: expiresAt === undefined ? stored : { ...stored, expiresAt } };
}

/** The key id of a well-formed token of this kind; undefined for garbage, found by its checksum without a look-up. */
export function keyIdOf(kind: TokenKind, text: string): string | undefined {
  const [, prefix, keyId, , checksum] = SHAPE.exec(text) ?? [];
  if (prefix !== PREFIXES[kind]) return undefined;
  return checksumOf(text.slice(0, -CRC_CHARS)) === checksum ? keyId : undefined;
}

/** Whether this is that token, expired or not; takes the same time however much of it is right. */
export function tokenMatches(stored: StoredToken, token: string): boolean {
  return timingSafeEqual(hashOf(token), Buffer.from(stored.sha256, 'hex'));
}

/** Whether its time is over. */
export function hasExpired({ expiresAt = Number.POSITIVE_INFINITY }: StoredToken, now: number): boolean {
  return now >= expiresAt;
}

function randomText(length: number): string {
  return Array.from({ length }, () => BASE62[randomInt(BASE62.length)]).join('');
}

function checksumOf(body: string): string {
  let text = '';
  for (let rest = crc32(body); text.length < CRC_CHARS; rest = Math.floor(rest / 62)) text = BASE62[rest % 62] + text;
  return text;
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
