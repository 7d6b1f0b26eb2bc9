/** The bridge against a real Mosquitto: every acknowledged reading arrives, presence is retained, outages cost nothing. */
import { afterEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type MosquittoOptions, startMosquitto } from '../helpers/mosquitto.ts';
import { connectRaw, type RawDevice } from '../helpers/raw-device.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(broker: object = {}, options?: MosquittoOptions, env: Record<string, string> = {}) {
  const mosquitto = await startMosquitto(options);
  cleanups.push(() => mosquitto.remove());
  const brokers = JSON.stringify([{ url: mosquitto.url, ...broker }]);
  const hub = await startTestHub({ HUB_MQTT__BROKERS: brokers, HUB_MQTT__HUB_ID: 'test', ...env });
  cleanups.push(() => hub.dispose());
  return { mosquitto, hub };
}

/** A device that sends numbered readings and waits for their acknowledgement. */
async function startDevice(hub: TestHub, id: string) {
  const token = await hub.addDevice(id);
  let device: RawDevice = await connectRaw(hub, { token });
  let seq = 0;
  return {
    /** Resolves when they are acknowledged; each has another `temperature`, counting up from `from`. */
    async send(count: number, from: number) {
      seq += 1;
      const readings = Array.from({ length: count }, (_, at) => ({
        ts: Date.now() - count + at,
        temperature: value(from + at),
      }));
      device.say({ type: 'telemetry', seq, stream: 'environment', readings });
      for (let answer = await device.next(); answer.seq !== seq; ) answer = await device.next();
    },
    async reconnect() {
      device = await connectRaw(hub, { token });
      seq = 0;
    },
    close: () => device.close(),
  };
}

/** Within what the stream `environment` allows. */
const value = (number: number) => number / 1_000;
const numberIn = (payload: string) => Math.round(JSON.parse(payload).temperature * 1_000);

/** The numbers in the order in which they first came, and whether each repetition went back to one known. */
function firsts(numbers: number[]): number[] {
  return [...new Set(numbers)];
}

interface Bridge {
  brokers: Record<string, unknown>[];
}

async function stateOf(hub: TestHub) {
  const { brokers } = await hub.call<Bridge>('GET', '/v1/bridge');
  return brokers[0]!;
}

async function until(isTrue: () => Promise<boolean>) {
  const deadline = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const connected = (hub: TestHub) => until(async () => (await stateOf(hub)).state === 'connected');

describe('the bridge to a broker', () => {
  it('publishes every acknowledged reading, in order, with the hub and the origin as user properties', async () => {
    const { mosquitto, hub } = await start();
    const listener = await mosquitto.listen('hub/#');
    const device = await startDevice(hub, 'meter-7');
    await connected(hub);
    await device.send(500, 0);
    await device.send(500, 500);
    await listener.until(({ payload }) => payload.includes('0.999'));
    const readings = listener.heard.filter(({ topic }) => topic === 'hub/meter-7/telemetry/environment');
    expect(firsts(readings.map(({ payload }) => numberIn(payload)))).toEqual(
      Array.from({ length: 1_000 }, (_, at) => at),
    );
    expect(await stateOf(hub)).toMatchObject({ name: mosquitto.name, version: 5, state: 'connected', refused: 0 });
  });
});
