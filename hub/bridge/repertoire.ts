/** What each device was seen to send: its streams and their fields, so that only what exists is announced. */
import type { Table } from '../backplane/backplane.ts';
import { createWriteBehind } from '../devices/write-behind.ts';
import type { Frame } from '../telemetry/reading.ts';

/** Streams of a device, and the fields of each that it sent at least once. */
export type Seen = ReadonlyMap<string, ReadonlySet<string>>;

export interface Repertoire {
  of(device: string): Seen;
  /** Called once for each group commit. Looks at the last reading of each frame. */
  saw(frames: readonly Frame[]): void;
  /** Called when a device sent a stream or a field for the first time. */
  onChange(listener: (device: string) => void): void;
  /** Forgets a removed device. */
  forget(device: string): void;
  /** Writes what is not written yet. Idempotent. */
  close(): Promise<void>;
}

const WRITE_EVERY_MS = 3_000;

/** The table holds one row for each device: streams and their fields. A crash may forget the last seconds. */
export function createRepertoire(table: Table<Record<string, string[]>>): Repertoire {
  const rows = createWriteBehind(table, WRITE_EVERY_MS);
  const known = new Map<string, Map<string, Set<string>>>();
  const listeners: ((device: string) => void)[] = [];

  for (const { key, value } of table.values()) {
    known.set(key, new Map(Object.entries(value).map(([stream, fields]) => [stream, new Set(fields)])));
  }

  /** The fields of that stream of the device, made empty when there are none yet. */
  function fieldsOf(device: string, stream: string): Set<string> {
    let streams = known.get(device);
    if (!streams) {
      streams = new Map();
      known.set(device, streams);
    }
    let fields = streams.get(stream);
    if (!fields) {
      fields = new Set();
      streams.set(stream, fields);
    }
    return fields;
  }

  function isNews({ device, stream, readings }: Frame): boolean {
    const last = readings.at(-1);
    if (!last) return false;
    const fields = fieldsOf(device, stream);
    const before = fields.size;
    for (const field in last) if (field !== 'ts') fields.add(field);
    return fields.size > before;
  }

  function tell(device: string): void {
    rows.set(device, Object.fromEntries([...known.get(device)!].map(([stream, fields]) => [stream, [...fields]])));
    for (const listener of listeners) listener(device);
  }

  return {
    of: (device) => known.get(device) ?? new Map(),
    saw(frames) {
      for (const frame of frames) if (isNews(frame)) tell(frame.device);
    },
    onChange: (listener) => void listeners.push(listener),
    forget(device) {
      known.delete(device);
      rows.forget(device);
    },
    close: rows.close,
  };
}
