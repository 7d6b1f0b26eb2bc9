/** Forms made from the schemas of commands, and orders for one device or many. */
import { describe, expect, it } from 'vitest';
import { formFieldsOf, initialValues, paramsOf } from '../../../dashboard/src/commands/form-model.ts';
import { targetOf } from '../../../dashboard/src/commands/target.ts';
import { sampleOf } from '../../../dashboard/src/devices/sample.ts';
import { tagsFromText, tagsToText } from '../../../dashboard/src/devices/tag-text.ts';
import { type Mistaken, readAll } from '../../../dashboard/src/kit/form-values.ts';
import { changeOf, ruleReaders, type Texts, targetIn, textsOf } from '../../../dashboard/src/pages/alert-rule.ts';
import type { Rule } from '../../../dashboard/src/pages/alert-words.ts';
import { loadCatalog } from '../../../schemas/index.ts';

const ruleFrom = (texts: Texts) => readAll(ruleReaders(texts));

function mistakesOf(read: () => unknown) {
  try {
    return read();
  } catch (error) {
    return (error as Mistaken).mistakes;
  }
}

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
    ['seconds', '0', 'must be at least 1 s'],
    ['seconds', '61', 'must be at most 60 s'],
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

  it('without =, or with a name that the hub does not take, are no tags', () => {
    expect(() => tagsFromText('floor')).toThrow('“floor” is no tag: write name=value.');
    expect(() => tagsFromText('1st=a')).toThrow('“1st” is no name of a tag: a letter, then letters, digits, _ or -.');
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

  it.each([
    [
      { kind: 'field', side: 'below', limit: '' },
      { path: '/below', message: 'is needed' },
    ],
    [
      { kind: 'field', side: 'above', limit: 'warm' },
      { path: '/above', message: 'must be a number' },
    ],
    [
      { kind: 'field', limit: '30', clear: '31' },
      { path: '/clear', message: 'must not be above the limit' },
    ],
    [
      { kind: 'field', side: 'below', limit: '3', clear: '2' },
      { path: '/clear', message: 'must not be below the limit' },
    ],
    [
      { kind: 'offline', for: 'long' },
      { path: '/forMs', message: 'must be a number' },
    ],
    [
      { kind: 'offline', clearFor: '-1' },
      { path: '/clearForMs', message: 'must be at least 0 s' },
    ],
    [
      { kind: 'no-reading', for: '0' },
      { path: '/forMs', message: 'must be more than 0: so long a device may be quiet' },
    ],
    [
      { kind: 'no-reading', for: '' },
      { path: '/forMs', message: 'is needed' },
    ],
    [
      { kind: 'quarantine', readings: '1.5', window: '1' },
      { path: '/readings', message: 'must be a whole number' },
    ],
    [
      { kind: 'quarantine', readings: '1', window: '0,5' },
      { path: '/windowMs', message: 'must be at least 1 s' },
    ],
    [
      { kind: 'quarantine', readings: '1', window: '90000' },
      { path: '/windowMs', message: 'must be at most 86400 s (1 day)' },
    ],
  ] as [Texts, object][])('of %o is told at its field what is wrong: %o', (texts, mistake) => {
    expect(mistakesOf(() => ruleFrom(texts))).toEqual([mistake]);
  });

  const COMMON = { severity: 'info', description: 'look', clearForMs: 30_000, enabled: true, origin: 'api' } as const;
  const RULES: Rule[] = [
    { ...COMMON, id: 'a', kind: 'field', stream: 'power', field: 'voltage', below: 0, clear: 3, forMs: 60_000 },
    { ...COMMON, id: 'b', kind: 'no-reading', stream: 'power', forMs: 500 },
    { ...COMMON, id: 'c', kind: 'offline', forMs: 0, deliver: ['on-call'] },
    { ...COMMON, id: 'd', kind: 'quarantine', readings: 0, windowMs: 5_000, forMs: 90_000 },
    { ...COMMON, id: 'e', kind: 'lag', lagMs: 1_500, sink: 'store', forMs: 0, enabled: false },
  ];
  /** As the hub does it. */
  const changed = (rule: Rule, change: object) =>
    Object.fromEntries(Object.entries({ ...rule, ...change }).filter(([, value]) => value !== null));

  it.each(RULES)('of the kind $kind is as it was when nothing was changed in its form', (rule) => {
    const change = changeOf(rule, ruleFrom(textsOf(rule)));
    expect({ ...rule, ...changed(rule, change) }).toEqual(rule);
  });

  it('loses what its new kind does not know', () => {
    const [field, , , , lag] = RULES as [Rule, Rule, Rule, Rule, Rule];
    const toOffline = changeOf(field, ruleFrom({ ...textsOf(field), kind: 'offline' }));
    expect(toOffline).toMatchObject({ kind: 'offline', stream: null, field: null, below: null, clear: null });
    expect(changeOf(lag, ruleFrom({ ...textsOf(lag), kind: 'offline' }))).toMatchObject({ sink: null, lagMs: null });
  });

  it('is for whom it was; tags and names at once are left to other hands', () => {
    expect(targetIn()).toEqual({ kind: 'all', text: '' });
    expect(targetIn({ tags: { floor: '1' } })).toEqual({ kind: 'tags', text: 'floor=1' });
    expect(targetIn({ devices: ['a', 'b'] })).toEqual({ kind: 'devices', text: 'a, b' });
    expect(targetIn({ tags: { floor: '1' }, devices: ['a'] })).toBeUndefined();
  });
});

describe('the reading of a program to start from', () => {
  it.each([...loadCatalog().streams.values()])('is one that the stream $name takes', (stream) => {
    const fields = [...stream.fields].map(([name, { type }]) => ({ name, type, title: name }));
    const sample = sampleOf({ name: stream.name, title: '', description: '', fields, schema: stream.schema as object });
    expect(stream.check({ ts: 0, ...sample.reading })).toBeUndefined();
    expect(Object.keys(sample.reading).length).toBeGreaterThan(0);
  });

  it('keeps to the bounds and words of the schema, and has what it asks for', () => {
    const properties = {
      level: { minimum: 0, maximum: 10 },
      count: { maximum: 7.5 },
      mode: { enum: ['slow', 'fast'] },
      open: {},
      note: { maxLength: 3 },
    };
    const types = { level: 'number', count: 'integer', mode: 'string', open: 'boolean', note: 'string' } as const;
    const fields = Object.entries(types).map(([name, type]) => ({ name, type, title: name }));
    const stream = {
      name: 's',
      title: '',
      description: '',
      fields,
      schema: { properties, required: Object.keys(types) },
    };
    expect(sampleOf(stream).reading).toEqual({ level: 0, count: 7, mode: 'slow', open: true, note: 'tex' });
    expect(sampleOf({ ...stream, schema: { properties } }).reading).toEqual({ level: 0, count: 7 });
  });
});
