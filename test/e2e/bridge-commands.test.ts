/** Commands over a real Mosquitto from a client that is not ours: answered, refused with a reason, never run twice. */
import { afterEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from '../../hub/audit/audit.ts';
import type { Command } from '../../hub/commands/command.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { startMosquitto } from '../helpers/mosquitto.ts';
import { type Paho, startPaho } from '../helpers/paho.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(broker: object = {}, config = 'allow_anonymous true') {
  const mosquitto = await startMosquitto({ config });
  cleanups.push(() => mosquitto.remove());
  const brokers = JSON.stringify([{ name: 'home', url: mosquitto.url, ...broker }]);
  const hub = await startTestHub({ HUB_MQTT__BROKERS: brokers, HUB_MQTT__HUB_ID: 'hub-a' });
  cleanups.push(() => hub.dispose());
  await connected(hub);
  const token = await hub.addDevice('meter');
  return { mosquitto, hub, token };
}

async function client(port: number, version: 5 | 4 = 5): Promise<Paho> {
  const paho = await startPaho(port, version);
  cleanups.push(() => paho.close());
  return paho;
}

async function connected(hub: TestHub): Promise<void> {
  const state = async () => (await hub.call<{ brokers: { state: string }[] }>('GET', '/v1/bridge')).brokers[0]!.state;
  await expect.poll(state, { interval: 50 }).toBe('connected');
}

/** A device that takes the next command; `answer` says how it ended. */
async function device(hub: TestHub, token: string) {
  const raw = await connectRaw(hub, { token });
  cleanups.push(() => raw.close());
  raw.say({ type: 'hello', epoch: 'e1' });
  return {
    async command() {
      for (let frame = await raw.next(); ; frame = await raw.next()) if (frame.type === 'command') return frame;
    },
    answer: (id: unknown, frame: object) => raw.say({ type: 'result', id, ...frame }),
  };
}

const commandsOf = async (hub: TestHub) =>
  (await hub.call<{ commands: Command[] }>('GET', '/v1/devices/meter/commands')).commands;

