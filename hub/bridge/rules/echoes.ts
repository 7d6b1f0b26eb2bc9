/** Readings of the last minute, by which an MQTT 3.1.1 bridge knows its own again: that version has no properties. */
import type { Frame, Reading, Value } from '../../telemetry/reading.ts';
import { originOf } from '../origin.ts';

export interface Echoes {
  /** Remembers what became durable; it may be heard again soon. Called once for each group commit. */
  remember(frames: readonly Frame[], now: number): void;
  /**
   * Whether the reading is one that came from elsewhere already: of the same series and time with a field in common, or,
   * when the hub gave it its time (`isTimed`), one whose values are all the same.
   */
  has(device: string, stream: string, reading: Reading, isTimed: boolean, topic: string, now: number): boolean;
}

interface Heard {
  series: string;
  reading: Reading;
  /** Empty for what a device sent itself. */
  topic: string;
  at: number;
}

const WINDOW_MS = 60_000;

/** Policy of the bound: the oldest is forgotten. A loop is then noticed at its next turn at the latest. */
export function createEchoes(limit = 20_000): Echoes {
  const ring: Heard[] = [];
  const bySeries = new Map<string, Heard[]>();
  let oldest = 0;

  function forget(heard: Heard): void {
    const same = bySeries.get(heard.series)!;
    // They are in the order of arrival, so it is the first.
    if (same.shift() && same.length === 0) bySeries.delete(heard.series);
  }

  function add(heard: Heard): void {
    if (ring.length < limit) ring.push(heard);
    else {
      forget(ring[oldest]!);
      ring[oldest] = heard;
      oldest = (oldest + 1) % limit;
    }
    const same = bySeries.get(heard.series);
    if (same) same.push(heard);
    else bySeries.set(heard.series, [heard]);
  }

  return {
    remember(frames, now) {
      for (const { device, stream, epoch, readings } of frames) {
        const topic = originOf(epoch)?.topic ?? '';
        const series = seriesOf(device, stream);
        for (const reading of readings) add({ series, reading, topic, at: now });
      }
    },
    has(device, stream, reading, isTimed, topic, now) {
      const same = bySeries.get(seriesOf(device, stream)) ?? [];
      return same.some((heard) => {
        if (heard.topic === topic || now - heard.at > WINDOW_MS) return false;
        if (!isTimed)
          return heard.reading.ts === reading.ts && fieldsOf(reading).some(([name]) => name in heard.reading);
        return fieldsOf(reading).every(([name, value]) => heard.reading[name] === value);
      });
    },
  };
}

const seriesOf = (device: string, stream: string) => `${device} ${stream}`;

function fieldsOf(reading: Reading): [string, Value][] {
  return Object.entries(reading).filter(([name]) => name !== 'ts');
}
