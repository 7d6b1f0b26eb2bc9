/** What is tortured: hub, InfluxDB behind a proxy, Mosquitto behind another, a small disk, and the devices. */
import { join } from 'node:path';
import type { Connect } from '../device-sim/connection.ts';
import { createConnect } from '../device-sim/socket.ws.ts';
import { createStack, type Stack } from '../hub/kit/stack.ts';
import { startTestHub, type TestHub } from '../test/helpers/hub.ts';
import { type Influxd, startInfluxd } from '../test/helpers/influxd.ts';
import { type Mosquitto, startMosquitto } from '../test/helpers/mosquitto.ts';
import { type MqttTap, startMqttTap } from '../test/helpers/mqtt-tap.ts';
import { mountSmallDisk, type SmallDisk } from '../test/helpers/small-disk.ts';
import { startWeatherProxy, type WeatherProxy } from '../test/helpers/weather-proxy.ts';
import { TortureDevice } from './device.ts';
import { createLatencies, type Latencies } from './latencies.ts';
import { createOrders, type Orders } from './orders.ts';
import { createOutages, type Outages } from './outages.ts';

export interface World {
  hub: TestHub;
  influxd: Influxd;
  weather: WeatherProxy;
  mosquitto: Mosquitto;
  tap: MqttTap;
  /** The journal is on it. */
  disk: SmallDisk;
  devices: TortureDevice[];
  orders: Orders;
  /** Of the hub. */
  outages: Outages;
  fullDisks: Outages;
  acks: Latencies;
  /** From the start of the hub's process until it was ready, and from SIGTERM until it was gone. */
  longest: { startMs: number; drainMs: number };
  /** 0 … 1, by the seed. */
  random(): number;
  /** What a fault found to be wrong, in words. */
  broken: string[];
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;
const DISK_MIB = 512;
const JOURNAL_LIMIT_MIB = 384;
const STEP_MS = 3_000;
/** Of ten devices one wants to hear `stored`. */
const STORED_EVERY = 10;
const MADE_AT_ONCE = 8;

/** Starts everything, or nothing: what was started is ended when the rest cannot be. Devices are online soon after. */
export async function startWorld(devices: number, random: () => number): Promise<World> {
  const stack = createStack();
  try {
    const world = await startServers(random, stack);
    await addDevices(world, devices);
    return world;
  } catch (error) {
    await stack.unwind();
    throw error;
  }
}

async function startServers(random: () => number, stack: Stack): Promise<World> {
  const influxd = await startInfluxd();
  stack.push('InfluxDB', () => influxd.remove());
  await prepareConflict(influxd);
  const weather = await startWeatherProxy(influxd.url);
  stack.push('its proxy', () => weather.close());
  const mosquitto = await startMosquitto({ isQuiet: true });
  stack.push('Mosquitto', () => mosquitto.remove());
  const tap = await startMqttTap(mosquitto.port);
  stack.push('its proxy', () => tap.close());
  const disk = await mountSmallDisk(DISK_MIB * 2 ** 20);
  stack.push('disk', () => disk.unmount());
  const hub = await startTestHub(optionsOf(weather.url, tap.url, journalOn(disk)));
  stack.push('hub', () => hub.dispose());
  const [outages, fullDisks] = [createOutages(), createOutages()];
  const devices: TortureDevice[] = [];
  stack.push('devices', () => Promise.all(devices.map((device) => device.stop())));
  return {
    ...{ hub, influxd, weather, mosquitto, tap, disk, devices, outages, fullDisks, random },
    orders: createOrders(hub, outages, random),
    acks: createLatencies([outages, fullDisks]),
    longest: { startMs: 0, drainMs: 0 },
    broken: [],
    close: () => stack.unwind(),
  };
}

export const journalOn = (disk: SmallDisk) => join(disk.path, 'journal');

function optionsOf(store: string, broker: string, journal: string): Record<string, string> {
  return {
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: store,
    HUB_STORE__TIMEOUT_MS: '3000',
    HUB_MQTT__BROKERS: JSON.stringify([{ url: broker }]),
    HUB_LOG__LEVEL: 'info',
    // A life of the hub may see a hundred steps of its clock.
    NODE_OPTIONS: `--import ${join(import.meta.dirname, '../test/helpers/clock-jump.ts')}`,
    CLOCK_JUMPS_MS: Array(100).fill([STEP_MS, -STEP_MS]).join(),
    // Small ones, so that kills also meet the change from one to the next.
    HUB_JOURNAL__SEGMENT_BYTES: String(2 ** 20),
    HUB_JOURNAL__DIR: journal,
    HUB_JOURNAL__LIMIT_BYTES: String(JOURNAL_LIMIT_MIB * 2 ** 20),
  };
}

/** Somebody else has written text where the hub writes numbers, in every week that the readings reach. */
async function prepareConflict(influxd: Influxd): Promise<void> {
  await influxd.query('CREATE DATABASE telemetry');
  await influxd.query('CREATE RETENTION POLICY hub ON telemetry DURATION INF REPLICATION 1 DEFAULT');
  for (const ts of [Date.now() - DAY_MS, Date.now()])
    await influxd.write('telemetry', `environment,device=other humidity="wet" ${ts * 1000}`);
}

async function addDevices(world: World, count: number): Promise<void> {
  const firstTs = Date.now() - DAY_MS;
  const { hub, acks, orders } = world;
  const connect: Connect = createConnect({ url: hub.gateway, ca: hub.ca });
  for (let index = 0; index < count; index += MADE_AT_ONCE) {
    const batch = Array.from({ length: Math.min(MADE_AT_ONCE, count - index) }, async (_, offset) => {
      const id = `t${index + offset}`;
      const ack = (index + offset) % STORED_EVERY === 0 ? 'stored' : 'journaled';
      const token = await hub.addDevice(id);
      const onAckMs = (ms: number) => acks.add(ms, ack, Date.now());
      const habits = { id, index: index + offset, firstTs, token, connect, handler: orders.handler, onAckMs };
      return new TortureDevice({ ...habits, ack });
    });
    world.devices.push(...(await Promise.all(batch)));
  }
  for (const device of world.devices) device.start();
}