describe('a command from an MQTT client', () => {
  it('is run, and answered on its response topic with its correlation', async () => {
    const { mosquitto, hub, token } = await start();
    const meter = await device(hub, token);
    const paho = await client(mosquitto.port);
    await paho.subscribe('app/answers');
    await paho.subscribe('hub/meter/result/#');
    await paho.publish({
      ...{ topic: 'hub/meter/command/set-interval', payload: '{"seconds":5}', expiry: 600 },
      ...{ responseTopic: 'app/answers', correlation: '00ff10', user: [['client', 'panel-3']] },
    });
    const command = await meter.command();
    expect(command).toMatchObject({ name: 'set-interval', params: { seconds: 5 } });
    meter.answer(command.id, { ok: true, value: { seconds: 5 } });
    const answer = await paho.until(({ topic }) => topic === 'app/answers');
    expect(answer).toMatchObject({ correlation: '00ff10', contentType: 'application/json', user: [['hub', 'hub-a']] });
    const result = {
      id: command.id,
      state: 'succeeded',
      device: 'meter',
      command: 'set-interval',
      value: { seconds: 5 },
    };
    expect(JSON.parse(answer.payload)).toEqual(result);
    const told = await paho.until(({ topic }) => topic === 'hub/meter/result/set-interval');
    expect(JSON.parse(told.payload)).toEqual(result);
    const [stored] = await commandsOf(hub);
    expect(stored).toMatchObject({ actor: 'mqtt:home/panel-3', expiresAt: stored!.createdAt + 600_000 });
    await expect
      .poll(() => hub.call('GET', '/v1/bridge'))
      .toMatchObject({ commands: [{ broker: 'home', received: 1, sent: 1, refused: 0, told: 2, waiting: 0 }] });
    const entries = async () => (await hub.call<{ entries: AuditEntry[] }>('GET', '/v1/audit?target=meter')).entries;
    await expect
      .poll(entries)
      .toContainEqual(
        expect.objectContaining({ actor: 'mqtt:home/panel-3', action: 'command.send', result: 'ok', from: 'home' }),
      );
  });

  it('over MQTT 3.1.1 is run, and its end is told on the result topic', async () => {
    const { mosquitto, hub, token } = await start({ version: 4 });
    const meter = await device(hub, token);
    const paho = await client(mosquitto.port, 4);
    await paho.subscribe('hub/meter/result/identify');
    await paho.publish({ topic: 'hub/meter/command/identify', payload: '' });
    const { id } = await meter.command();
    meter.answer(id, { ok: false, error: { code: 'lamp', message: 'it is broken' } });
    const { payload } = await paho.until(({ topic }) => topic === 'hub/meter/result/identify');
    expect(JSON.parse(payload)).toMatchObject({ id, state: 'failed', error: { code: 'lamp' } });
  });

  it.each<[string, string, object, string]>([
    ['params that do not fit', 'set-interval', { payload: '{"seconds":"often"}' }, 'params/seconds must be number'],
    ['a payload that is not JSON', 'identify', { payload: 'now' }, 'not JSON'],
    ['a payload of bytes', 'identify', { bytes: 'fffe00' }, 'not JSON'],
    ['an unknown command', 'dance', { payload: '' }, 'none of the commands'],
  ])('is refused at once with a reason: %s', async (_, name, message, why) => {
    const { mosquitto, hub } = await start();
    const paho = await client(mosquitto.port);
    await paho.subscribe('app/answers');
    await paho.publish({
      topic: `hub/meter/command/${name}`,
      ...message,
      responseTopic: 'app/answers',
      correlation: '01',
    });
    const { payload, correlation } = await paho.until(() => true);
    expect(correlation).toBe('01');
    expect(JSON.parse(payload)).toMatchObject({
      ...{ state: 'rejected', device: 'meter', command: name },
      error: { message: expect.stringContaining(why) },
    });
    expect(await commandsOf(hub)).toEqual([]);
  });

  it('cannot make the hub command others, or itself, by a response topic', async () => {
    const { mosquitto, hub } = await start();
    const paho = await client(mosquitto.port);
    await paho.subscribe('#');
    await paho.publish({
      ...{ topic: 'hub/meter/command/identify', payload: '{"seconds":1}' },
      responseTopic: 'hub/meter/command/reboot',
    });
    const { payload } = await paho.until(({ topic }) => topic === 'hub/meter/result/identify');
    expect(JSON.parse(payload)).toMatchObject({
      state: 'rejected',
      error: { message: expect.stringContaining('own') },
    });
    expect(paho.heard.filter(({ topic }) => topic.includes('reboot'))).toEqual([]);
    expect(await commandsOf(hub)).toEqual([]);
  });

  it('is answered after the hub was killed and the broker was away', async () => {
    const keeps = 'allow_anonymous true\npersistence true\npersistence_location {dir}/\nautosave_interval 1';
    const { mosquitto, hub, token } = await start({}, keeps);
    const meter = await device(hub, token);
    const asking = await client(mosquitto.port);
    await asking.publish({
      ...{ topic: 'hub/meter/command/set-interval', payload: '{"seconds":5}' },
      ...{ responseTopic: 'app/answers', correlation: '0a' },
    });
    const { id } = await meter.command();
    await asking.close();
    await mosquitto.stop();
    meter.answer(id, { ok: true, value: { seconds: 5 } });
    await expect.poll(async () => (await commandsOf(hub))[0]?.state).toBe('succeeded');
    await hub.kill();
    await mosquitto.start();
    const paho = await client(mosquitto.port);
    await paho.subscribe('app/answers');
    await hub.start();
    const { payload, correlation } = await paho.until(() => true);
    expect(JSON.parse(payload)).toMatchObject({ id, state: 'succeeded' });
    expect(correlation).toBe('0a');
  });

  it('that the broker has acknowledged is there, once, however often the hub is killed', async () => {
    const { mosquitto, hub } = await start();
    const paho = await client(mosquitto.port);
    const total = 40;
    const seconds = Array.from({ length: total }, (_, index) => index + 1);
    for (let round = 0; round < 4; round++) {
      const part = seconds.slice(round * 10, round * 10 + 10);
      const published = paho.publish(
        ...part.map((second) => ({ topic: 'hub/meter/command/identify', payload: `{"seconds":${second}}` })),
      );
      await new Promise((resolve) => setTimeout(resolve, round * 7));
      await hub.kill();
      await published;
      await hub.start();
    }
    await connected(hub);
    await expect.poll(async () => (await commandsOf(hub)).length).toBe(total);
    const ran = (await commandsOf(hub)).map(({ params }) => params.seconds as number);
    expect(ran.sort((a, b) => a - b)).toEqual(seconds);
  }, 180_000);
});
