/** Readings as Sparkplug data: whoever was not born is born first, and whoever is away is buried again. */
import type { Catalog } from '../../../schemas/index.ts';
import type { Devices } from '../../devices/devices.ts';
import type { Live } from '../../telemetry/live.ts';
import type { Frame } from '../../telemetry/reading.ts';
import { Newest } from './edge-history.ts';
import type { EdgeRoster } from './edge-roster.ts';
import type { EdgeSession } from './edge-session.ts';
import { readingMetrics } from './sparkplug.ts';

export interface EdgeDataDeps {
  roster: EdgeRoster;
  catalog: Catalog;
  devices: Pick<Devices, 'get'>;
  live: Pick<Live, 'lastOf'>;
}

/** A frame may hold a thousand. */
const READINGS_PER_MESSAGE = 100;

/** Resolves when the link has taken it; throws `Unavailable`. Devices and streams that are gone are left out. */
export async function publishFrames(session: EdgeSession, frames: readonly Frame[], deps: EdgeDataDeps): Promise<void> {
  const { roster, catalog, devices, live } = deps;
  const newest = new Newest(frames, live, Date.now());
  const absent = new Set<string>();
  for (const frame of frames) {
    const { device, stream, readings } = frame;
    const { fields } = catalog.streams.get(stream) ?? {};
    if (!fields || readings.length === 0 || !devices.get(device)) continue;
    if (!session.hasBorn(device, stream)) await roster.bear(session, device, stream);
    for (let from = 0; from < readings.length; from += READINGS_PER_MESSAGE) {
      const some = readings.slice(from, from + READINGS_PER_MESSAGE);
      const metrics = some.flatMap((reading) =>
        readingMetrics(stream, fields, reading, newest.isHistory(frame, reading)),
      );
      await session.data(device, metrics);
    }
    if (!roster.isThere(device)) absent.add(device);
  }
  // Who was away was born to tell what had waited, and is away again.
  for (const device of absent) if (!roster.isThere(device)) await session.bury(device);
}
