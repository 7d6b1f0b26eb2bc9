/** A simulated device that writes down what it sent and what was acknowledged, to be compared with what is stored. */
import { Device, type Reading } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import type { TestHub } from './hub.ts';

export interface LedgerDevice {
  readonly id: string;
  /** Time of its first reading; each is a millisecond after the one before. */
  readonly firstTs: number;
  /** Times (ms) and values of readings by their fate. A reading that was sent but not acknowledged may be stored or not. */
  readonly sent: Map<number, number>;
  readonly acked: Map<number, number>;
  /** Sends one frame of readings, each with a time and a value of its own. */
  sendFrame(readings: number): void;
  /** Resolves when everything that was sent is acknowledged. Throws after `withinMs`. */
  settled(withinMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** Connects a device of the reference client to the hub; readings of `light` carry a number that grows by one. */
export async function ledgerDevice(
  hub: TestHub,
  id: string,
  firstTs: number,
  ack: 'journaled' | 'stored' = 'journaled',
): Promise<LedgerDevice> {
  const token = await hub.addDevice(id);
  const sent = new Map<number, number>();
  const acked = new Map<number, number>();
  const frames = new Map<number, Reading[]>();
  let count = 0;
  const connect = createConnect({ url: hub.gateway, ca: hub.ca });
  const device = new Device(
    connect,
    { token, ack, outboxReadings: 1_000_000 },
    {
      onAck({ seq }) {
        for (const { ts, light } of frames.get(seq) ?? []) acked.set(ts as number, light as number);
        frames.delete(seq);
      },
    },
  );
  device.start();
  return {
    id,
    firstTs,
    sent,
    acked,
    sendFrame(size) {
      const readings = Array.from({ length: size }, () => ({ ts: firstTs + count, light: count++ % 200_000 }));
      for (const { ts, light } of readings) sent.set(ts, light);
      frames.set(device.send('environment', readings), readings);
    },
    async settled(withinMs) {
      const until = Date.now() + withinMs;
      while (acked.size < sent.size) {
        if (Date.now() > until) throw new Error(`${id}: ${sent.size - acked.size} readings were never acknowledged`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: () => device.stop(),
  };
}
