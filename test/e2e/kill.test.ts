/** I2: after kill -9 of the hub at any instant every acknowledged reading reaches the store exactly once in effect. */
import { afterEach, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { type LedgerDevice, ledgerDevice, seededRandom } from '../helpers/ledger.ts';

const KILLS = 20;
const DEVICES = 8;
const SEED = Number(process.env.TEST_SEED ?? 20_261_121);

let hub: TestHub;
let influxd: Influxd | undefined;

afterEach(async () => {
  await hub.dispose();
  await influxd?.remove();
});

/** What the store holds of a device: time in ms → value. Rows with the same time would show as a smaller map. */
async function storedOf(device: LedgerDevice): Promise<Map<number, number>> {
  const rows = await influxd!.query(`SELECT light FROM environment WHERE device = '${device.id}'`, 'telemetry');
  const values = rows[0]?.values ?? [];
  const stored = new Map(values.map(([micros, light]) => [Number(micros) / 1000, Number(light)]));
  expect(stored.size, `${device.id}: duplicated rows`).toBe(values.length);
  return stored;
}

async function untilStored(): Promise<void> {
  await expect
    .poll(
      async () => {
        const { sinks } = await hub.call<{ sinks: { name: string; lagFrames: number }[] }>('GET', '/v1/status');
        return sinks.find(({ name }) => name === 'store')?.lagFrames;
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe(0);
}

it(`loses and invents nothing over ${KILLS} kills (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  influxd = await startInfluxd();
  hub = await startTestHub({
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: influxd.url,
    HUB_LIMITS__READINGS_PER_SECOND: '100000',
    // Small segments, so that kills also meet the change from one to the next.
    HUB_JOURNAL__SEGMENT_BYTES: '65536',
  });
  const firstTs = Date.now() - 86_400_000;
  const devices = await Promise.all(
    Array.from({ length: DEVICES }, (_, index) => ledgerDevice(hub, `k${index}`, firstTs)),
  );
  const stream = setInterval(() => {
    for (const device of devices) device.sendFrame(1 + Math.floor(random() * 5));
  }, 10);
  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 50 + random() * 500));
    await hub.kill();
    await hub.start();
  }
  clearInterval(stream);
  await Promise.all(devices.map((device) => device.settled(60_000)));
  await untilStored();
  let total = 0;
  for (const device of devices) {
    const stored = await storedOf(device);
    expect(stored, `${device.id}: stored is not what was sent and acknowledged`).toEqual(device.acked);
    total += stored.size;
    await device.stop();
  }
  expect(total).toBeGreaterThan(KILLS * DEVICES);
}, 300_000);
