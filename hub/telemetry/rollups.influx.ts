/**
 * Keeps the roll-ups of InfluxDB 1.x: a retention policy for each length of windows, and a continuous query for each stream
 * in it, made through npm `influx`. The server sums up the newest windows by itself; what comes later than that the hub sums up
 * by the same statement.
 */
import type { InfluxDB } from 'influx';
import type { Stream } from '../../schemas/index.ts';
import { daysOf } from './influx-server.ts';
import { type InfluxRow, oldestOf, type RollupPlace, rollupInto } from './influxql.ts';
import { createLate, type Late } from './late.ts';
import type { Frame } from './reading.ts';
import { floorTo } from './resolution.ts';
import type { Rollup, Rollups } from './store.ts';

export interface InfluxRollupOptions {
  /** By the length of their windows, the shortest first. */
  rollups: readonly Rollup[];
  rawKeepMs: number;
  database: string;
  retentionPolicy: string;
  streams: ReadonlyMap<string, Stream>;
  log: Record<'info' | 'warn', (fields: object, message: string) => void>;
}

export interface InfluxRollups extends Rollups {
  /** Makes what is missing at the server, once it has the database. Throws what npm `influx` throws. */
  ensure(): Promise<void>;
  /** To be called once these readings are written. */
  touched(frames: readonly Frame[], now: number): void;
  /** The retention policy in which a roll-up is. */
  policyOf(rollup: Rollup): string;
}

type Client = Pick<
  InfluxDB,
  | 'showRetentionPolicies'
  | 'createRetentionPolicy'
  | 'alterRetentionPolicy'
  | 'createContinuousQuery'
  | 'dropContinuousQuery'
>;
/** Asks in the retention policy of the readings. Throws `Unavailable`. */
type Ask = (text: string) => Promise<InfluxRow[]>;

/** The continuous query sums up so many windows each time … */
const RESAMPLED = 10;
/** … and counts on readings that are no older than so many; older ones are the hub's. The rest is for clocks that differ. */
const PUNCTUAL = 5;
/** After a start nobody knows what came late in the last run. */
const LOOK_BACK_MS = 86_400_000;
const MINUTE_MS = 60_000;

export function createInfluxRollups(client: Client, ask: Ask, options: InfluxRollupOptions): InfluxRollups {
  const { rollups, rawKeepMs, database, retentionPolicy, streams, log } = options;
  const policyOf = ({ name }: Rollup) => `${retentionPolicy}_${name}`;
  const places = rollups.flatMap((rollup) =>
    Array.from(streams.values(), (stream) => ({ rollup, stream, late: createLate(rollup.everyMs) })),
  );
  const placeOf = (rollup: Rollup): RollupPlace => {
    return { database, retentionPolicy, rollupPolicy: policyOf(rollup), everyMs: rollup.everyMs };
  };
  const lateOf = (rollup: Rollup, stream: string) =>
    places.find((place) => place.rollup === rollup && place.stream.name === stream)?.late;
  let isReady = false;
  let isTold = false;

  async function ensure(): Promise<void> {
    const fresh = await ensurePolicies(client, rollups, policyOf, database);
    const now = Date.now();
    for (const { rollup, stream, late } of places) {
      await ensureQuery(
        client,
        `${policyOf(rollup)}.${stream.name}`,
        rollupInto(stream, placeOf(rollup)),
        database,
        rollup,
      );
      const oldest = fresh.has(rollup) ? (await ask(oldestOf(stream)))[0]?.[0] : undefined;
      remember(late.addRange(oldest === undefined ? now - LOOK_BACK_MS : oldest / 1000, now), rollup, stream.name);
    }
    isReady = true;
  }

  /** Once in a run: what comes too late seldom comes alone. */
  function remember(hasRoom: boolean, { name }: Rollup, stream: string): void {
    if (hasRoom || isTold) return;
    isTold = true;
    log.warn({ rollup: name, stream }, 'too much came late: a part of the roll-up misses readings');
  }

  return {
    get list() {
      return isReady ? rollups : [];
    },
    rawKeepMs,
    ensure,
    policyOf,
    touched(frames, now) {
      for (const rollup of isReady ? rollups : []) {
        const before = now - PUNCTUAL * rollup.everyMs;
        for (const { stream, readings } of frames) {
          const late = lateOf(rollup, stream);
          for (const { ts } of late ? readings : []) if (ts < before) remember(late!.add(ts), rollup, stream);
        }
      }
    },
    async upTo(rollup, stream, _device, now) {
      const late = lateOf(rollup, stream)?.first() ?? Number.POSITIVE_INFINITY;
      return Math.min(late, floorTo(now, rollup.everyMs) - RESAMPLED * rollup.everyMs);
    },
    async roll() {
      let done = 0;
      if (!isReady) return done;
      for (const { rollup, stream, late } of places) done += await sumUp(ask, stream, placeOf(rollup), late);
      return done;
    },
  };
}

/** Resolves to the roll-ups whose policy was made now. A policy of the hub's own that keeps for another time is changed. */
async function ensurePolicies(
  client: Client,
  rollups: readonly Rollup[],
  policyOf: (rollup: Rollup) => string,
  database: string,
): Promise<Set<Rollup>> {
  const known = await client.showRetentionPolicies(database);
  const fresh = new Set<Rollup>();
  for (const rollup of rollups) {
    const minutes = Math.max(Math.round(rollup.keepMs / MINUTE_MS), 60);
    const terms = { database, replication: 1, duration: rollup.keepMs === 0 ? 'INF' : `${minutes}m` };
    const policy = known.find(({ name }) => name === policyOf(rollup));
    const wantedDays = rollup.keepMs === 0 ? 0 : minutes / 1440;
    if (!policy) {
      await client.createRetentionPolicy(policyOf(rollup), terms);
      fresh.add(rollup);
    } else if (Math.abs(daysOf(policy.duration) - wantedDays) > 1 / 1440) {
      await client.alterRetentionPolicy(policyOf(rollup), terms);
    }
  }
  return fresh;
}

/** The server refuses another query of a name that it has, as after a change of a stream's schema. */
async function ensureQuery(client: Client, name: string, text: string, database: string, { everyMs }: Rollup) {
  const create = () => client.createContinuousQuery(name, text, database, `RESAMPLE FOR ${RESAMPLED * everyMs}ms`);
  await create().catch(async (error: Error) => {
    if (!/already exists/.test(error.message)) throw error;
    await client.dropContinuousQuery(name, database);
    await create();
  });
}

/** What fails is late still. */
async function sumUp(ask: Ask, stream: Stream, place: RollupPlace, late: Late): Promise<number> {
  for (let done = 0; ; done++) {
    const range = late.take();
    if (!range) return done;
    await ask(rollupInto(stream, place, range)).catch((error) => {
      late.add(range.from);
      throw error;
    });
  }
}
