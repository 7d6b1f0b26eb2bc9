/** Hostile names and texts at every door: they stay what they are, in InfluxDB, on the broker, in the log and in the API. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE_STRINGS } from '../fuzz/hostile.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { connectRaw, type RawDevice, refusal } from '../helpers/raw-device.ts';

/** A stream of the user's own, with a text and a tag. */
const NOTES = {
  type: 'object',
  additionalProperties: false,
  properties: {
    text: { type: 'string', maxLength: 1_000 },
    colour: { type: 'string', enum: ['a b', 'a,b', 'a=b', 'a"b'], 'x-tag': true },
  },
};
/** A tag is stored as a field as well: decision 9. */
const FIELDS = ['light', 'text', 'colour.value'];
const COLOURS = NOTES.properties.colour.enum;

const schemas = mkdtempSync(join(tmpdir(), 'hostile-'));
let influxd: Influxd;
let hub: TestHub;
let listener: ChildProcess;
let heard = '';
const devices = new Set<string>();

beforeAll(async () => {
  mkdirSync(join(schemas, 'telemetry'));
  writeFileSync(join(schemas, 'telemetry/notes.json'), JSON.stringify(NOTES));
  influxd = await startInfluxd();
  const store = { HUB_STORE__KIND: 'influx', HUB_STORE__URL: influxd.url };
  hub = await startTestHub({ ...store, HUB_SCHEMAS__DIR: schemas, HUB_MQTT__EMBEDDED: 'true' });
  await listen();
});

afterAll(async () => {
  listener?.kill('SIGKILL');
  await hub?.dispose();
  await influxd?.remove();
  rmSync(schemas, { recursive: true, force: true });
});

