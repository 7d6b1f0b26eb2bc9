/** I2: after kill -9 of the hub at any instant every acknowledged reading reaches the store exactly once in effect. */
import { afterEach, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { type LedgerDevice, ledgerDevice } from '../helpers/ledger.ts';
import { seededRandom } from '../helpers/random.ts';

const DEVICES = 8;
const SEED = Number(process.env.TEST_SEED ?? 20_261_121);

let hub: TestHub;
let influxd: Influxd | undefined;

afterEach(async () => {
  await hub.dispose();
  await influxd?.remove();
  influxd = undefined;
});

interface Case {
  store: 'influx' | 'sqlite';
  ack: 'journaled' | 'stored';
  kills: number;
}

/** What the store holds of a device: time in ms → value, and how many rows it has. */
async function storedOf(device: LedgerDevice): Promise<{ rows: number; values: Map<number, number> }> {
  const path = `/v1/devices/${device.id}/telemetry?stream=environment&fields=light&to=now&order=asc&limit=10000`;
  const values = new Map<number, number>();
  let rows = 0;
  for (let from = device.firstTs; ; ) {
    const page = await hub.call<{ rows: { ts: number; light: number }[] }>('GET', `${path}&from=${from}`);
    for (const { ts, light } of page.rows) values.set(ts, light);
    rows += page.rows.length;
    if (page.rows.length < 10_000) return { rows, values };
    from = page.rows.at(-1)!.ts + 1;
  }
}

async function untilStored(): Promise<void> {
  const lag = async () => {
    const { sinks } = await hub.call<{ sinks: { name: string; lagFrames: number }[] }>('GET', '/v1/status');
    return sinks.find(({ name }) => name === 'store')?.lagFrames;
  };
  await expect.poll(lag, { interval: 100 }).toBe(0);
}

it.each<Case>([
  { store: 'influx', ack: 'journaled', kills: 20 },
  { store: 'sqlite', ack: 'stored', kills: 8 },
])(
  'loses and invents nothing over $kills kills with $store and $ack acks',
  async ({ store, ack, kills }) => {
    const random = seededRandom(SEED);
    if (store === 'influx') influxd = await startInfluxd();
    hub = await startTestHub({
      HUB_STORE__KIND: store,
      ...(influxd && { HUB_STORE__URL: influxd.url }),
      HUB_LIMITS__READINGS_PER_SECOND: '100000',
      // Small segments, so that kills also meet the change from one to the next.
      HUB_JOURNAL__SEGMENT_BYTES: '65536',
    });
    const firstTs = Date.now() - 86_400_000;
    const ids = Array.from({ length: DEVICES }, (_, index) => `k${index}`);
    const devices = await Promise.all(ids.map((id) => ledgerDevice(hub, id, firstTs, ack)));
    const stream = setInterval(() => {
      for (const device of devices) device.sendFrame(1 + Math.floor(random() * 5));
    }, 10);
    for (let kill = 0; kill < kills; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 50 + random() * 500));
      await hub.kill();
      await hub.start();
    }
    clearInterval(stream);
    await Promise.all(devices.map((device) => device.settled(60_000)));
    await untilStored();
    for (const device of devices) {
      const { rows, values } = await storedOf(device);
      expect(values, `${device.id}, seed ${SEED}: stored is not what was sent and acknowledged`).toEqual(device.acked);
      expect(rows, `${device.id}, seed ${SEED}: duplicated rows`).toBe(values.size);
      await device.stop();
    }
  },
  300_000,
);
