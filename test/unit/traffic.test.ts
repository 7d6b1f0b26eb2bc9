/** Who sends most: rates between two looks, and their order. */
import { expect, it } from 'vitest';
import { createTalkers, MEASURES, Traffic } from '../../hub/gateway/traffic.ts';

function fieldOf(...devices: string[]) {
  const traffics = new Map(devices.map((device) => [device, new Traffic()]));
  const talkers = createTalkers(() => traffics, 0);
  const send = (device: string, frames: number, { readings = 1, bytes = 100, flows = 0 } = {}) => {
    const traffic = traffics.get(device)!;
    traffic.frames += frames;
    traffic.readings += frames * readings;
    traffic.bytes += frames * bytes;
    traffic.flows += flows;
  };
  return { traffics, talkers, send };
}

const names = (talkers: { device: string }[]) => talkers.map(({ device }) => device);

it('ranks by what is asked, most first, and leaves out who sent nothing', () => {
  const { talkers, send } = fieldOf('chatty', 'bulky', 'scolded', 'silent');
  send('chatty', 1_000, { bytes: 10 });
  send('bulky', 10, { readings: 500, bytes: 60_000 });
  send('scolded', 100, { readings: 0, flows: 20 });
  talkers.look(5_000);
  expect(MEASURES.map((by) => [by, names(talkers.top(by, 10))])).toEqual([
    ['bytes', ['bulky', 'chatty', 'scolded']],
    ['readings', ['bulky', 'chatty']],
    ['frames', ['chatty', 'scolded', 'bulky']],
    ['flows', ['scolded']],
  ]);
  expect(names(talkers.top('frames', 1))).toEqual(['chatty']);
});

it('tells the rate of the last five seconds and nothing of those before', () => {
  const { talkers, traffics, send } = fieldOf('a');
  send('a', 1_000);
  talkers.look(1_000);
  expect(talkers.top('frames', 10)).toEqual([]);
  talkers.look(5_010);
  send('a', 100, { flows: 1 });
  talkers.look(10_010);
  const perSecond = { frames: 20, readings: 20, bytes: 2_000, flows: 0.2 };
  expect(talkers.top('frames', 10)).toEqual([{ device: 'a', perSecond }]);
  expect(traffics.get('a')!.isQuiet).toBe(false);
  talkers.look(15_010);
  expect(talkers.top('frames', 10)).toEqual([]);
  expect(traffics.get('a')!.isQuiet).toBe(true);
});
