/** What a stream of a device was: a query that gives as many points as a chart can show. */
import type { Row } from '../charts/series.ts';
import { get, path, withQuery } from './client.http.ts';

export interface History {
  /** Oldest first. */
  rows: Row[];
  /** How long a bucket is; 0: every reading is there. */
  bucketMs: number;
  /** What it was made from: `raw`, or the length of a roll-up such as `1m`. */
  source: string;
}

interface Answer {
  rows: Row[];
  resolution?: { source?: string; everyMs?: number } | string;
  everyMs?: number;
}

interface Asked {
  device: string;
  stream: string;
  /** Unix milliseconds. */
  from: number;
  to: number;
  /** `points`, or `every` and `fn`, as the API has them. */
  how: Record<string, string | number>;
}

/** Throws `HubRefusal`, `HubAway`. */
export async function history({ device, stream, from, to, how }: Asked, signal?: AbortSignal): Promise<History> {
  const query = { stream, from: Math.floor(from), to: Math.ceil(to), ...how, order: 'asc' };
  const url = withQuery(path`/v1/devices/${device}/telemetry`, query);
  const { rows, resolution, everyMs } = await get<Answer>(url, signal ? { signal } : {});
  const told = typeof resolution === 'string' ? { source: resolution } : resolution;
  return { rows, bucketMs: told?.everyMs ?? everyMs ?? 0, source: told?.source ?? 'raw' };
}
