/** The first thing one sees: whether all is well, how much flows, and devices that speak right now. */
import { useState } from 'preact/hooks';
import { get } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import type { HubStatus } from '../hub/status.ts';
import { Trouble, Waiting } from '../kit/parts.tsx';
import { Attention } from './attention.tsx';
import { LatelyRefused, LatelySent } from './lately.tsx';
import { type Beat, Presence, Road, Throughput } from './road.tsx';
import { Wall } from './wall.tsx';

const ASK_MS = 1_000;
/** The line of the last minutes: one beat for each answer. */
const BEATS_MS = 180_000;

/** Asks for the status once a second; what devices say comes by itself. */
export function OverviewPage() {
  const [beats, setBeats] = useState<Beat[]>([]);
  const { data, error, reload } = useResource(
    'status',
    async (signal) => {
      const status = await get<HubStatus>('/v1/status', { signal });
      const beat = { ts: Date.now(), value: status.readings.perSecond };
      setBeats((before) => [...before.filter(({ ts }) => ts > beat.ts - BEATS_MS), beat]);
      return status;
    },
    ASK_MS,
  );
  if (!data) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  return (
    <>
      <h1 class="visually-hidden">Overview</h1>
      <Attention status={data} />
      <div class="tiles">
        <Presence devices={data.devices} />
        <Throughput status={data} beats={beats} spanMs={BEATS_MS} />
      </div>
      <Road status={data} />
      <Wall />
      <div class="columns">
        <LatelyRefused />
        <LatelySent />
      </div>
    </>
  );
}
