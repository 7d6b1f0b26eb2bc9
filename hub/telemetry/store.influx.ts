/** The telemetry store in an InfluxDB server: written by our own line protocol, managed and asked through npm `influx`. */
import { InfluxDB, type IResponse } from 'influx';
import type { Stream } from '../../schemas/index.ts';
import { Unavailable } from '../kit/errors.ts';
import { classify, type Verdict } from './influx-answer.ts';
import { daysOf, readStart, retentionMismatch } from './influx-server.ts';
import { countOf, countsByMinute, type InfluxRow, mergeRows, type Select, selectOf } from './influxql.ts';
import { createLineEncoder, type EncodedBatch } from './line-protocol.ts';
import { authorization, createPost, type PostOptions, withoutSecrets } from './post.influx.ts';
import type { Frame } from './reading.ts';
import { createInfluxRollups, type InfluxRollups } from './rollups.influx.ts';
import type { Query, Refused, Rollup, Row, TelemetryStore } from './store.ts';

export interface InfluxOptions extends PostOptions {
  /** How long a retention policy that the hub makes keeps readings; 0: for ever. An existing one is left as it is. */
  retentionDays: number;
  streams: ReadonlyMap<string, Stream>;
  /** By the length of their windows, the shortest first; none without it. Servers other than 1.x make none. */
  rollups?: readonly Rollup[];
  log: Record<'info' | 'warn', (fields: object, message: string) => void>;
}

