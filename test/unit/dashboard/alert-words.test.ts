/** Alerts and their rules in words: what is wrong now, and what would be wrong for how long. */
import { describe, expect, it } from 'vitest';
import { type Alert, alertWords, type Rule, ruleWords } from '../../../dashboard/src/pages/alert-words.ts';

const RULE: Rule = {
  ...{ id: 'hot', kind: 'field', stream: 'environment', field: 'temperature', above: 30 },
  ...{ forMs: 2_000, clearForMs: 0, severity: 'warning', description: '', enabled: true, origin: 'api' },
};
const PENDING: Alert = {
  ...{ id: 'a1', rule: 'hot', kind: 'field', severity: 'warning', state: 'pending', device: 'oven', value: 32.094 },
  ...{ since: 0, summary: 'oven: environment.temperature is 32.094, above 30 for 2 s' },
};

describe('a rule', () => {
  it('tells for how long, and where it is over when that is elsewhere', () => {
    expect(ruleWords(RULE)).toBe('temperature above 30 for 2 s, every device');
    expect(ruleWords({ ...RULE, clear: 28.5, forMs: 0 })).toBe('temperature above 30 (over at 28.5), every device');
  });
});

describe('an alert that is pending', () => {
  it('says that it is so now, and how long it must last until it fires', () =>
    expect(alertWords(PENDING, RULE)).toBe('oven: temperature above 30 now (32.09), fires when that has lasted 2 s'));

  it.each([
    [{ kind: 'offline', forMs: 90_000 }, {}, 'oven: offline now, fires when that has lasted 1 min 30 s'],
    [
      { kind: 'lag', lagMs: 60_000 },
      { device: undefined, sink: 'store' },
      'store more than 1 min behind now, fires when that has lasted 2 s',
    ],
  ] as const)('of %o does so, too', (rule, alert, words) => {
    const { device, ...rest } = { ...PENDING, ...alert };
    const told = device === undefined ? rest : { ...rest, device };
    expect(alertWords(told, { ...RULE, ...rule })).toBe(words);
  });

  it('reads as the hub says it once it fires, or when its rule is gone', () => {
    expect(alertWords({ ...PENDING, state: 'firing' }, RULE)).toBe(PENDING.summary);
    expect(alertWords(PENDING, undefined)).toBe(PENDING.summary);
  });
});
