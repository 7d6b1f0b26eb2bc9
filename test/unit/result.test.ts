/** What a device's result means for its command, and that no token stays in it. */
import { describe, expect, it } from 'vitest';
import { eventOfResult } from '../../hub/commands/result.ts';
import { createToken } from '../../hub/devices/token.ts';
import { loadCatalog } from '../../schemas/index.ts';

const { token, stored } = createToken('device', 0);
const shown = `thd_${stored.keyId}_***`;
const type = loadCatalog().commands.get('set-interval');
const said = { type: 'result', id: 'c1' } as const;

describe('a result', () => {
  it('is kept as it is when it holds no token', () => {
    const value = { seconds: 5, note: 'a thd_ and more' };
    expect(eventOfResult({ ...said, ok: true, value }, undefined)).toEqual({ type: 'succeed', value });
  });

  it('loses the secret part of a token in its value, at any depth and in names', () => {
    const value = { [token]: [{ deep: `it is ${token}!` }], plain: 1 };
    expect(eventOfResult({ ...said, ok: true, value }, undefined)).toEqual({
      type: 'succeed',
      value: { [shown]: [{ deep: `it is ${shown}!` }], plain: 1 },
    });
  });

  it('loses it in what is said of a misfit, and in an error', () => {
    const misfit = eventOfResult({ ...said, ok: true, value: { seconds: 5, [token]: 1 } }, type);
    expect(JSON.stringify(misfit)).not.toContain(token.slice(-40));
    const error = { code: token, message: `no: ${token}` };
    const failed = eventOfResult({ ...said, ok: false, error }, type);
    expect(JSON.stringify(failed)).not.toContain(token.slice(-40));
    expect(JSON.stringify(failed)).toContain(`no: ${shown}`);
  });
});