/** Talks to the server only when it is used; whether it answers now does not matter here. */
export function createInfluxStore(options: InfluxOptions): TelemetryStore {
  const { database, retentionPolicy, streams } = options;
  const encode = createLineEncoder(streams);
  const post = createPost(options);
  const client = createClient(options);
  const summed = openRollups(client, options);
  let ready: Promise<void> | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  /**
   * Batches that an outage interrupted. What was refused is not asked again, or many refusals between many outages would
   * never end; what was written is written again, because an InfluxDB that restarted may have lost it.
   */
  const begun = new WeakMap<readonly Frame[], EncodedBatch>();

  /** Once for each start, and again when the server says that something is missing. */
  function ensure(): Promise<void> {
    ready ??= ensureAll(client, options, summed).catch((error) => {
      ready = undefined;
      throw error;
    });
    return ready;
  }

  async function send(lines: string): Promise<Verdict> {
    const verdict = classify(await post.write(lines), Date.now());
    if (verdict.kind !== 'stall' || !verdict.missing) return verdict;
    ready = undefined;
    await ensure();
    return classify(await post.write(lines), Date.now());
  }

  /** Writes the lines `from` ≤ i < `to`; where some are refused, both halves of them, in order, down to the single line. */
  async function writeLines(batch: EncodedBatch, from: number, to: number): Promise<void> {
    const lines = batch.lines.slice(from, to).filter((line) => line !== '');
    if (lines.length === 0) return;
    const verdict = await send(lines.join('\n'));
    if (verdict.kind === 'retry' || verdict.kind === 'stall') throw unavailable(verdict);
    if (verdict.kind === 'done') return;
    if (to - from === 1) {
      batch.refused.push({ frame: batch.frames[from]!, reading: batch.readings[from]!, message: verdict.message });
      batch.lines[from] = '';
      return;
    }
    const middle = (from + to) >>> 1;
    await writeLines(batch, from, middle);
    await writeLines(batch, middle, to);
  }

  async function writeNow(frames: readonly Frame[]): Promise<Refused[]> {
    const batch = begun.get(frames) ?? encode(frames);
    if (batch.lines.length === 0) return batch.refused;
    begun.set(frames, batch);
    await ensure();
    await writeLines(batch, 0, batch.lines.length);
    begun.delete(frames);
    summed?.touched(frames, Date.now());
    return batch.refused;
  }

  /** A row more than asked for tells that no part of the last row is missing: parts of a row come one after another. */
  async function rowsOf(select: Select, { limit, rollup }: Query): Promise<Row[]> {
    const place = rollup && summed ? { ...options, retentionPolicy: summed.policyOf(rollup) } : options;
    const rows = new Map<number, Row>();
    const page = limit + 1;
    for (let offset = 0; rows.size <= limit; offset += page) {
      const answer = await ask(client, place, `${select.text} LIMIT ${page} OFFSET ${offset}`, select.placeholders);
      mergeRows(rows, answer, select);
      if (answer.length < page) break;
    }
    return [...rows.values()].slice(0, limit);
  }

  return {
    name: 'store',
    /** One after the other, in the order of the calls: the later of two readings with one identity wins. */
    write(frames) {
      const mine = turn.then(() => writeNow(frames));
      turn = mine.catch(() => {});
      return mine;
    },
    async query(query) {
      const stream = streams.get(query.stream);
      const select = stream && selectOf(stream, query);
      if (!select) return [];
      await ensure();
      return rowsOf(select, query);
    },
    async incarnation() {
      await ensure();
      return readStart(post.get);
    },
    async countByMinute(name, from, to) {
      const stream = streams.get(name);
      if (!stream) return new Map();
      return countsByMinute(await ask(client, options, countOf(stream, from, to), {}), stream);
    },
    ...(summed && { rollups: summed }),
    /** The retention policy does it. */
    prune: async () => undefined,
    async problem() {
      try {
        const { status } = await post.get('/ping');
        return status < 300 ? undefined : `InfluxDB answered ${status} to a ping`;
      } catch (error) {
        return (error as Error).message;
      }
    },
    async close() {
      post.close();
    },
  };

  function unavailable(verdict: Verdict & { kind: 'retry' | 'stall' }): Unavailable {
    if (verdict.kind === 'stall') return new Unavailable(`InfluxDB: ${verdict.message}`, { stalled: true });
    const { message, retryAfterMs } = verdict;
    return new Unavailable(`InfluxDB: ${message} (${database}.${retentionPolicy})`, {
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }
}

/** Never takes its only host out of service: who asks again wants to know how it is now. */
const NO_BACKOFF = {
  getDelay: () => 0,
  next: () => NO_BACKOFF,
  reset: () => NO_BACKOFF,
};

/** Our header identifies the hub, as a token has no other place. Without this the package would send `root:root`. */
const NO_ROOT: object = { username: null };

function createClient(options: InfluxOptions): InfluxDB {
  const { protocol, hostname, port, pathname } = new URL(options.url);
  return new InfluxDB({
    database: options.database,
    ...NO_ROOT,
    pool: { maxRetries: 0, requestTimeout: options.timeoutMs, backoff: NO_BACKOFF },
    hosts: [
      {
        protocol: protocol === 'https:' ? 'https' : 'http',
        host: hostname,
        port: Number(port || (protocol === 'https:' ? 443 : 80)),
        path: pathname.replace(/\/$/, ''),
        options: { headers: authorization(options) },
      },
    ],
  });
}

function openRollups(client: InfluxDB, options: InfluxOptions): InfluxRollups | undefined {
  const { rollups = [], retentionDays } = options;
  if (rollups.length === 0) return undefined;
  const rawKeepMs = retentionDays * 86_400_000;
  return createInfluxRollups(client, (text) => ask(client, options, text, {}), { ...options, rollups, rawKeepMs });
}

/** Without roll-ups a store is still a store. Throws `Unavailable` when there is no answer. */
async function ensureAll(client: InfluxDB, options: InfluxOptions, rollups: InfluxRollups | undefined): Promise<void> {
  await ensureDatabase(client, options);
  await rollups?.ensure().catch((error: Error) => {
    if (error instanceof Unavailable && !error.stalled) throw error;
    if (!(error instanceof Unavailable || wasAnswered(error))) throw unanswered(error, options);
    const words = withoutSecrets(options)(error.message);
    options.log.warn(
      { database: options.database, error: words },
      'InfluxDB makes no roll-ups: answers come from readings',
    );
  });
}

/**
 * Makes the database and its retention policy when they are missing. The policy becomes the default one in a database
 * without data only: elsewhere that would change what others write and read. Not being allowed to do it is no error,
 * for somebody may have done it already; the write will tell. Throws `Unavailable` when there is no answer.
 */
async function ensureDatabase(client: InfluxDB, options: InfluxOptions): Promise<void> {
  const { database, retentionPolicy, retentionDays, log } = options;
  const minutes = Math.round(retentionDays * 24 * 60);
  try {
    await client.createDatabase(database);
    const policy = (await client.showRetentionPolicies(database)).find(({ name }) => name === retentionPolicy);
    if (policy) return warnOfRetention(daysOf(policy.duration), options);
    const isDefault = (await client.getMeasurements(database)).length === 0;
    const duration = minutes === 0 ? 'INF' : `${Math.max(minutes, 60)}m`;
    await client.createRetentionPolicy(retentionPolicy, { database, duration, replication: 1, isDefault });
    log.info({ database, retentionPolicy, retentionDays }, 'made the retention policy in InfluxDB');
  } catch (error) {
    if (!wasAnswered(error as Error)) throw unanswered(error as Error, options);
    const words = withoutSecrets(options)((error as Error).message);
    log.warn({ database, retentionPolicy, error: words }, 'could not make the database in InfluxDB');
  }
}

function warnOfRetention(policyDays: number, { database, retentionPolicy, retentionDays, log }: InfluxOptions): void {
  const mismatch = retentionMismatch(policyDays, retentionDays);
  if (mismatch) log.warn({ database, retentionPolicy, policyDays, retentionDays }, mismatch);
}

async function ask(
  client: InfluxDB,
  options: InfluxOptions,
  text: string,
  placeholders: Record<string, string>,
): Promise<InfluxRow[]> {
  const { retentionPolicy } = options;
  let answer: IResponse;
  try {
    answer = await client.queryRaw(text, { precision: 'u', retentionPolicy, placeholders });
  } catch (error) {
    throw unanswered(error as Error, options);
  }
  const result = answer.results[0];
  if (result?.error) throw new Unavailable(`InfluxDB: ${withoutSecrets(options)(result.error)}`, { stalled: true });
  const series = result?.series?.[0] as { columns: string[]; values: unknown } | undefined;
  if (series && series.columns[0] !== 'time')
    throw new Unavailable('the server takes readings as InfluxDB does, but answers no queries', { stalled: true });
  return (series?.values ?? []) as InfluxRow[];
}

/** Whether InfluxDB itself said no, by a status below 500 or inside its answer. */
function wasAnswered(error: Error): boolean {
  return error.message.startsWith('Error from InfluxDB') || 'res' in error;
}

/** An answer is no cause to keep: the package ties the request to it, whose headers hold the credentials. */
function unanswered(error: Error, options: InfluxOptions): Unavailable {
  const stalled = wasAnswered(error);
  const words = withoutSecrets(options)(error.message);
  const keepsCause = !stalled && words === error.message;
  return new Unavailable(`InfluxDB: ${words.trim()}`, { stalled, ...(keepsCause && { cause: error }) });
}