/** Hears everything on the hub's broker, a JSON line for each message. */
async function listen(): Promise<void> {
  const { token } = await hub.call<{ token: string }>('POST', '/v1/operators', { name: 'ears', role: 'viewer' });
  const args = ['-p', new URL(hub.mqtt).port, '-u', 'ears', '-P', token, '-q', '1', '-t', '#', '-d', '-F', '%j'];
  listener = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...args]);
  listener.stdout!.on('data', (chunk) => (heard += chunk));
  const until = Date.now() + 20_000;
  while (!heard.includes('Subscribed') && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** The status of an answer, whatever it is. */
async function statusOf(method: string, path: string, body?: unknown): Promise<number> {
  const headers = { authorization: `Bearer ${hub.adminToken}`, 'content-type': 'application/json' };
  const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
  return (await fetch(hub.api + path, init)).status;
}

async function connect(id: string): Promise<RawDevice> {
  devices.add(id);
  return connectRaw(hub, { token: await hub.addDevice(id) });
}

describe('as the name of a device', () => {
  it('is refused, or is a name as any other', async () => {
    for (const id of HOSTILE_STRINGS) {
      const isAllowed = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/.test(id);
      const path = `/v1/devices/${encodeURIComponent(id.toWellFormed())}`;
      expect([400, 404], id).toContain(id === '' || id === '.' || id === '..' ? 404 : await statusOf('GET', path));
      if (!isAllowed) {
        expect(await statusOf('POST', '/v1/devices', { id }), id).toBe(400);
        continue;
      }
      const device = await connect(id);
      device.say({ type: 'telemetry', seq: 1, stream: 'environment', readings: [{ light: 7 }] });
      expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
      expect(await hub.call('GET', path)).toMatchObject({ id, presence: { state: 'online' } });
      device.close();
    }
    expect(devices).toContain('constructor');
  });
});

describe('in what is said of a device', () => {
  it('is refused, or kept as it is', async () => {
    await connect('tagged');
    for (const text of HOSTILE_STRINGS) {
      const named = await statusOf('PATCH', '/v1/devices/tagged', { tags: { [text]: 'x' } });
      expect([200, 400], text).toContain(named);
      const changed = await statusOf('PATCH', '/v1/devices/tagged', { tags: { place: text }, description: text });
      expect(changed, text).toBe(/[\p{Cc}\p{Cs}]/u.test(text) || text.length > 500 ? 400 : 200);
      if (changed !== 200) continue;
      const { tags } = await hub.call<{ tags: Record<string, string> }>('GET', '/v1/devices/tagged');
      expect(tags).toEqual({ place: text });
    }
  });
});

describe('in a frame', () => {
  it('is rejected as a stream and as a field', async () => {
    const device = await connect('stranger');
    let seq = 0;
    for (const name of HOSTILE_STRINGS) {
      if (name.length <= 64 && ++seq) device.say({ type: 'telemetry', seq, stream: name, readings: [{ light: 1 }] });
      const reading = Object.fromEntries([[name === 'ts' || name === 'age' ? `${name} ` : name, 'x']]);
      device.say({ type: 'telemetry', seq: ++seq, stream: 'notes', readings: [reading] });
    }
    const rejected = new Set<number>();
    for (let acked = 0; acked < seq; ) {
      const answer = await device.next();
      if (answer.type === 'reject') rejected.add(Number(answer.seq));
      else if (answer.type === 'ack') acked = Number(answer.seq);
    }
    expect(rejected.size).toBe(seq);
    device.close();
  });

  it('is stored as it was said when it is a text', async () => {
    const device = await connect('writer');
    const start = Date.now() - 60_000;
    const texts = HOSTILE_STRINGS.filter((text) => text.length <= 1_000);
    const readings = texts.map((text, at) => ({ ts: start + at, text, colour: COLOURS[at % COLOURS.length] }));
    device.say({ type: 'telemetry', seq: 1, stream: 'notes', readings });
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    const rows = async () => {
      const path = `/v1/devices/writer/telemetry?stream=notes&from=${start}&order=asc&limit=1000`;
      return (await hub.call<{ rows: unknown[] }>('GET', path)).rows;
    };
    await expect.poll(async () => (await rows()).length).toBe(readings.length);
    expect(await rows()).toEqual(readings.map((reading) => ({ ...reading, text: reading.text.toWellFormed() })));
    device.close();
  });
});

describe('at the door', () => {
  it('opens nothing', async () => {
    for (const text of HOSTILE_STRINGS) {
      const header = text.replace(/[^\t\x20-\x7e]/g, '');
      const token = header.replaceAll(' ', '') || 'x';
      expect((await refusal(hub, { token })).status).toBeOneOf([401, 429]);
      expect((await refusal(hub, { token: 'x', headers: { origin: `https://${header}` } })).status).toBe(403);
      const query = new URLSearchParams({ stream: text.toWellFormed(), fields: text.toWellFormed() });
      expect(await statusOf('GET', `/v1/devices/writer/telemetry?${query}`), text).toBe(400);
      expect(await statusOf('GET', `/v1/quarantine?device=${encodeURIComponent(text.toWellFormed())}`)).toBeOneOf([
        200, 400, 404,
      ]);
    }
  });
});

describe('afterwards', () => {
  const column = async (query: string) => {
    const found = await influxd.query(query, 'telemetry');
    return new Set(found.flatMap(({ values }) => values.map((row) => row.at(-1))));
  };

  it('InfluxDB has the measurements, tags and devices that there are, and no others', async () => {
    expect(await column('SHOW MEASUREMENTS')).toEqual(new Set(['environment', 'notes']));
    const tagged = await column('SHOW TAG VALUES WITH KEY = device');
    expect([...devices]).toEqual(expect.arrayContaining([...tagged]));
    expect(tagged).toContain('writer');
    expect(await column('SHOW TAG VALUES WITH KEY = colour')).toEqual(new Set(COLOURS));
    const fields = await influxd.query('SHOW FIELD KEYS', 'telemetry');
    const names = new Set(fields.flatMap(({ values }) => values.map(([name]) => String(name))));
    expect(FIELDS).toEqual(expect.arrayContaining([...names]));
  });

  it('the broker has carried topics of the devices and streams that there are, with JSON in them', async () => {
    await expect.poll(() => heard).toContain('hub/writer/telemetry/notes');
    const messages = heard.split('\n').filter((line) => line.startsWith('{'));
    expect(messages.length).toBeGreaterThan(HOSTILE_STRINGS.length / 2);
    for (const message of messages) {
      const { topic } = JSON.parse(message) as { topic: string };
      const [root, device = '', kind, stream = ''] = topic.split('/');
      expect(root).toBe('hub');
      if (device === '$state') continue;
      expect(devices, topic).toContain(device);
      expect(kind).toBeOneOf(['status', 'telemetry']);
      expect(stream).toBeOneOf(kind === 'status' ? [''] : ['environment', 'notes']);
    }
  });

  it('every line of the log is an entry of the hub, none of them forged and none an alarm', () => {
    const entries = hub
      .log()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const { level, msg, time } of entries) {
      expect(level).toBeLessThan(50);
      expect(msg).toEqual(expect.any(String));
      expect(Date.parse(time)).not.toBeNaN();
      expect(msg).not.toBe('forged');
    }
  });
});
