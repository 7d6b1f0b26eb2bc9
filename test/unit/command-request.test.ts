/** What somebody asks of a device is checked as a whole before anything is stored. */
import { describe, expect, it } from 'vitest';
import { checkParams, type ParamsMisfit } from '../../hub/commands/command-request.ts';
import { loadCatalog } from '../../schemas/index.ts';

const type = loadCatalog().commands.get('set-interval')!;

function misfitOf(params: Record<string, unknown>): ParamsMisfit {
  try {
    checkParams(type, params);
  } catch (error) {
    return error as ParamsMisfit;
  }
  throw new Error('they fit');
}

describe('the parameters of a command', () => {
  it('have each mistake named, by its pointer', () => {
    const { failures, detail } = misfitOf({ 'a/b': 1, colour: 2 });
    expect(failures.map(({ path }) => path).sort()).toEqual(['/a~1b', '/colour', '/seconds']);
    expect(detail.split('; ').sort()).toEqual([
      'params/a~1b is not a known field',
      'params/colour is not a known field',
      'params/seconds is missing',
    ]);
  });

  it('are refused by their size before they are looked at, and have a bounded list of mistakes', () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, 1]));
    expect(misfitOf(many(100)).failures).toHaveLength(20);
    const huge = misfitOf(many(1_000));
    expect(huge).not.toHaveProperty('failures');
    expect(huge.detail).toContain('4096 bytes');
  });
});
