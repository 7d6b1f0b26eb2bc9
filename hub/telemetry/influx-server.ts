/** Reads what an InfluxDB server says of itself: since when it runs, and how long a retention policy keeps readings. */
import { Unavailable } from '../kit/errors.ts';
import type { HttpAnswer } from './influx-answer.ts';

/** Where a server tells since when it runs; the first that answers counts. */
const PLACES = [
  // 1.x, to the nanosecond; as a part of the beginning of a long answer.
  { path: '/debug/vars', pattern: /"started":\s*"([^"]+)"/ },
  // 2.x, 3 and VictoriaMetrics, in seconds.
  { path: '/metrics', pattern: /^process_start_time_seconds (\S+)$/m },
];

/**
 * A word that no other run of this server has; undefined when it does not tell. Throws what `get` throws, and
 * `Unavailable` when the server has no time for the question, or does not know us: that says nothing of whether it would tell.
 */
export async function readStart(get: (path: string) => Promise<HttpAnswer>): Promise<string | undefined> {
  let stranger: Unavailable | undefined;
  for (const { path, pattern } of PLACES) {
    const { status, body } = await get(path);
    const answered = () => new Unavailable(`InfluxDB answered ${status} to ${path}`);
    if (status === 429 || status >= 500) throw answered();
    if (status === 401) stranger ??= answered();
    const started = status === 200 ? pattern.exec(body)?.[1] : undefined;
    if (started !== undefined) return started;
  }
  if (stranger) throw stranger;
  return undefined;
}

const UNIT_MS: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000 };
const DAY_MS = 86_400_000;

/** `720h0m0s` in days; 0 is for ever. */
export function daysOf(duration: string): number {
  let ms = 0;
  for (const [, count, unit] of duration.matchAll(/(\d+)([hms])/g)) ms += Number(count) * UNIT_MS[unit!]!;
  return ms / DAY_MS;
}

/**
 * What follows when the policy of the server keeps readings for another time than the hub was told; undefined when
 * they agree. The least a policy can keep is an hour.
 */
export function retentionMismatch(policyDays: number, hubDays: number): string | undefined {
  const wanted = hubDays === 0 ? 0 : Math.max(hubDays, 1 / 24);
  if (Math.abs(policyDays - wanted) < 1 / 1440) return undefined;
  const isShorter = policyDays !== 0 && (wanted === 0 || policyDays < wanted);
  return isShorter
    ? 'InfluxDB keeps readings for a shorter time than store.retentionDays says: it refuses older ones, and they end in the quarantine'
    : 'InfluxDB keeps readings for a longer time than store.retentionDays says: the hub refuses devices what it would take';
}
