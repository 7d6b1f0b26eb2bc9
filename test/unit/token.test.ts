/** Tokens: their shape, what their checksum catches, and what is kept of them. */
import { describe, expect, it } from 'vitest';
import { createToken, hasExpired, keyIdOf, tokenMatches } from '../../hub/devices/token.ts';

const NOW = 1_760_000_000_000;

describe('a token', () => {
  it('names its kind, its key id, 256 bits of secret and a checksum', () => {
    expect(createToken('device', NOW).token).toMatch(/^thd_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/);
    expect(createToken('operator', NOW).token).toMatch(/^tho_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/);
  });

  it('is never made twice', () => {
    expect(new Set(Array.from({ length: 1_000 }, () => createToken('device', NOW).token)).size).toBe(1_000);
  });

  it('is recognised by its key id', () => {
    const { token, stored } = createToken('device', NOW);
    expect(keyIdOf('device', token)).toBe(stored.keyId);
  });

  it('is of one kind only', () => {
    expect(keyIdOf('operator', createToken('device', NOW).token)).toBeUndefined();
    expect(keyIdOf('device', createToken('operator', NOW).token)).toBeUndefined();
  });

  it('is refused by its checksum when any character changes', () => {
    const { token } = createToken('device', NOW);
    for (let at = 4; at < token.length; at += 1) {
      const other = token[at] === 'a' ? 'b' : 'a';
      expect(keyIdOf('device', token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
    }
  });

  it.each(['', 'thd_', 'thd__', 'Bearer x', 'thd_\u0000', `thd_${'é'.repeat(12)}_${'a'.repeat(49)}`])(
    'is not %j',
    (text) => {
      expect(keyIdOf('device', text)).toBeUndefined();
    },
  );
});

describe('what is stored of a token', () => {
  it('matches that token and no other of the same key id', () => {
    const one = createToken('device', NOW);
    const other = createToken('device', NOW);
    expect(tokenMatches(one.stored, one.token)).toBe(true);
    expect(tokenMatches({ ...one.stored, sha256: other.stored.sha256 }, one.token)).toBe(false);
  });

  it('holds nothing of the secret', () => {
    const { token, stored } = createToken('device', NOW);
    const [, , secret] = token.split('_');
    expect(JSON.stringify(stored)).not.toContain(secret);
    expect(stored).toEqual({
      keyId: token.split('_')[1],
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      createdAt: NOW,
    });
  });

  it('expires at its moment, or never', () => {
    const { stored } = createToken('device', NOW, NOW + 1_000);
    expect([hasExpired(stored, NOW + 999), hasExpired(stored, NOW + 1_000)]).toEqual([false, true]);
    expect(hasExpired(createToken('device', NOW).stored, Number.MAX_SAFE_INTEGER)).toBe(false);
  });
});
