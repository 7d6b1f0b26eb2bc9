/** Line protocol as InfluxDB reads it; that it really does is shown by the contract suite. */
import { describe, expect, it } from 'vitest';
import { createLineEncoder } from '../../hub/telemetry/line-protocol.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { streams } from '../helpers/streams.ts';

const encode = createLineEncoder(streams);
const line = (reading: object, device = 'd') => encode([frameOf(device, 'probe', [{ ts: T0, ...reading }])]).lines[0];
const TIME = T0 * 1000;

describe('a line', () => {
  it.each([
    ['a float without a suffix', { level: 21.4 }, 'level=21.4'],
    ['a whole number in a float field as a float', { level: 21 }, 'level=21'],
    ['an integer with an i', { turns: -3 }, 'turns=-3i'],
    ['true as t', { open: true }, 'open=t'],
    ['false as f', { open: false }, 'open=f'],
    ['a string in quotes', { note: 'x y,z=1' }, 'note="x y,z=1"'],
    ['quotes and backslashes escaped', { note: 'a"b\\c' }, 'note="a\\"b\\\\c"'],
    ['a newline as it is', { note: 'a\nb' }, 'note="a\nb"'],
    ['several fields with commas', { level: 1, turns: 2, open: true }, 'level=1,turns=2i,open=t'],
  ])('writes %s', (_, reading, fields) => {
    expect(line(reading)).toBe(`probe,device=d ${fields} ${TIME}`);
  });

  it('writes a tag as a tag and as a field', () => {
    expect(line({ level: 1, mode: 'd,e=f' })).toBe(`probe,device=d,mode=d\\,e\\=f level=1,mode.value="d,e=f" ${TIME}`);
    expect(line({ mode: 'b c' })).toBe(`probe,device=d,mode=b\\ c mode.value="b c" ${TIME}`);
  });

  it('has its time in microseconds', () => {
    expect(line({ ts: T0 + 0.001, level: 1 })).toMatch(new RegExp(` ${TIME + 1}$`));
    expect(line({ ts: T0 + 0.9996, level: 1 })).toMatch(new RegExp(` ${TIME + 1000}$`));
  });

  it('escapes the device', () => {
    expect(line({ level: 1 }, 'a b,c=d"e')).toBe(`probe,device=a\\ b\\,c\\=d"e level=1 ${TIME}`);
  });
});

describe('a batch of lines', () => {
  it('is sorted by stream and device, and stays in order within', () => {
    const frames = [
      frameOf('b', 'probe', [{ ts: 2, turns: 1 }]),
      frameOf('a', 'probe', [{ ts: 9, turns: 2 }]),
      frameOf('b', 'environment', [{ ts: 5, light: 3 }]),
      frameOf('b', 'probe', [
        { ts: 1, turns: 4 },
        { ts: 2, turns: 5 },
      ]),
    ];
    const batch = encode(frames);
    expect(batch.lines.map((text) => text.split(' ')[1])).toEqual([
      'light=3',
      'turns=2i',
      'turns=1i',
      'turns=4i',
      'turns=5i',
    ]);
    expect(batch.frames).toEqual([frames[2], frames[1], frames[0], frames[3], frames[3]]);
    expect(batch.readings[4]).toBe(frames[3]!.readings[1]);
  });

  it.each([
    ['a device with a newline', 'a\nb', { level: 1 }],
    ['a device with a backslash at its end', 'a\\', { level: 1 }],
    ['no device', '', { level: 1 }],
    ['a tag with a newline', 'd', { mode: 'a\nb' }],
    ['a number that is not finite', 'd', { level: Number.POSITIVE_INFINITY }],
    ['an integer with a fraction', 'd', { turns: 0.5 }],
    ['an integer too large for a double', 'd', { turns: 2 ** 53 }],
    ['a value of another type', 'd', { open: 1 }],
    ['a field that the schema does not have', 'd', { level: 1, unknown: 1 }],
    ['no field at all', 'd', {}],
  ])('refuses a reading with %s, and no other', (_, device, reading) => {
    const bad = frameOf(device, 'probe', [{ ts: T0, ...reading }]);
    const good = frameOf('good', 'probe', [{ ts: T0, level: 1 }]);
    const batch = encode([bad, good]);
    expect(batch.refused).toEqual([{ frame: bad, reading: bad.readings[0], message: expect.any(String) }]);
    expect(batch.lines).toEqual([`probe,device=good level=1 ${TIME}`]);
  });
});
