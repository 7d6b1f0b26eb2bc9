/** Devices that send numbered readings to a hub at a steady rate, and count what is acknowledged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { TestHub } from './hub.ts';
import { PATIENCE_MS } from './patience.ts';

export interface LoadOptions {
  devices: number;
  /** Of all devices together. */
  readingsPerSecond: number;
}

export interface Load {
  /** Readings that were acknowledged. */
  acked(): number;
  /** Milliseconds from sending to acknowledgement, of the frames that were acknowledged since the last call. */
  takeAckMs(): number[];
  /** Sends no more; resolves when everything is acknowledged. Idempotent. */
  stop(): Promise<void>;
}

const TICK_MS = 50;
/** Devices that send numbered readings at a steady rate, all of them at each tick; 200,000 of each, the field's bound. */
export async function startLoad(hub: TestHub, { devices, readingsPerSecond }: LoadOptions): Promise<Load> {
  const size = Math.max(1, Math.round((readingsPerSecond * TICK_MS) / 1_000 / devices));
  const fleet = await Promise.all(Array.from({ length: devices }, (_, at) => connectDevice(hub, `load-${at}`)));
  const timer = setInterval(() => {
    for (const device of fleet) device.send(size);
  }, TICK_MS);
  let stopped: Promise<void> | undefined;
  const sum = (of: (device: (typeof fleet)[number]) => number) => fleet.reduce((all, each) => all + of(each), 0);
  return {
    acked: () => sum(({ acked }) => acked()),
    takeAckMs: () => fleet.flatMap(({ ackMs }) => ackMs.splice(0)),
    stop() {
      clearInterval(timer);
      stopped ??= until(() => sum(({ waiting }) => waiting()) === 0).finally(() =>
        Promise.all(fleet.map(({ stop }) => stop())),
      );
      return stopped;
    },
  };
}

async function connectDevice(hub: TestHub, id: string) {
  const connect = createConnect({ url: hub.gateway, ca: hub.ca });
  const token = await hub.addDevice(id);
  /** By number of the frame. */
  const sent = new Map<number, { at: number; size: number }>();
  const ackMs: number[] = [];
  const firstTs = Date.now();
  let count = 0;
  let acked = 0;
  const device = new Device(
    connect,
    { token, outboxReadings: 1_000_000 },
    {
      onAck({ seq }) {
        const { at = 0, size = 0 } = sent.get(seq) ?? {};
        sent.delete(seq);
        acked += size;
        ackMs.push(performance.now() - at);
      },
    },
  );
  device.start();
  return {
    ackMs,
    acked: () => acked,
    waiting: () => sent.size,
    stop: () => device.stop(),
    send(size: number) {
      const readings = Array.from({ length: size }, () => ({ ts: firstTs + count, light: count++ }));
      sent.set(device.send('environment', readings), { at: performance.now(), size });
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !holds(); await sleep(20)) {
    if (performance.now() > end) throw new Error('readings were never acknowledged');
  }
}
