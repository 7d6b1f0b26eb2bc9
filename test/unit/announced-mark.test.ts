/** What was announced to Home Assistant is taken back once when nobody announces it any more. */
import { expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import { settleAnnounced } from '../../hub/bridge/home-assistant/announced-mark.ts';
import type { Device } from '../../hub/devices/devices.ts';

const IDS = Array.from({ length: 1_200 }, (_, at) => `d${String(at).padStart(4, '0')}`);

function setUp() {
  const backplane = openBackplane(':memory:');
  const table = backplane.table<string>('mqtt-announced');
  const cleared: string[] = [];
  const settle = async (broker: string, prefix?: string) => {
    settleAnnounced(broker, prefix, {
      ...{ table, clearings: { clear: (topics) => void cleared.push(...topics) } },
      devices: {
        list({ limit = 100, after = '' }) {
          const rest = IDS.filter((id) => id > after);
          const page = rest.slice(0, limit).map((id) => ({ id }) as Device);
          return { devices: page, ...(rest.length > limit && { next: page.at(-1)!.id }) };
        },
      },
      onError(error) {
        throw error;
      },
    });
    // The next change of the table comes after that one.
    await table.set('later', '');
    return cleared.splice(0);
  };
  return { settle };
}

it('takes nothing back where nothing was announced, or where it is announced still', async () => {
  const { settle } = setUp();
  expect(await settle('home')).toEqual([]);
  expect(await settle('home', 'homeassistant')).toEqual([]);
  expect(await settle('home', 'homeassistant')).toEqual([]);
  expect(await settle('other')).toEqual([]);
});

it('takes back every device, once, when it is switched off', async () => {
  const { settle } = setUp();
  await settle('home', 'homeassistant');
  expect(await settle('home')).toEqual(IDS.map((id) => `homeassistant/device/${id}/config`));
  expect(await settle('home')).toEqual([]);
});

it('takes back what has the prefix before', async () => {
  const { settle } = setUp();
  await settle('home', 'homeassistant');
  expect(await settle('home', 'ha')).toHaveLength(IDS.length);
  expect((await settle('home'))[0]).toBe('ha/device/d0000/config');
});
