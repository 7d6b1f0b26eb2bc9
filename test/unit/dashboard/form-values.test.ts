/** What a person wrote, read as the API takes it; each mistake at its field, in the words and the unit of the form. */
import { describe, expect, it } from 'vitest';
import { QUIET_MS, tagsFromText } from '../../../dashboard/src/devices/tag-text.ts';
import { HubRefusal } from '../../../dashboard/src/hub/client.http.ts';
import {
  deviceIdFrom,
  ifWritten,
  Mistaken,
  millisecondsFrom,
  numberFrom,
  operatorNameFrom,
  placed,
  readAll,
  taskNameFrom,
} from '../../../dashboard/src/kit/form-values.ts';
import { RULE_BOUNDS } from '../../../dashboard/src/pages/alert-rule.ts';
import { DEVICE_ID, EXPECTED_INTERVAL_MS, TAG_NAME } from '../../../hub/devices/device-details.ts';
import { OPERATOR_NAME } from '../../../hub/operators/operators.ts';
import { configSchema } from '../../../schemas/index.ts';

describe('a form', () => {
  it('gives the members of a body, and leaves out what was not written', () => {
    const body = readAll({ id: () => deviceIdFrom(' meter-7 '), parallel: () => ifWritten(' ', numberFrom) });
    expect(body).toEqual({ id: 'meter-7', parallel: undefined });
  });

  it('tells all mistakes at once, also those inside of a member', () => {
    const inside = () => {
      throw new Mistaken([{ path: '/seconds', message: 'is needed' }]);
    };
    const read = () => readAll({ id: () => deviceIdFrom(''), params: inside, tags: () => tagsFromText('a=1') });
    expect(read).toThrow(
      expect.objectContaining({
        mistakes: [
          { path: '/id', message: 'is needed' },
          { path: '/params/seconds', message: 'is needed' },
        ],
      }),
    );
  });
});

describe('what is written in seconds', () => {
  it('is sent in milliseconds', () => {
    expect(['0.1', '1,5', ' 60 '].map((text) => millisecondsFrom(text))).toEqual([100, 1_500, 60_000]);
  });

  it.each([
    ['-5', 'must be at least 0.1 s'],
    ['', 'is needed'],
    ['soon', 'must be a number'],
    ['99999999', 'must be at most 2592000 s (30 days)'],
  ])('is told in seconds what is wrong with it: "%s" %s', (text, message) => {
    expect(() => millisecondsFrom(text, QUIET_MS)).toThrow(new Error(message));
  });
});

describe('a name', () => {
  it.each([
    [operatorNameFrom, 'Bad Name!', 'takes a letter or digit, then letters, digits or . _ @ -'],
    [deviceIdFrom, '-7', 'takes a letter or digit, then letters, digits or . _ : -'],
    [taskNameFrom, 'a@b', 'takes a letter or digit, then letters, digits or . _ -'],
    [taskNameFrom, 'a'.repeat(65), 'has at most 64 characters'],
  ])('that cannot be is told without a regular expression: %o', (read, text, message) => {
    expect(() => read(text)).toThrow(new Error(message));
  });

  it.each([
    [deviceIdFrom, DEVICE_ID],
    [operatorNameFrom, OPERATOR_NAME],
    [(text: string) => Object.keys(tagsFromText(`${text}=1`))[0], TAG_NAME],
  ])('is taken when the hub takes it, and not otherwise: %o', (read, pattern) => {
    const names = ['a', 'a7', '7a', 'A.b', 'a_b', 'a-b', 'a:b', 'a@b', 'a b', '.a', '-a', '_a', 'ä', 'a'.repeat(64)];
    for (const name of [...names, 'a'.repeat(65)]) {
      if (pattern.test(name)) expect(read(name)).toBe(name);
      else expect(() => read(name), name).toThrow();
    }
  });
});

describe('the bounds of the forms', () => {
  it('are those of the hub', () => {
    expect(QUIET_MS).toEqual(EXPECTED_INTERVAL_MS);
    const { properties } = configSchema.properties.alerts.properties.rules.items as {
      properties: Record<string, { minimum?: number; maximum?: number; type: string }>;
    };
    for (const [name, bounds] of Object.entries(RULE_BOUNDS)) {
      const { least, most } = bounds as { least: number; most?: number };
      expect({ name, least, most }).toEqual({
        name,
        least: properties[name]!.minimum,
        most: properties[name]!.maximum,
      });
    }
  });
});

describe('a mistake', () => {
  const refusal = (...paths: string[]) =>
    new HubRefusal(
      400,
      'invalid',
      'It does not fit.',
      paths.map((path) => ({ in: 'body', path, message: 'is wrong' })),
    );

  it('stands at its field and nowhere else, also one inside of what the field is for', () => {
    const { at, rest } = placed(refusal('/id', '/tags/floor'), ['/id', '/tags']);
    expect([...at]).toEqual([
      ['/id', 'is wrong'],
      ['/tags', 'is wrong'],
    ]);
    expect(rest).toBeUndefined();
  });

  it('that no field tells is told by the form', () => {
    expect(placed(refusal('/id', '/secret'), ['/id']).rest?.message).toBe('/secret is wrong');
    expect(placed(refusal('/idx'), ['/id']).rest?.message).toBe('It does not fit.');
    const away = new Error('The hub does not answer.');
    expect(placed(away, ['/id']).rest).toBe(away);
  });
});
