/**
 * Keeps the roll-ups of the embedded store. Each write marks the windows it touched, in its own transaction; `roll` sums
 * marked windows up and takes the marks away, in one transaction again. So a late reading is summed up like any other, and
 * a window without a mark says the same as its readings did.
 */
import type { Stream } from '../../schemas/index.ts';
import type { Database, Step } from '../kit/database.sqlite.ts';
import { nextDevice, pruneTable } from './prune.sqlite.ts';
import { floorTo } from './resolution.ts';
import {
  ALL,
  DIRTY,
  FIRST_DIRTY,
  FORGET_DIRTY,
  MARK,
  markAllOf,
  NEXT_DIRTY,
  type RollupTable,
  rollupDefinitionOf,
  rollupSelectOf,
  rollupTableOf,
  SET_HORIZON,
  UNMARK,
} from './rollup-sql.ts';
import { columnsOf, micros, type Select, type Table } from './sql.ts';
import type { Query, Rollup, Rollups } from './store.ts';

export interface SqliteRollupOptions {
  /** By the length of their windows, the shortest first. */
  rollups: readonly Rollup[];
  rawKeepMs: number;
  streams: ReadonlyMap<string, Stream>;
  tables: ReadonlyMap<string, Table>;
}

export interface SqliteRollups extends Rollups {
  /** To be written together with these rows of a stream; `ts`: their microseconds. */
  marksOf(stream: string, devices: readonly string[], ts: Float64Array): Step[];
  /** Undefined when no field can be in the answer. `query.rollup` is set. */
  selectOf(query: Query): Select | undefined;
  /**
   * From when on readings must stay when those before `before` shall go: the beginning of a longest window. Sums up what
   * still can be, and writes down that nothing before can be any more. Unix milliseconds. Throws `Unavailable`.
   */
  letGo(before: number): Promise<number>;
}

const PRUNE_EVERY_MS = 3_600_000;

/** Makes what tables are missing; a new one is filled from the readings by the next `roll`. Throws `Unavailable`. */
export async function createSqliteRollups(database: Database, options: SqliteRollupOptions): Promise<SqliteRollups> {
  const { rollups, rawKeepMs, streams, tables } = options;
  const all = [...streams.values()].flatMap((stream) =>
    rollups.map((rollup) => rollupTableOf(stream, tables.get(stream.name)!, rollup)),
  );
  await database.write(DIRTY.map(statement));
  for (const table of all) await defineTable(database, table, tables.get(table.stream.name)!);

  let prunedAt = Number.NEGATIVE_INFINITY;

  async function roll(now: number): Promise<number> {
    await database.write([statement(FORGET_DIRTY)]);
    let done = 0;
    for (const table of all) done += await rollTable(database, table, tables.get(table.stream.name)!, now);
    return done + (await prune(now));
  }

  /** It visits every device, so once an hour is enough; a clock that was put back does not stop it. */
  async function prune(now: number): Promise<number> {
    if (Math.abs(now - prunedAt) < PRUNE_EVERY_MS) return 0;
    prunedAt = now;
    let done = 0;
    for (const table of all) {
      const { keepMs } = table.rollup;
      if (keepMs > 0) done += await pruneTable(database, table, now - keepMs);
    }
    return done;
  }

  return {
    list: rollups,
    rawKeepMs,
    roll,
    marksOf: (stream, devices, ts) => rollups.map((rollup) => marksOf(rollup, stream, devices, ts)),
    selectOf: (query) => {
      const table = all.find(({ stream, rollup }) => stream.name === query.stream && rollup === query.rollup);
      return table && rollupSelectOf(table, query);
    },
    async upTo({ everyMs }, stream, device) {
      const [row] = await database.all(FIRST_DIRTY, [micros(everyMs), stream, device]);
      const first = row?.[0] ?? Number.POSITIVE_INFINITY;
      return first === ALL ? Number.NEGATIVE_INFINITY : Number(first) / 1000;
    },
    async letGo(before) {
      await roll(before + rawKeepMs);
      const from = floorTo(before, rollups.at(-1)!.everyMs);
      await database.write([{ sql: SET_HORIZON, rows: 1, columns: [Float64Array.of(micros(from))] }]);
      return from;
    },
  };
}

const statement = (sql: string): Step => ({ sql, rows: 1, columns: [] });

async function defineTable(database: Database, table: RollupTable, source: Table): Promise<void> {
  const known = new Set((await database.all(columnsOf(table))).map(([, name]) => String(name)));
  const statements = rollupDefinitionOf(table, known);
  if (statements.length === 0) return;
  const devices: string[] = [];
  for (let device = await nextDevice(database, source, ''); device; device = await nextDevice(database, source, device))
    devices.push(device);
  await database.write([
    ...statements.map(statement),
    changeOf(
      MARK,
      table,
      devices,
      devices.map(() => ALL),
    ),
  ]);
}

/** A change of marks of one table. */
function changeOf(sql: string, { rollup, stream }: RollupTable, devices: string[], starts: number[]): Step {
  const { length } = devices;
  const every = new Float64Array(length).fill(micros(rollup.everyMs));
  return { sql, rows: length, columns: [every, Array(length).fill(stream.name), devices, Float64Array.from(starts)] };
}

/** Rows come by device and mostly in order, so the same window seldom comes twice. */
function marksOf({ everyMs }: Rollup, stream: string, devices: readonly string[], ts: Float64Array): Step {
  const every = micros(everyMs);
  const marked: string[] = [];
  const starts: number[] = [];
  for (const [index, device] of devices.entries()) {
    const start = Math.trunc(ts[index]! / every) * every;
    if (start === starts.at(-1) && device === marked.at(-1)) continue;
    marked.push(device);
    starts.push(start);
  }
  const { length } = marked;
  const columns = [new Float64Array(length).fill(every), Array(length).fill(stream), marked, Float64Array.from(starts)];
  return { sql: MARK, rows: length, columns };
}

async function rollTable(database: Database, table: RollupTable, source: Table, now: number): Promise<number> {
  const every = micros(table.rollup.everyMs);
  let done = 0;
  for (;;) {
    const dirty = await database.all(NEXT_DIRTY, [every, table.stream.name, micros(now) - every]);
    if (dirty.length === 0) return done;
    const whole = dirty.filter(([, ts]) => ts === ALL).map(([device]) => String(device));
    const windows = dirty.filter(([, ts]) => ts !== ALL) as [string, number][];
    const devices = windows.map(([device]) => device);
    const starts = windows.map(([, ts]) => ts);
    const ends = Float64Array.from(starts, (ts) => ts + every);
    await database.write([
      expansionOf(table, source, whole),
      changeOf(
        UNMARK,
        table,
        whole,
        whole.map(() => ALL),
      ),
      { sql: table.sum, rows: devices.length, columns: [devices, Float64Array.from(starts), ends] },
      changeOf(UNMARK, table, devices, starts),
    ]);
    done += dirty.length;
  }
}

function expansionOf({ rollup, stream }: RollupTable, source: Table, devices: string[]): Step {
  const every = new Float64Array(devices.length).fill(micros(rollup.everyMs));
  const columns = [every, Array(devices.length).fill(stream.name), devices];
  return { sql: markAllOf(source), rows: devices.length, columns };
}
