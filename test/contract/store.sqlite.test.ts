/** The contract with the embedded store, and what only that store does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import { createSqliteStore } from '../../hub/telemetry/store.sqlite.ts';
import type { Stream } from '../../schemas/index.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { streams } from '../helpers/streams.ts';
import { describeStore } from './store.contract.ts';

describeStore('sqlite', async (rollups = []) => {
  const dir = await mkdtemp(join(tmpdir(), 'store-'));
  const store = await createSqliteStore({ file: join(dir, 'telemetry.db'), streams, rollups });
  return {
    store,
    async close() {
      await store.close();
      await rm(dir, { recursive: true });
    },
  };
});

describe('the embedded store', () => {
  let dir: string;
  let file: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'store-'));
    file = join(dir, 'telemetry.db');
  });
  afterEach(() => rm(dir, { recursive: true }));

  const everything = { device: 'd', from: 0, to: T0 * 2, limit: 100_000 };
  const probeWith = (
    change: (fields: Map<string, Stream['fields'] extends ReadonlyMap<string, infer F> ? F : never>) => void,
  ) => {
    const probe = streams.get('probe')!;
    const fields = new Map(probe.fields);
    change(fields);
    return new Map([['probe', { ...probe, fields }]]);
  };

  it('keeps its readings when it is opened again, and makes a column for a new field', async () => {
    const before = probeWith((fields) => fields.delete('turns'));
    const first = await createSqliteStore({ file, streams: before });
    await first.write([frameOf('d', 'probe', [{ ts: T0, level: 1 }])]);
    await first.close();
    const second = await createSqliteStore({ file, streams });
    await second.write([frameOf('d', 'probe', [{ ts: T0, turns: 2 }])]);
    expect(await second.query({ ...everything, stream: 'probe' })).toEqual([{ ts: T0, level: 1, turns: 2 }]);
    await second.close();
  });

  it('refuses a value when the type of its field has changed since the table was made', async () => {
    const first = await createSqliteStore({ file, streams });
    await first.close();
    const changed = probeWith((fields) => fields.set('turns', { ...fields.get('turns')!, type: 'string' }));
    const second = await createSqliteStore({ file, streams: changed });
    const frame = frameOf('d', 'probe', [
      { ts: T0, turns: 'many' },
      { ts: T0 + 1, level: 1 },
    ]);
    const refused = await second.write([frame]);
    expect(refused).toEqual([{ frame, reading: frame.readings[0], message: expect.stringContaining('INTEGER') }]);
    expect(await second.query({ ...everything, stream: 'probe' })).toEqual([{ ts: T0 + 1, level: 1 }]);
    await second.close();
  });

  it('forgets what is older than asked, of all devices and streams, in several steps, while it takes more', async () => {
    const store = await createSqliteStore({ file, streams });
    const old = Array.from({ length: 12_000 }, (_, index) => ({ ts: T0 + index, turns: index }));
    await store.write([
      frameOf('d', 'probe', old),
      frameOf('e', 'probe', old.slice(0, 10)),
      frameOf('e', 'environment', [{ ts: T0, light: 1 }]),
    ]);
    const pruned = store.prune(T0 + 11_990);
    await store.write([frameOf('d', 'probe', [{ ts: T0 + 20_000, turns: 1 }])]);
    expect(await pruned).toBe(11_990 + 10 + 1);
    expect(await store.query({ ...everything, stream: 'probe' })).toHaveLength(11);
    expect(await store.prune(T0 + 11_990)).toBe(0);
    await store.close();
  });

  it('is unavailable while the disk is full, loses nothing, and takes more when there is room', async () => {
    const small = await createSqliteStore({ file, streams, limitBytes: 2_000_000 });
    const note = 'x'.repeat(1000);
    const batch = (start: number) => [
      frameOf(
        'd',
        'probe',
        Array.from({ length: 50 }, (_, index) => ({ ts: T0 + start + index, note })),
      ),
    ];
    const write = async () => {
      for (let start = 0; start < 10_000; start += 50) await small.write(batch(start));
    };
    await expect(write()).rejects.toThrow(Unavailable);
    const held = await small.query({ ...everything, stream: 'probe' });
    expect(held.length % 50).toBe(0);
    expect(held.length).toBeGreaterThan(0);
    expect(await small.prune(T0 + 100)).toBe(100);
    expect(await small.write(batch(9_000))).toEqual([]);
    await small.close();
  });

  it('says so when its file is no database', async () => {
    await import('node:fs/promises').then((fs) => fs.writeFile(file, 'this is not a database at all'.repeat(100)));
    const error = await createSqliteStore({ file, streams }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Unavailable);
    expect(error).toMatchObject({ stalled: true, message: expect.stringContaining('not a database') });
  });

  it('is read by any SQLite client', async () => {
    const store = await createSqliteStore({ file, streams });
    await store.write([frameOf('d', 'environment', [{ ts: T0 + 0.5, temperature: 21, occupied: true }])]);
    await store.close();
    const database = new DatabaseSync(file, { readOnly: true });
    const row = database.prepare('SELECT device, ts, temperature, occupied, co2 FROM stream_environment').get();
    expect({ ...row }).toEqual({ device: 'd', ts: T0 * 1000 + 500, temperature: 21, occupied: 1, co2: null });
    database.close();
  });

  it('closes once, and answers nothing after that', async () => {
    const store = await createSqliteStore({ file, streams });
    await Promise.all([store.close(), store.close()]);
    await expect(store.write([frameOf('d', 'probe', [{ ts: T0, turns: 1 }])])).rejects.toThrow(Unavailable);
    expect(await store.problem()).toContain('closed');
  });
});
