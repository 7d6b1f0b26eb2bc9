/** The bridge against a real Mosquitto: every acknowledged reading arrives, presence is retained, outages cost nothing. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { selfSignedCertificate } from '../../hub/gateway/certificate.selfsigned.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type MosquittoOptions, startMosquitto } from '../helpers/mosquitto.ts';
import { startMqttTap } from '../helpers/mqtt-tap.ts';
import { connectRaw, type RawDevice } from '../helpers/raw-device.ts';

/** Keeps retained messages and sessions when it is killed, too. */
const PERSISTENT =
  'allow_anonymous true\npersistence true\npersistence_location {dir}/\nautosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0';
/** `hub` with the password of `PASSWORD`, as mosquitto_passwd writes it. */
const PASSWORD = 'fox-in-the-snow';
const WITH_PASSWORD: MosquittoOptions = {
  config: 'allow_anonymous false\npassword_file {dir}/passwd',
  files: {
    passwd:
      'hub:$7$101$X1DfCG/dtr0u/03+$FpPoeDoYzP1BNp+oSM9tnaeJWFeSCpo8KKmRHbjG9TFPIMBlqjeh01tJrj22crNKWWWyZQW0q76EuDh/z/iiuA==\n',
  },
};

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(broker: object = {}, options?: MosquittoOptions, env: Record<string, string> = {}) {
  const mosquitto = await startMosquitto(options);
  cleanups.push(() => mosquitto.remove());
  const brokers = JSON.stringify([{ url: mosquitto.url, ...broker }]);
  const hub = await startTestHub({ HUB_MQTT__BROKERS: brokers, HUB_MQTT__HUB_ID: 'test', ...env });
  cleanups.push(() => hub.dispose());
  return { mosquitto, hub };
}

/** A device that sends numbered readings and waits for their acknowledgement. */
async function startDevice(hub: TestHub, id: string) {
  const token = await hub.addDevice(id);
  let device: RawDevice = await connectRaw(hub, { token });
  let seq = 0;
  return {
    /** Resolves when they are acknowledged; each has another `light`, counting up from `from`. */
    async send(count: number, from: number) {
      seq += 1;
      const readings = Array.from({ length: count }, (_, at) => ({
        ts: Date.now() - count + at,
        light: from + at,
      }));
      device.say({ type: 'telemetry', seq, stream: 'environment', readings });
      for (let answer = await device.next(); answer.seq !== seq; ) answer = await device.next();
    },
    async reconnect() {
      device = await connectRaw(hub, { token });
      seq = 0;
    },
    close: () => device.close(),
  };
}

const numberIn = (payload: string) => Number(JSON.parse(payload).light);

/** The numbers in the order in which they first came, and whether each repetition went back to one known. */
function firsts(numbers: number[]): number[] {
  return [...new Set(numbers)];
}

interface Bridge {
  brokers: Record<string, unknown>[];
}

async function stateOf(hub: TestHub) {
  const { brokers } = await hub.call<Bridge>('GET', '/v1/bridge');
  return brokers[0]!;
}

