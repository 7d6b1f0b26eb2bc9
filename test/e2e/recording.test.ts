/** The main job on real input: a real day of an office, replayed by the simulator, row by row in InfluxDB. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';

const RECORDING = 'device-sim/data/occupancy-2015-02-05.csv';
const FIELDS = ['temperature', 'humidity', 'light', 'co2'] as const;

let influxd: Influxd;
let hub: TestHub;

beforeAll(async () => {
  influxd = await startInfluxd();
  hub = await startTestHub({ HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url });
});

afterAll(async () => {
  await hub.dispose();
  await influxd.remove();
});

/** The rows as the publication has them: time in µs, four numbers, and whether the room was occupied. */
function recorded(): (number | boolean)[][] {
  const [head, ...lines] = readFileSync(RECORDING, 'utf8').trim().split('\n');
  const columns = head!.trim().split(',');
  return lines.map((line) => {
    const cells = Object.fromEntries(
      line
        .trim()
        .split(',')
        .map((cell, index) => [columns[index]!, cell]),
    );
    return [Date.parse(cells.time!) * 1000, ...FIELDS.map((field) => Number(cells[field])), cells.occupancy === '1'];
  });
}

interface Report {
  sent: number;
  acked: number;
  rejected: number;
}

function replay(): Promise<{ code: number; report: Report }> {
  const map = 'temperature=temperature,humidity=humidity,light=light,co2=co2,occupied=occupancy:boolean';
  const args = ['device-sim/main.ts', '--data', hub.dataDir, '--devices', '1', '--prefix', 'office-', '--json'];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [...args, '--replay', RECORDING, '--map', map, '--speed', 'max', '--batch', '50'],
      (error, stdout, stderr) => {
        if (!stdout.startsWith('{')) return reject(new Error(stderr));
        resolve({ code: error ? Number(error.code) : 0, report: JSON.parse(stdout) });
      },
    );
  });
}

async function stored(): Promise<unknown[][]> {
  const select = `SELECT ${FIELDS.join(', ')}, occupied FROM environment WHERE device = 'office-0001'`;
  return (await influxd.query(select, 'telemetry'))[0]?.values ?? [];
}

it('stores every row with exactly its values and times, and a second replay changes nothing', async () => {
  const rows = recorded();
  expect(rows.length).toBeGreaterThan(1_400);
  for (const round of [1, 2]) {
    const { code, report } = await replay();
    expect({ round, code, ...report }).toMatchObject({
      round,
      code: 0,
      sent: rows.length,
      acked: rows.length,
      rejected: 0,
    });
    await expect.poll(async () => (await stored()).length).toBe(rows.length);
    expect(await stored()).toEqual(rows);
  }
});

it('has the field types of the schema', async () => {
  const [series] = await influxd.query('SHOW FIELD KEYS FROM environment', 'telemetry');
  expect(Object.fromEntries(series!.values)).toMatchObject({
    temperature: 'float',
    light: 'float',
    co2: 'float',
    occupied: 'boolean',
  });
});

it('gives the same readings through the hub’s own query API, also averaged by the hour', async () => {
  const range = 'stream=environment&from=2015-02-05T00:00:00Z&to=2015-02-06T00:00:00Z';
  const { rows } = await hub.call<{ rows: Record<string, number>[] }>(
    'GET',
    `/v1/devices/office-0001/telemetry?${range}&limit=10000&order=asc`,
  );
  const original = recorded();
  expect(rows.map(({ ts, co2 }) => [ts! * 1000, co2])).toEqual(original.map(([micros, , , , co2]) => [micros, co2]));
  const hourly = await hub.call<{ rows: Record<string, number>[] }>(
    'GET',
    `/v1/devices/office-0001/telemetry?${range}&every=1h&fn=mean&fields=co2&order=asc`,
  );
  expect(hourly.rows).toHaveLength(24);
  const first = original
    .filter(([micros]) => (micros as number) < Date.parse('2015-02-05T01:00:00Z') * 1000)
    .map((row) => row[4] as number);
  expect(hourly.rows[0]!.co2).toBeCloseTo(first.reduce((sum, value) => sum + value, 0) / first.length, 6);
});
