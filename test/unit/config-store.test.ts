import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../hub/config.ts';
import { rollupsOf } from '../../hub/config-store.ts';

const load = (text: string, env: Record<string, string> = {}) =>
  loadConfig({ file: { name: 'hub.yaml', text }, env, readFile: () => '' });

describe('roll-ups in the configuration', () => {
  it('come by the length of their windows, and are kept for ever unless it says otherwise', () => {
    const { store } = load('store: { rollups: [{ every: 1h }, { every: 90s, keepDays: 2 }] }');
    expect(rollupsOf(store)).toEqual([
      { name: '90s', everyMs: 90_000, keepMs: 172_800_000 },
      { name: '1h', everyMs: 3_600_000, keepMs: 0 },
    ]);
    expect(rollupsOf(load('').store)).toEqual([]);
  });

  it('come from the environment as JSON', () => {
    const { store } = load('', { HUB_STORE__ROLLUPS: '[{"every":"1m","keepDays":365}]' });
    expect(rollupsOf(store)).toEqual([{ name: '1m', everyMs: 60_000, keepMs: 365 * 86_400_000 }]);
  });

  it.each([
    ['rollups: [{ every: 60s }, { every: 1m }]', 'store.rollups.1.every is as long as 60s'],
    ['rollups: [{ every: 1d }], retentionDays: 1', 'store.rollups.0.every must be at most half of retentionDays'],
    ['rollups: [{ every: 1h, keepDays: 0.01 }]', 'store.rollups.0.keepDays is shorter than a window'],
    ['rollups: [{ every: fast }]', 'store.rollups.0.every'],
    ['rollups: [{ keepDays: 1 }]', 'store.rollups.0'],
  ])('%s is a mistake', (text, message) => {
    expect(() => load(`store: { ${text} }`)).toThrow(message);
  });
});
