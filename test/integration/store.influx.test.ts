/** What only a store in InfluxDB does, with a real influxd: types, refusals, outages, credentials. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import type { Frame } from '../../hub/telemetry/reading.ts';
import { createInfluxStore, type InfluxOptions } from '../../hub/telemetry/store.influx.ts';
import type { TelemetryStore } from '../../hub/telemetry/store.ts';
import { frameOf, T0 } from '../helpers/frames.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { createTestLog } from '../helpers/log.ts';
import { streams } from '../helpers/streams.ts';

const DAY_MS = 86_400_000;
const opened: TelemetryStore[] = [];
let databases = 0;

function storeAt(url: string, options: Partial<InfluxOptions> = {}) {
  const database = options.database ?? `db${++databases}`;
  const { log, entries } = createTestLog();
  const defaults = { url, database, retentionPolicy: 'hub', retentionDays: 0, timeoutMs: 5000, streams, log };
  const store = createInfluxStore({ ...defaults, ...options });
  opened.push(store);
  return { store, database, entries };
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
const some = (count: number, device = 'd'): Frame[] =>
  Array.from({ length: count }, (_, index) => frameOf(device, 'probe', [{ ts: T0 + index, turns: index }]));
const everything = { device: 'd', stream: 'probe', from: 0, to: T0 * 2, limit: 10_000 };

describe('a store in InfluxDB', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd();
  });
  afterAll(() => influxd?.remove());

  it('writes the types of the schema, microseconds, and the device as a tag', async () => {
    const { store, database } = storeAt(influxd.url);
    const reading = { ts: T0 + 0.25, level: 3, turns: 4, open: true, note: 'x', mode: 'a' };
    await store.write([frameOf('d', 'probe', [reading])]);
    const types = await influxd.query('SHOW FIELD KEYS FROM probe', database);
    expect(types[0]!.values).toEqual([
      ['level', 'float'],
      ['mode.value', 'string'],
      ['note', 'string'],
      ['open', 'boolean'],
      ['turns', 'integer'],
    ]);
    const [series] = await influxd.query('SELECT * FROM probe', database);
    const row = Object.fromEntries(series!.columns.map((name, index) => [name, series!.values[0]![index]]));
    expect(row).toEqual({
      time: T0 * 1000 + 250,
      device: 'd',
      level: 3,
      mode: 'a',
      'mode.value': 'a',
      note: 'x',
      open: true,
      turns: 4,
    });
  });

  it('makes the database, with its retention policy as the default one', async () => {
    const { store, database, entries } = storeAt(influxd.url, { retentionDays: 30 });
    await store.write([frameOf('d', 'probe', [{ ts: Date.now(), turns: 1 }])]);
    const [policies] = await influxd.query(`SHOW RETENTION POLICIES ON ${database}`);
    expect(policies!.values.find(([name]) => name === 'hub')).toEqual(['hub', '720h0m0s', '24h0m0s', 1, true]);
    expect(entries).toMatchObject([{ level: 'info' }]);
  });

  it('leaves the default policy of a database in which others have data, and an existing policy of its own', async () => {
    await influxd.query('CREATE DATABASE shared');
    await influxd.write('shared', 'others f=1 1');
    const { store } = storeAt(influxd.url, { database: 'shared' });
    await store.write(some(1));
    const again = storeAt(influxd.url, { database: 'shared', retentionDays: 1 });
    await again.store.write([]);
    expect(await again.store.query(everything)).toHaveLength(1);
    const [policies] = await influxd.query('SHOW RETENTION POLICIES ON shared');
    expect(policies!.values.map(([name, duration, , , isDefault]) => [name, duration, isDefault])).toEqual([
      ['autogen', '0s', true],
      ['hub', '0s', false],
    ]);
  });

  it('makes the database again when somebody dropped it', async () => {
    const { store, database } = storeAt(influxd.url);
    await store.write(some(1));
    await influxd.query(`DROP DATABASE ${database}`);
    expect(await store.write(some(3))).toEqual([]);
    expect(await store.query(everything)).toHaveLength(3);
    await influxd.query(`DROP RETENTION POLICY hub ON ${database}`);
    expect(await store.write(some(2))).toEqual([]);
    expect(await store.query(everything)).toHaveLength(2);
  });

  it('returns the readings whose type InfluxDB refuses, and stores all others', async () => {
    const { store, database } = storeAt(influxd.url);
    await store.write([]);
    await store.query(everything);
    await influxd.write(database, `probe,device=x level="a text" ${T0 * 1000}`);
    const frames = some(1000);
    const poison = [3, 4, 500, 999].map((index) => frameOf('d', 'probe', [{ ts: T0 + 5000 + index, level: index }]));
    const refused = await store.write([...frames, ...poison].toSorted((a, b) => a.readings[0]!.ts - b.readings[0]!.ts));
    expect(new Set(refused.map(({ frame }) => frame))).toEqual(new Set(poison));
    expect(refused.map(({ frame, reading }) => frame.readings.indexOf(reading))).toEqual([0, 0, 0, 0]);
    expect(refused[0]!.message).toContain('field type conflict');
    expect(await store.query(everything)).toHaveLength(1000);
  });

  it('returns the readings that are older than the retention policy keeps', async () => {
    const { store } = storeAt(influxd.url, { retentionDays: 2 });
    const now = Date.now();
    const readings = [now - 3 * DAY_MS, now - DAY_MS, now, now - 10 * DAY_MS].map((ts, turns) => ({ ts, turns }));
    const refused = await store.write([frameOf('d', 'probe', readings)]);
    expect(refused.map(({ reading }) => reading)).toEqual([readings[0], readings[3]]);
    expect(refused[0]!.message).toContain('retention');
    expect(await store.query({ ...everything, to: now + 1 })).toEqual([readings[1], readings[2]]);
  });

  it('keeps both points when a reading is written again with another tag, and shows one row', async () => {
    const { store, database } = storeAt(influxd.url);
    await store.write([frameOf('d', 'probe', [{ ts: T0, level: 1, mode: 'a' }])]);
    await store.write([frameOf('d', 'probe', [{ ts: T0, level: 1, mode: 'b c' }])]);
    const [series] = await influxd.query('SELECT level FROM probe', database);
    expect(series!.values).toHaveLength(2);
    expect(await store.query(everything)).toHaveLength(1);
  });

  it('cannot be made to run a second statement by a hostile name', async () => {
    const { store, database } = storeAt(influxd.url);
    await store.write(some(5));
    for (const hostile of [
      "'; DROP MEASUREMENT probe; --",
      '"; DROP MEASUREMENT probe',
      "\\'; DROP DATABASE x",
      '\n',
    ]) {
      expect(await store.query({ ...everything, device: hostile })).toEqual([]);
      expect(await store.query({ ...everything, stream: hostile })).toEqual([]);
      expect(await store.query({ ...everything, fields: [hostile] })).toEqual([]);
    }
    const [series] = await influxd.query('SELECT count(turns) FROM probe', database);
    expect(series!.values[0]![1]).toBe(5);
  });

  it('halves a batch that is too large for the server, down to the reading that alone is', async () => {
    const strict = await startInfluxd({ http: 'max-body-size = 2000' });
    const { store } = storeAt(strict.url);
    // Compressed bodies are measured as they travel, so the texts must be hard to compress.
    const noise = (length: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(length))).toString('hex');
    const frames = Array.from({ length: 20 }, (_, index) =>
      frameOf('d', 'probe', [{ ts: T0 + index, note: noise(200) }]),
    );
    const giant = frameOf('d', 'probe', [{ ts: T0 + 100, note: noise(2000) }]);
    const refused = await store.write([...frames, giant]);
    expect(refused).toMatchObject([{ frame: { seq: giant.seq } }]);
    expect(await store.query(everything)).toHaveLength(20);
    await strict.remove();
  });
});

describe('an InfluxDB that is away', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd();
  });
  afterAll(() => influxd?.remove());

  it('makes the store unavailable until it is back, and then everything works at once', async () => {
    const { store } = storeAt(influxd.url);
    await store.write(some(2));
    await influxd.stop();
    expect(await outcome(store.write(some(4)))).toMatchObject({ name: 'Unavailable', stalled: false });
    expect(await outcome(store.query(everything))).toMatchObject({ name: 'Unavailable', stalled: false });
    expect(await store.problem()).toContain('does not answer');
    await influxd.start();
    expect(await store.problem()).toBeUndefined();
    expect(await store.query(everything)).toHaveLength(2);
    expect(await store.write(some(4))).toEqual([]);
    expect(await store.query(everything)).toHaveLength(4);
  });

  it('may be away when the store is made', async () => {
    await influxd.stop();
    const { store } = storeAt(influxd.url);
    expect(await outcome(store.write(some(1)))).toBeInstanceOf(Unavailable);
    await influxd.start();
    expect(await store.write(some(1))).toEqual([]);
  });

  it('makes the store unavailable when it is silent for too long', async () => {
    const { store } = storeAt(influxd.url, { timeoutMs: 300 });
    await store.write(some(1));
    influxd.pause();
    const error = await outcome(store.write(some(1)));
    const problem = await store.problem();
    influxd.resume();
    expect(error).toMatchObject({ name: 'Unavailable', message: expect.stringContaining('within 300 ms') });
    expect(problem).toContain('within 300 ms');
  });

  it('lets the store close while a write is waiting', async () => {
    const { store } = storeAt(influxd.url, { timeoutMs: 60_000 });
    await store.write(some(1));
    influxd.pause();
    const writing = outcome(store.write(some(1)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await store.close();
    expect(await writing).toBeInstanceOf(Unavailable);
    influxd.resume();
  });
});

describe('an InfluxDB with credentials', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd({ auth: true });
    await influxd.query("CREATE USER reader WITH PASSWORD 'r'");
    await influxd.query("CREATE USER writer WITH PASSWORD 'w'");
    await influxd.query('CREATE DATABASE granted');
    await influxd.query('CREATE RETENTION POLICY hub ON granted DURATION INF REPLICATION 1 DEFAULT');
    await influxd.query('GRANT ALL ON granted TO writer');
  });
  afterAll(() => influxd?.remove());

  it('takes the readings of an administrator', async () => {
    const { store } = storeAt(influxd.url, { username: 'admin', password: 'secret' });
    expect(await store.write(some(3))).toEqual([]);
    expect(await store.query(everything)).toHaveLength(3);
  });

  it('takes those of a user who may only write, when the database is there', async () => {
    const { store, entries } = storeAt(influxd.url, { username: 'writer', password: 'w', database: 'granted' });
    expect(await store.write(some(3))).toEqual([]);
    expect(await store.query(everything)).toHaveLength(3);
    expect(entries).toMatchObject([{ level: 'warn' }]);
  });

  it.each([
    ['no credentials', {}],
    ['a wrong password', { username: 'admin', password: 'marker-4711' }],
    ['an unknown user', { username: 'nobody', password: 'marker-4711' }],
    ['no right to write', { username: 'reader', password: 'r', database: 'granted' }],
    ['no right to make the database', { username: 'writer', password: 'w' }],
  ])('stalls the store with %s, and refuses no reading', async (_, options) => {
    const { store, entries } = storeAt(influxd.url, options);
    const error = (await outcome(store.write(some(3)))) as Unavailable;
    expect(error).toMatchObject({ name: 'Unavailable', stalled: true });
    const asked = await outcome(store.query(everything));
    expect(asked).toMatchObject({ name: 'Unavailable', stalled: true });
    const said = inspect([error, asked, entries], { depth: 20 });
    expect(said).not.toContain('marker-4711');
    expect(said).not.toContain('Basic ');
  });
});

describe('the request', () => {
  it('carries a token for 2.x and 3, is compressed, and reuses its connection', async () => {
    const requests: { url: string; authorization?: string; encoding?: string; port: number }[] = [];
    const server = http.createServer((request, response) => {
      const { authorization, 'content-encoding': encoding } = request.headers;
      requests.push({
        url: request.url!,
        port: request.socket.remotePort!,
        ...(authorization && { authorization }),
        ...(encoding && { encoding }),
      });
      const isQuery = request.url!.includes('/query');
      request.resume().on('end', () => {
        response.writeHead(isQuery ? 200 : 204);
        response.end(isQuery ? '{"results":[{"error":"not in 2.x"}]}' : undefined);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/behind/proxy/`;
    const { store, database } = storeAt(url, { token: 'abc' });
    await store.write(some(1));
    await store.write(some(1));
    expect(await store.problem()).toBeUndefined();
    const writes = requests.filter((request) => request.url.includes('/write'));
    expect(writes).toHaveLength(2);
    expect(writes[0]).toMatchObject({
      url: `/behind/proxy/write?db=${database}&rp=hub&precision=u`,
      authorization: 'Token abc',
      encoding: 'gzip',
    });
    expect(writes[1]!.port).toBe(writes[0]!.port);
    expect(new Set(requests.map((request) => request.authorization))).toEqual(new Set(['Token abc']));
    expect(requests.at(-1)!.url).toBe('/behind/proxy/ping');
    await store.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
