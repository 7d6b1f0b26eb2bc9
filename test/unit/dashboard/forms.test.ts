/** Forms made from the schemas of commands, and orders for one device or many. */
import { describe, expect, it } from 'vitest';
import { formFieldsOf, initialValues, paramsOf } from '../../../dashboard/src/commands/form-model.ts';
import { targetOf } from '../../../dashboard/src/commands/target.ts';
import { tagsFromText, tagsToText } from '../../../dashboard/src/devices/tag-text.ts';
import { ruleFrom } from '../../../dashboard/src/pages/alert-rule.ts';
import { loadCatalog } from '../../../schemas/index.ts';

const SCHEMA = {
  type: 'object',
  required: ['seconds', 'mode'],
  properties: {
    seconds: { type: 'integer', title: 'For', unit: 's', minimum: 1, maximum: 60 },
    mode: { enum: ['slow', 'fast'], title: 'Mode' },
    level: { enum: [1, 2] },
    loud: { type: 'boolean', title: 'Loud', default: true },
    name: { type: 'string' },
    settings: { type: 'object', examples: [{ a: 1 }] },
  },
};
const fields = formFieldsOf(SCHEMA);
const begun = initialValues(fields);

describe('a form of a command', () => {
  it('has a field for each parameter, with title, unit and bounds in words', () => {
    expect(fields.map(({ title, kind, required }) => [title, kind, required])).toEqual([
      ['For', 'number', true],
      ['Mode', 'choice', true],
      ['level', 'choice', false],
      ['Loud', 'boolean', false],
      ['name', 'text', false],
      ['settings', 'json', false],
    ]);
    expect(fields[0]).toMatchObject({ unit: 's', hint: 'a whole number, 1 to 60' });
  });

  it('begins with defaults and examples', () => {
    expect(begun).toEqual({ seconds: '', mode: 'slow', level: '', loud: true, name: '', settings: '{\n  "a": 1\n}' });
  });

  it('makes parameters of the right types, and leaves out what is empty', () => {
    const { params, mistakes } = paramsOf(fields, { ...begun, seconds: '5', level: '2' });
    expect(mistakes).toEqual({});
    expect(params).toEqual({ seconds: 5, mode: 'slow', level: 2, loud: true, settings: { a: 1 } });
  });

  it.each([
    ['seconds', '', 'is needed'],
    ['seconds', '1.5', 'must be a whole number'],
    ['seconds', 'soon', 'must be a number'],
    ['seconds', '0', 'must be at least 1'],
    ['seconds', '61', 'must be at most 60'],
    ['settings', '{', 'is no JSON'],
  ])('says what is wrong with %s "%s": %s', (name, value, message) => {
    const { mistakes } = paramsOf(fields, { ...begun, seconds: '5', [name]: value });
    expect(mistakes).toEqual({ [name]: message });
  });

  it.each([...loadCatalog().commands.values()])(
    'can be made for the command $name, and its beginning passes when nothing is required',
    ({ schema, checkParams }) => {
      const own = formFieldsOf(schema.params);
      const { params, mistakes } = paramsOf(own, initialValues(own));
      const needed = own.filter(({ required, kind }) => required && kind !== 'json').map(({ name }) => name);
      expect(Object.keys(mistakes)).toEqual(needed);
      if (needed.length === 0) expect(checkParams(params)).toEqual([]);
    },
  );
});

describe('an order for many', () => {
  it('never means every device because nothing was written', () => {
    for (const kind of ['tags', 'devices', 'one'] as const)
      expect(() => targetOf({ kind, text: '  ' })).toThrow('which devices');
    expect(targetOf({ kind: 'all', text: '' })).toEqual({ selector: { tags: {} } });
  });

  it('reads tags and names', () => {
    expect(targetOf({ kind: 'tags', text: 'floor=1, building=north' })).toEqual({
      selector: { tags: { floor: '1', building: 'north' } },
    });
    expect(targetOf({ kind: 'devices', text: 'a, b\nc' })).toEqual({ selector: { devices: ['a', 'b', 'c'] } });
  });
});

describe('tags as text', () => {
  it('come back as they were, commas in values and all', () => {
    const tags = { place: 'Hall 3, left', floor: '1' };
    expect(tagsFromText(tagsToText(tags))).toEqual(tags);
  });

  it('without = are no tags', () => {
    expect(() => tagsFromText('floor')).toThrow('“floor” is no tag: write name=value.');
  });
});

describe('a rule of alerts', () => {
  it('says only what its kind knows', () => {
    const texts = {
      stream: 'power',
      field: 'voltage',
      side: 'below',
      limit: '210',
      clear: '215',
      severity: 'critical',
      for: '60',
    };
    expect(ruleFrom({ ...texts, kind: 'field' })).toEqual({
      ...{ kind: 'field', severity: 'critical', forMs: 60_000 },
      ...{ stream: 'power', field: 'voltage', below: 210, clear: 215 },
    });
    expect(ruleFrom({ ...texts, kind: 'offline' })).toEqual({ kind: 'offline', severity: 'critical', forMs: 60_000 });
    expect(ruleFrom({ ...texts, kind: 'lag', lag: '30' })).toMatchObject({ kind: 'lag', lagMs: 30_000 });
  });
});
