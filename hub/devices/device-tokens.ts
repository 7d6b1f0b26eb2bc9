/** How one token of a device follows another without a gap: rules over its tokens, oldest first, two at most. */
import type { Refusal } from '../kit/errors.ts';
import { hasExpired, type StoredToken } from './token.ts';
import type { TokenFault } from './token-index.ts';

/** How long the older token lives on when the newer is not used, unless somebody says otherwise. */
export const OVERLAP_MS = 7 * 86_400_000;

/** Those that have not expired. */
export function living(tokens: readonly StoredToken[], now: number): StoredToken[] {
  return tokens.filter((token) => !hasExpired(token, now));
}

/**
 * The tokens after a rotation: the one in use ends after the overlap, never later than it would have. A next one that
 * was not used yet gives way to `next`: the device may never have heard of it, and two are enough.
 */
export function withNext(
  tokens: readonly StoredToken[],
  next: StoredToken,
  overlapMs: number,
  now: number,
): StoredToken[] {
  const [inUse] = living(tokens, now);
  if (!inUse || overlapMs <= 0) return [next];
  return [{ ...inUse, expiresAt: Math.min(inUse.expiresAt ?? Number.POSITIVE_INFINITY, now + overlapMs) }, next];
}

/** The tokens after one opened the door: those older than it end. Undefined when that changes nothing. */
export function withUse(tokens: readonly StoredToken[], keyId: string): StoredToken[] | undefined {
  const at = tokens.findIndex((token) => token.keyId === keyId);
  return at > 0 ? tokens.slice(at) : undefined;
}

const CERTIFICATE_KEY = 'cert:';

/** What stands in place of the public part of a token for a device that came in with a certificate. */
export const certificateKey = (fingerprint: string): string => `${CERTIFICATE_KEY}${fingerprint}`;

/** Whether it is one: no token of the device has to do with it. */
export const isOfCertificate = (keyId: string): boolean => keyId.startsWith(CERTIFICATE_KEY);

/** Why a session that came in with `keyId` may not stay with its device as it is now; undefined when it may. */
export function whyLeave(
  device: { enabled: boolean; tokens: Pick<StoredToken, 'keyId'>[] } | undefined,
  keyId: string,
  isRevoked: boolean,
): Refusal | undefined {
  if (!device) return { code: 'device-removed', detail: 'an operator removed the device' };
  if (!device.enabled) return { code: 'device-disabled', detail: 'an operator disabled the device' };
  if (isOfCertificate(keyId) || device.tokens.some((token) => token.keyId === keyId)) return undefined;
  const detail = isRevoked ? 'an operator revoked its token' : 'its token gave way to the next one';
  return { code: 'token-invalid', detail };
}

/** What a session is told whose token ran out: by itself, or at the end of the overlap with the next one. */
export function whyExpired(tokens: readonly Pick<StoredToken, 'keyId'>[], keyId: string): string {
  const isNewest = tokens.at(-1)?.keyId === keyId;
  return isNewest ? 'its token has expired' : 'its token gave way to the next one, and the overlap is over';
}

/** What the bearer of a token that opens nothing is told. */
export function faultSentence(fault: TokenFault): string {
  if (fault.why === 'malformed') return 'This token opens no device: it is cut off or mistyped.';
  if (fault.why === 'kind') return 'This is a token of an operator (tho_…); a device has tokens of its own (thd_…).';
  if (fault.why === 'unknown')
    return 'This token opens no device: it is not known here, or was revoked, replaced or expired.';
  return `This token expired at ${new Date(fault.at).toISOString()}; an operator can make the next one.`;
}
