/** Tokens lose their secret part in every text, and nothing else changes. */
import { describe, expect, it } from 'vitest';
import { createToken } from '../../hub/devices/token.ts';
import { hideSecrets, holdsToken, redact } from '../../hub/kit/redact.ts';

describe.each(['device', 'operator'] as const)('a token of a %s', (kind) => {
  const { token, stored } = createToken(kind, 0);
  const shown = `${token.slice(0, 4)}${stored.keyId}_***`;

  it.each([
    ['alone', token, shown],
    ['in words', `There is no device "${token}".`, `There is no device "${shown}".`],
    ['twice', `${token} ${token}`, `${shown} ${shown}`],
    ['cut off', token.slice(0, 40), shown],
    ['right before another', `${token}${token}/x`, `${shown}/x`],
  ])('%s loses its secret part', (_, text, redacted) => {
    expect(holdsToken(text)).toBe(true);
    expect(redact(text)).toBe(redacted);
  });

  it('is found as a URL spells it', () => {
    const text = redact(`/v1/devices/${token.replaceAll('_', '%5F')}/x`);
    expect(text).not.toContain(token.slice(17, 40));
    expect(text).toMatch(/_\*\*\*\/x$/);
  });
});

it.each(['meter-7', 'thd_', 'thd_short', 'a thd_6vTq0ZcB1xYk alone', 'thd_6vTq0ZcB1xYk_***', ''])(
  '"%s" stays as it is',
  (text) => {
    expect(redact(text)).toBe(text);
    expect(holdsToken(text)).toBe(false);
  },
);

describe('a secret of the configuration', () => {
  const secret = 'p"ss/wörd+1';
  hideSecrets([{ user: 'hub', secret }, { secret: 'short' }]);

  it.each([
    ['as it is', `password ${secret}!`, 'password ***!'],
    ['in JSON', JSON.stringify({ password: secret }), '{"password":"***"}'],
    ['in a URL', `?p=${encodeURIComponent(secret)}&q=1`, '?p=***&q=1'],
    ['in a header', `Basic ${Buffer.from(`hub:${secret}`).toString('base64')}`, 'Basic ***'],
  ])('is masked %s', (_, text, masked) => {
    expect(redact(text)).toBe(masked);
  });

  it('that is a short word is left alone, for it would mask other words', () => {
    expect(redact('a short text')).toBe('a short text');
  });
});
