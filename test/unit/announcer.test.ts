/** When Home Assistant is told of a device, again, and no more. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createAnnouncer } from '../../hub/bridge/home-assistant/announcer.ts';
import type { Discovery } from '../../hub/bridge/home-assistant/home-assistant.ts';
import type { Device } from '../../hub/devices/devices.ts';
import { createScriptedLink } from '../helpers/scripted-link.ts';

const TOPIC = 'homeassistant/device/a/config';

function setUp(count = 1) {
  const link = createScriptedLink('broker');
  const names = new Map(Array.from({ length: count }, (_, at) => [at === 0 ? 'a' : `d${at}`, 'one']));
  const cleared: string[] = [];
  const kept: string[] = [];
  const on = { device: (_: string, __?: Device) => {}, repertoire: (_: string) => {} };
  const deviceOf = (id: string) => (names.has(id) ? ({ id, description: names.get(id) } as Device) : undefined);
  const announcer = createAnnouncer(
    {
      link,
      clearings: {
        clear: (topics) => void cleared.push(...topics),
        keep: (topic) => void kept.push(topic),
      },
      devices: {
        get: deviceOf,
        list: () => ({ devices: [...names.keys()].map((id) => deviceOf(id)!) }),
        onChange: (listener) => {
          on.device = (id, device) => listener(id, device, false);
        },
      },
      repertoire: { onChange: (listener) => (on.repertoire = listener) },
      discoveryOf: ({ id, description }) =>
        description === 'nothing' ? undefined : ({ device: { id, description } } as unknown as Discovery),
      log: { warn() {} },
    },
    { prefix: 'homeassistant', spreadMs: 1_000 },
  );
  const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  return { link, names, cleared, kept, on, announcer, passes, topics: () => link.published.map(({ topic }) => topic) };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const connected = async (count?: number) => {
  const set = setUp(count);
  const done = set.link.connect();
  await set.passes(10);
  await done;
  await set.passes(2_000);
  return set;
};

describe('Home Assistant is told', () => {
  it('of every device after each connection, retained', async () => {
    const { link, passes } = await connected();
    expect(link.published).toMatchObject([{ topic: TOPIC, retain: true }]);
    link.disconnect();
    void link.connect();
    await passes(2_000);
    expect(link.published).toHaveLength(2);
  });

  it('of a change once, however often it is made', async () => {
    const { link, names, on, passes } = await connected();
    names.set('a', 'two');
    for (let time = 0; time < 10; time++) on.device('a', {} as Device);
    on.repertoire('a');
    await passes(2_000);
    expect(link.published.map(({ payload }) => JSON.parse(String(payload)).device.description)).toEqual(['one', 'two']);
  });

  it('nothing when nothing it sees has changed', async () => {
    const { link, on, passes } = await connected();
    on.device('a', {} as Device);
    await passes(2_000);
    expect(link.published).toHaveLength(1);
  });

  it('of everything again when it is born, within the spread', async () => {
    const { link, passes } = await connected();
    await link.deliver('homeassistant/status', 'online');
    await passes(1_100);
    expect(link.published).toHaveLength(2);
  });

  it('nothing again by a birth that the broker had retained, or by a death', async () => {
    const { link, passes } = await connected();
    await link.deliver('homeassistant/status', 'online', { retain: true });
    await link.deliver('homeassistant/status', 'offline');
    await passes(2_000);
    expect(link.published).toHaveLength(1);
  });

  it('of fifty devices at a time', async () => {
    const { link, passes, topics } = await connected(120);
    expect(new Set(topics()).size).toBe(120);
    link.published.splice(0);
    link.disconnect();
    const done = link.connect();
    await passes(10);
    await done;
    await passes(1_020);
    expect(link.published).toHaveLength(50);
    await passes(110);
    expect(link.published).toHaveLength(100);
  });

  it('what changed while the broker was away, when it is back', async () => {
    const { link, names, on, passes } = await connected();
    link.disconnect();
    names.set('a', 'two');
    on.device('a', {} as Device);
    await passes(5_000);
    expect(link.published).toHaveLength(1);
    void link.connect();
    await passes(2_000);
    expect(JSON.parse(String(link.published[1]!.payload)).device.description).toBe('two');
  });

  it('that a device is gone, and that it is back', async () => {
    const { link, names, cleared, kept, on, passes } = await connected();
    names.delete('a');
    on.device('a', undefined);
    expect(cleared).toEqual([TOPIC]);
    kept.splice(0);
    names.set('a', 'one');
    on.device('a', {} as Device);
    await passes(2_000);
    expect(kept).toEqual([TOPIC]);
    expect(link.published).toHaveLength(2);
  });

  it('nothing of a device of which there is nothing to tell', async () => {
    const { link, names, on, passes } = await connected();
    names.set('b', 'nothing');
    on.device('b', {} as Device);
    await passes(2_000);
    expect(link.published).toHaveLength(1);
  });

  it('nothing any more after the end', async () => {
    const { link, names, on, announcer, passes } = await connected();
    names.set('a', 'two');
    on.device('a', {} as Device);
    announcer.close();
    await passes(5_000);
    expect(link.published).toHaveLength(1);
  });

  it('of the others when the broker refuses one', async () => {
    const { link, names, on, announcer, passes } = await connected();
    link.refuse = /device\/a\//;
    names.set('a', 'two');
    names.set('b', 'one');
    on.device('a', {} as Device);
    on.device('b', {} as Device);
    await passes(2_000);
    expect(link.published.at(-1)!.topic).toBe('homeassistant/device/b/config');
    expect(announcer.announced).toBe(2);
  });
});
