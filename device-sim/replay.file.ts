/** Reads a recording from a CSV file into memory, by the package `csv-parse`. */
import { createReadStream } from 'node:fs';
import { parse } from 'csv-parse';
import type { Reading } from './device.ts';
import { type MappedField, readingOf } from './replay.ts';

/** A longer file is better cut than held in memory. */
const MAX_ROWS = 2_000_000;

/**
 * The readings of a CSV file with a header line, in the order of the file. Rejects when the file cannot be read, or with
 * a `RangeError` that names the line that does not fit the map.
 */
export async function readRecording(file: string, map: readonly MappedField[]): Promise<Reading[]> {
  const rows = createReadStream(file)
    .on('error', (error) => rows.destroy(error))
    .pipe(parse({ columns: true, bom: true, skip_empty_lines: true, trim: true, info: true }));
  const readings: Reading[] = [];
  for await (const { record, info } of rows) {
    if (readings.length === MAX_ROWS) throw new RangeError(`${file} has more than ${MAX_ROWS} rows: cut it`);
    try {
      readings.push(readingOf(record, map));
    } catch (error) {
      throw new RangeError(`${file}:${info.lines}: ${(error as Error).message}`);
    }
  }
  if (readings.length === 0) throw new RangeError(`${file} has no rows`);
  return readings;
}