async function until(isTrue: () => Promise<boolean>) {
  const deadline = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function metricsOf(hub: TestHub) {
  const response = await fetch(`${hub.api}/metrics`, { headers: { authorization: `Bearer ${hub.adminToken}` } });
  return response.text();
}

const connected = (hub: TestHub) => until(async () => (await stateOf(hub)).state === 'connected');

describe('the bridge to a broker', () => {
  it('publishes every acknowledged reading, in order, with the hub and the origin as user properties', async () => {
    const { mosquitto, hub } = await start();
    const listener = await mosquitto.listen('hub/#');
    const device = await startDevice(hub, 'meter-7');
    await connected(hub);
    await device.send(500, 0);
    await device.send(500, 500);
    await listener.until(({ payload }) => payload.includes('"light":999'));
    const readings = listener.heard.filter(({ topic }) => topic === 'hub/meter-7/telemetry/environment');
    expect(firsts(readings.map(({ payload }) => numberIn(payload)))).toEqual(
      Array.from({ length: 1_000 }, (_, at) => at),
    );
    expect(await stateOf(hub)).toMatchObject({ name: mosquitto.name, version: 5, state: 'connected', refused: 0 });
    await until(async () => Number((await stateOf(hub)).published) >= 1_000);
    const text = await metricsOf(hub);
    expect(text).toContain(`hub_mqtt_connected{broker="${mosquitto.name}"} 1`);
    expect(text).toMatch(/hub_mqtt_published_total\{broker="[^"]+"\} 1\d\d\d/);
  });

  it('marks each message with the hub and where it came from', async () => {
    const { mosquitto, hub } = await start();
    const listener = await mosquitto.listen('hub/+/telemetry/#', ['-F', '%j', '-F', '{"topic":%j,"payload":"%P"}']);
    const device = await startDevice(hub, 'meter-7');
    await connected(hub);
    await device.send(1, 0);
    const { payload } = await listener.until(() => true);
    expect(payload).toContain('hub:test');
    expect(payload).toContain('origin:device');
  });

  it('keeps the presence of each device retained, again after each change, and clears it with the device', async () => {
    const { mosquitto, hub } = await start();
    const device = await startDevice(hub, 'meter-7');
    await connected(hub);
    const listener = await mosquitto.listen('hub/#');
    await listener.until(
      ({ topic, payload, retain }) => topic === 'hub/meter-7/status' && payload === 'online' && retain,
    );
    await listener.until(({ topic, payload, retain }) => topic === 'hub/$state' && payload === 'online' && retain);
    device.close();
    await listener.until(({ topic, payload }) => topic === 'hub/meter-7/status' && payload === 'offline');
    const late = await mosquitto.listen('hub/+/status');
    await late.until(({ payload, retain }) => payload === 'offline' && retain);
    await hub.call('DELETE', '/v1/devices/meter-7');
    await listener.until(({ topic, payload }) => topic === 'hub/meter-7/status' && payload === '');
  });

  it('clears what a device left on a broker that was away when it was removed', async () => {
    const { mosquitto, hub } = await start({}, { config: PERSISTENT });
    await hub.addDevice('meter-7');
    await connected(hub);
    const before = await mosquitto.listen('hub/+/status');
    await before.until(({ payload }) => payload === 'offline');
    await mosquitto.stop();
    await hub.call('DELETE', '/v1/devices/meter-7');
    await hub.stop();
    await mosquitto.start();
    await hub.start();
    await connected(hub);
    const after = await mosquitto.listen('hub/#');
    await after.until(({ topic }) => topic === 'hub/$state');
    expect(after.heard.map(({ topic }) => topic)).not.toContain('hub/meter-7/status');
  });

  it('leaves a will: the hub is offline when it is killed, and when it stops', async () => {
    const { mosquitto, hub } = await start();
    await connected(hub);
    const listener = await mosquitto.listen('hub/$state');
    const times = (state: string) => listener.heard.filter(({ payload }) => payload === state).length;
    await listener.until(() => times('online') === 1);
    await hub.kill();
    await listener.until(() => times('offline') === 1);
    await hub.start();
    await listener.until(() => times('online') === 2);
    expect(await hub.stop()).toBe(0);
    await listener.until(() => times('offline') === 2);
  });

  it('begins with what comes after the broker was added', async () => {
    const mosquitto = await startMosquitto();
    cleanups.push(() => mosquitto.remove());
    const env: Record<string, string> = {};
    const hub = await startTestHub(env);
    cleanups.push(() => hub.dispose());
    const device = await startDevice(hub, 'meter-7');
    await device.send(10, 0);
    await hub.stop();
    env.HUB_MQTT__BROKERS = JSON.stringify([{ url: mosquitto.url }]);
    const listener = await mosquitto.listen('hub/+/telemetry/#');
    await hub.start();
    await device.reconnect();
    await device.send(1, 100);
    await hub.kill();
    await hub.start();
    await device.reconnect();
    await device.send(1, 101);
    await listener.until(({ payload }) => numberIn(payload) === 101);
    expect(firsts(listener.heard.map(({ payload }) => numberIn(payload)))).toEqual([100, 101]);
  });
});

describe('an outage of the broker', () => {
  it.each(['stopped', 'paused', 'killed'] as const)(
    'loses nothing and holds up nobody when it is %s',
    async (how) => {
      const { mosquitto, hub } = await start({ timeoutMs: 1_000 }, { config: PERSISTENT });
      const device = await startDevice(hub, 'meter-7');
      await connected(hub);
      // It connects again by itself, to a session that the broker kept.
      const session = ['-c', '-i', 'listener', '-x', '3600'];
      const listener = await mosquitto.listen('hub/+/telemetry/#', session);
      await device.send(200, 0);
      await listener.until(({ payload }) => numberIn(payload) === 199);
      if (how === 'paused') mosquitto.pause();
      else await (how === 'killed' ? mosquitto.kill() : mosquitto.stop());
      for (let at = 200; at < 1_000; at += 200) await device.send(200, at);
      const { rows } = await hub.call<{ rows: object[] }>(
        'GET',
        '/v1/devices/meter-7/telemetry?stream=environment&limit=1000',
      );
      expect(rows.length).toBeGreaterThan(200);
      await until(async () => (await stateOf(hub)).lastError !== undefined);
      const { brokers } = await hub.call<{ brokers: object[] }>('GET', '/v1/status');
      expect(brokers[0]).toMatchObject({ state: 'connecting', lastError: expect.any(String) });
      if (how === 'paused') mosquitto.resume();
      else await mosquitto.start();
      await listener.until(({ payload }) => numberIn(payload) === 999, 60_000);
      const numbers = firsts(listener.heard.map(({ payload }) => numberIn(payload)));
      expect(numbers).toEqual(Array.from({ length: 1_000 }, (_, at) => at));
    },
    120_000,
  );

  it('that comes again and again under load loses nothing and keeps the order', async () => {
    // Mosquitto acknowledges what it then forgets when it is killed, so it is the acknowledgements that count.
    const mosquitto = await startMosquitto();
    cleanups.push(() => mosquitto.remove());
    const tap = await startMqttTap(mosquitto.port);
    cleanups.push(() => tap.close());
    const hub = await startTestHub({ HUB_MQTT__BROKERS: JSON.stringify([{ url: tap.url }]) });
    cleanups.push(() => hub.dispose());
    const device = await startDevice(hub, 'meter-7');
    await connected(hub);
    let sent = 0;
    let isOver = false;
    const sending = (async () => {
      for (; !isOver; sent += 20) {
        await device.send(20, sent);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    for (let kills = 0; kills < 5; kills++) {
      const mark = sent + 200;
      await until(async () => numberIn(tap.acknowledged.at(-1) ?? '{"light":0}') > mark);
      await mosquitto.kill();
      await mosquitto.start();
    }
    isOver = true;
    await sending;
    await until(async () => tap.acknowledged.length > 0 && numberIn(tap.acknowledged.at(-1)!) === sent - 1);
    expect(firsts(tap.acknowledged.map(numberIn))).toEqual(Array.from({ length: sent }, (_, at) => at));
    expect((await stateOf(hub)).refused).toBe(0);
  });

  it('is followed by the presence that changed meanwhile', async () => {
    const { mosquitto, hub } = await start();
    const device = await startDevice(hub, 'meter-7');
    await connected(hub);
    await mosquitto.stop();
    device.close();
    await until(async () => (await stateOf(hub)).state === 'connecting');
    await mosquitto.start();
    await connected(hub);
    const listener = await mosquitto.listen('hub/meter-7/status');
    expect((await listener.until(() => true)).payload).toBe('offline');
  });
});

describe('a broker that asks who is there', () => {
  it('refuses a wrong password: the hub says so and goes on', async () => {
    const { hub } = await start({ username: 'hub', password: 'cat-on-the-roof' }, WITH_PASSWORD);
    const device = await startDevice(hub, 'meter-7');
    await device.send(10, 0);
    await until(async () => (await stateOf(hub)).state === 'refused');
    expect((await stateOf(hub)).lastError).toContain('passwordFile');
    await expect.poll(hub.log).toContain('refuses the hub until somebody acts');
    expect(hub.log()).not.toContain('cat-on-the-roof');
  });

  it('lets the right one in', async () => {
    const { hub } = await start({ username: 'hub', password: PASSWORD }, WITH_PASSWORD);
    await connected(hub);
    expect(hub.log()).not.toContain(PASSWORD);
  });
});

describe('a broker with a certificate', () => {
  it('is believed when its authority is named, and refused in words when it is not', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'broker-tls-'));
    cleanups.push(() => rm(dir, { recursive: true }));
    const { certFile, keyFile } = await selfSignedCertificate(dir);
    const cert = await readFile(certFile, 'utf8');
    const key = await readFile(keyFile, 'utf8');
    const options = {
      config: 'allow_anonymous true\ncertfile {dir}/cert.pem\nkeyfile {dir}/key.pem',
      files: { 'cert.pem': cert, 'key.pem': key },
    };
    const mosquitto = await startMosquitto(options);
    cleanups.push(() => mosquitto.remove());
    const brokers = [
      { name: 'known', url: `mqtts://localhost:${mosquitto.port}`, caFile: join(mosquitto.dir, 'cert.pem') },
      { name: 'unknown', url: `mqtts://localhost:${mosquitto.port}`, clientId: 'other' },
    ];
    const hub = await startTestHub({ HUB_MQTT__BROKERS: JSON.stringify(brokers) });
    cleanups.push(() => hub.dispose());
    await connected(hub);
    await until(async () => (await hub.call<Bridge>('GET', '/v1/bridge')).brokers[1]!.state === 'refused');
    const [, unknown] = (await hub.call<Bridge>('GET', '/v1/bridge')).brokers;
    expect(unknown!.lastError).toContain('name it by caFile');
  });
});
