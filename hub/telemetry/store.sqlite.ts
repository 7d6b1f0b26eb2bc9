/** The telemetry store embedded in the hub: a SQLite file with one table for each stream, keyed by device and time. */
import type { Stream } from '../../schemas/index.ts';
import type { Field } from '../../schemas/stream.ts';
import { type Column, type Database, type DatabaseOptions, openDatabase, type Step } from '../kit/database.sqlite.ts';
import { pruneTable } from './prune.sqlite.ts';
import type { Frame, Reading, Value } from './reading.ts';
import { createSqliteRollups, type SqliteRollups } from './rollups.sqlite.ts';
import { bySeries, misfit } from './series.ts';
import { columnsOf, definitionOf, micros, rowOf, selectOf, type Table, tableOf } from './sql.ts';
import type { Refused, Rollup, TelemetryStore } from './store.ts';

export interface SqliteOptions extends DatabaseOptions {
  streams: ReadonlyMap<string, Stream>;
  /** By the length of their windows, the shortest first; none without it. */
  rollups?: readonly Rollup[];
  /** How long readings are kept, in milliseconds; 0: for ever. Somebody else calls `prune`. */
  rawKeepMs?: number;
}

/** The readings of one stream in a batch; row `i` of the step is `readings[i]` of `frames[i]`. */
interface Group {
  stream: string;
  table: Table;
  frames: Frame[];
  readings: Reading[];
}

/**
 * Opens the file and makes the tables and columns that the streams need; columns of fields that are gone stay.
 * Resolves when it can be used. Throws `Unavailable` when the file cannot be opened.
 */
export async function createSqliteStore(options: SqliteOptions): Promise<TelemetryStore> {
  const { streams, file, rollups = [], rawKeepMs = 0 } = options;
  const tables = new Map([...streams].map(([name, stream]) => [name, tableOf(stream)]));
  const database = await openDatabase(options);
  let summed: SqliteRollups | undefined;
  try {
    for (const table of tables.values()) await defineTable(database, table);
    if (rollups.length > 0) summed = await createSqliteRollups(database, { rollups, rawKeepMs, streams, tables });
  } catch (error) {
    await database.close();
    throw error;
  }

  return {
    name: 'store',
    async write(frames) {
      const refused: Refused[] = [];
      const groups = groupsOf(frames, streams, tables, refused);
      if (groups.length === 0) return refused;
      const marks = summed ? groups.flatMap((group) => marksOf(group, summed)) : [];
      const results = await database.write([...groups.map(stepOf), ...marks]);
      for (const [index, group] of groups.entries()) {
        const { failed } = results[index]!;
        for (const { row, message } of failed) {
          refused.push({ frame: group.frames[row]!, reading: group.readings[row]!, message });
        }
      }
      return refused;
    },
    async query(query) {
      const stream = streams.get(query.stream);
      const select = query.rollup
        ? summed?.selectOf(query)
        : stream && selectOf(stream, tables.get(query.stream)!, query);
      if (!select) return [];
      return (await database.all(select.text, select.params)).map((cells) => rowOf(cells, select));
    },
    async prune(before) {
      let deleted = 0;
      const from = summed ? await summed.letGo(before) : before;
      for (const table of tables.values()) deleted += await pruneTable(database, table, from);
      return deleted;
    },
    ...(summed && { rollups: summed }),
    async problem() {
      try {
        await database.all('SELECT 1');
        return undefined;
      } catch (error) {
        return `${file}: ${(error as Error).message}`;
      }
    },
    close: () => database.close(),
  };
}

async function defineTable(database: Database, table: Table): Promise<void> {
  const known = new Set((await database.all(columnsOf(table))).map(([, name]) => String(name)));
  const statements = definitionOf(table, known);
  await database.write(statements.map((sql) => ({ sql, rows: 1, columns: [] })));
}

/** Sorts a batch into its tables. What no table can hold goes to `refused`. */
function groupsOf(
  frames: readonly Frame[],
  streams: SqliteOptions['streams'],
  tables: ReadonlyMap<string, Table>,
  refused: Refused[],
): Group[] {
  const groups = new Map<string, Group>();
  for (const frame of bySeries(frames)) {
    const stream = streams.get(frame.stream);
    for (const reading of frame.readings) {
      const message = misfit(stream, frame, reading);
      if (message !== undefined) {
        refused.push({ frame, reading, message });
        continue;
      }
      let group = groups.get(frame.stream);
      if (!group) {
        group = { stream: frame.stream, table: tables.get(frame.stream)!, frames: [], readings: [] };
        groups.set(frame.stream, group);
      }
      group.frames.push(frame);
      group.readings.push(reading);
    }
  }
  return [...groups.values()];
}

function marksOf({ stream, frames, readings }: Group, rollups: SqliteRollups): Step[] {
  const devices = frames.map(({ device }) => device);
  return rollups.marksOf(
    stream,
    devices,
    Float64Array.from(readings, ({ ts }) => micros(ts)),
  );
}

/** Columns travel to the thread as one block of memory each, instead of one message for each reading. */
function stepOf({ table, frames, readings }: Group): Step {
  const device = frames.map((frame) => frame.device);
  const ts = Float64Array.from(readings, (reading) => micros(reading.ts));
  const columns = table.fields.map((field) => columnOf(field, readings));
  return { sql: table.upsert, rows: readings.length, columns: [device, ts, ...columns] };
}

function columnOf({ name, type }: Field, readings: readonly Reading[]): Column {
  const values: (Value | undefined)[] = readings.map((reading) => reading[name]);
  if (type === 'string') return values.map((value) => (value as string | undefined) ?? null);
  return Float64Array.from(values, (value) => (value === undefined ? Number.NaN : Number(value)));
}
