/** What a Home Assistant on a real Mosquitto sees of the hub's devices, and what it can tell them. */
import { afterEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { render, renderPayload } from '../helpers/jinja.ts';
import { type Mosquitto, startMosquitto } from '../helpers/mosquitto.ts';
import { type Answer, connectRaw, type RawDevice } from '../helpers/raw-device.ts';

const CONFIG = 'homeassistant/device/meter-7/config';
/** Keeps retained messages over a restart. */
const PERSISTENT = 'allow_anonymous true\npersistence true\npersistence_location {dir}/\nautosave_interval 1';

interface Entity {
  state_topic: string;
  value_template: string;
  command_topic: string;
  command_template: string;
  payload_press: string;
}

interface Discovery {
  device: { name: string };
  availability: { topic: string; value_template?: string }[];
  components: Record<string, Entity>;
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(config?: string, options: Record<string, string> = {}) {
  const mosquitto = await startMosquitto(config === undefined ? {} : { config });
  cleanups.push(() => mosquitto.remove());
  options.HUB_MQTT__BROKERS = JSON.stringify([{ url: mosquitto.url }]);
  options.HUB_MQTT__HOME_ASSISTANT__ENABLED = 'true';
  const hub = await startTestHub(options);
  cleanups.push(() => hub.dispose());
  return { mosquitto, hub };
}

async function send(device: RawDevice, seq: number, reading: Record<string, unknown>, stream = 'environment') {
  device.say({ type: 'telemetry', seq, stream, readings: [{ ts: Date.now(), ...reading }] });
  await until(device, ({ type }) => type === 'ack');
}

async function until(device: RawDevice, fits: (answer: Answer) => boolean): Promise<Answer> {
  for (;;) {
    const answer = await device.next();
    if (fits(answer)) return answer;
  }
}

const connect = async (hub: TestHub) => connectRaw(hub, { token: await hub.addDevice('meter-7') });

/** The announcement that has this component. */
async function announcement(mosquitto: Mosquitto, component: string): Promise<Discovery> {
  const listener = await mosquitto.listen('homeassistant/#');
  const { payload } = await listener.until(({ topic, payload }) => topic === CONFIG && payload.includes(component));
  await listener.stop();
  return JSON.parse(payload);
}

describe('Home Assistant', () => {
  it('finds a device with what it sent, reads its values and its availability', async () => {
    const { mosquitto, hub } = await start();
    const listener = await mosquitto.listen('hub/#');
    const device = await connect(hub);
    await send(device, 1, { temperature: 21.5, occupied: true });
    const { availability, components } = await announcement(mosquitto, 'telemetry_environment_temperature');
    expect(Object.keys(components).filter((key) => key.startsWith('telemetry_'))).toEqual([
      'telemetry_environment_temperature',
      'telemetry_environment_occupied',
    ]);
    const { state_topic, value_template } = components.telemetry_environment_temperature!;
    const { payload } = await listener.until(({ topic }) => topic === state_topic);
    expect(renderPayload(value_template, payload)).toBe('21.5');
    expect(renderPayload(components.telemetry_environment_occupied!.value_template, payload)).toBe('ON');
    // A reading without the field changes nothing.
    expect(renderPayload(value_template, '{"ts":1}')).toBe('');
    expect(renderPayload(components.telemetry_environment_occupied!.value_template, '{"ts":1}')).toBe('');

    const [ofHub, ofDevice] = availability;
    await listener.until(({ topic, payload }) => topic === ofHub!.topic && payload === 'online');
    const presence = await listener.until(({ topic, payload }) => topic === ofDevice!.topic && payload === 'online');
    expect(renderPayload(ofDevice!.value_template!, presence.payload)).toBe('online');
    expect(renderPayload(ofDevice!.value_template!, 'silent')).toBe('offline');
  });

  it('finds each new field, and the new name of a device', async () => {
    const { mosquitto, hub } = await start();
    const device = await connect(hub);
    await send(device, 1, { temperature: 21.5 });
    await announcement(mosquitto, 'telemetry_environment_temperature');
    await send(device, 2, { humidity: 50 });
    await announcement(mosquitto, 'telemetry_environment_humidity');
    await hub.call('PATCH', '/v1/devices/meter-7', { description: 'Kitchen' });
    expect((await announcement(mosquitto, 'Kitchen')).device.name).toBe('Kitchen');
  });

  it('hears everything again when it is born', async () => {
    const { mosquitto, hub } = await start();
    await send(await connect(hub), 1, { temperature: 21.5 });
    await announcement(mosquitto, 'telemetry_environment_temperature');
    const listener = await mosquitto.listen(CONFIG);
    await listener.until(({ retain }) => retain);
    await mosquitto.publish('homeassistant/status', 'online');
    await listener.until(({ retain }) => !retain);
  });

  it('presses a button and sets a number, and sees the number that the device answered', async () => {
    const { mosquitto, hub } = await start();
    const device = await connect(hub);
    await send(device, 1, { temperature: 21.5 });
    const { components } = await announcement(mosquitto, 'command_set-interval');
    const reboot = components.command_reboot!;
    await mosquitto.publish(reboot.command_topic, reboot.payload_press);
    expect(await until(device, ({ type }) => type === 'command')).toMatchObject({ name: 'reboot', params: {} });

    const interval = components['command_set-interval']!;
    await mosquitto.publish(interval.command_topic, render(interval.command_template, { value: 2.5 }));
    const command = await until(device, ({ name }) => name === 'set-interval');
    expect(command.params).toEqual({ seconds: 2.5 });
    const listener = await mosquitto.listen(interval.state_topic);
    device.say({ type: 'result', id: command.id, ok: true, value: { seconds: 2 } });
    const { payload } = await listener.until(() => true);
    expect(renderPayload(interval.value_template, payload)).toBe('2');
    expect(renderPayload(interval.value_template, '{"id":"x","state":"failed"}')).toBe('None');
  });

  it('forgets a device that is removed, also while the broker is away', async () => {
    const { mosquitto, hub } = await start(PERSISTENT);
    await send(await connect(hub), 1, { temperature: 21.5 });
    await announcement(mosquitto, 'telemetry_environment_temperature');
    const listener = await mosquitto.listen(CONFIG);
    await listener.until(({ payload }) => payload !== '');
    await hub.call('DELETE', '/v1/devices/meter-7');
    await listener.until(({ payload }) => payload === '');

    await send(await connect(hub), 1, { temperature: 21.5 });
    await announcement(mosquitto, 'telemetry_environment_temperature');
    await mosquitto.stop();
    await hub.call('DELETE', '/v1/devices/meter-7');
    await mosquitto.start();
    const after = await mosquitto.listen('homeassistant/#');
    await after.until(({ topic, payload }) => topic === CONFIG && payload === '', 40_000);
  });

  it('forgets every device when it is switched off or gets another prefix, and finds them again', async () => {
    const options: Record<string, string> = {};
    const { mosquitto, hub } = await start(undefined, options);
    await send(await connect(hub), 1, { temperature: 21.5 });
    await announcement(mosquitto, 'telemetry_environment_temperature');
    const { brokers } = await hub.call<{ brokers: { announced: number }[] }>('GET', '/v1/bridge');
    expect(brokers[0]!.announced).toBeGreaterThan(0);
    const listener = await mosquitto.listen('+/device/meter-7/config');
    const last = async (topic: string, isThere: boolean) => {
      const latest = () => listener.heard.findLast((message) => message.topic === topic)?.payload !== '';
      await expect.poll(latest).toBe(isThere);
    };
    await listener.until(({ topic }) => topic === CONFIG);
    const restart = async (change: Record<string, string>) => {
      await hub.stop();
      Object.assign(options, change);
      await hub.start();
    };
    await restart({ HUB_MQTT__HOME_ASSISTANT__ENABLED: 'false' });
    await last(CONFIG, false);
    await restart({ HUB_MQTT__HOME_ASSISTANT__ENABLED: 'true' });
    await last(CONFIG, true);
    await restart({ HUB_MQTT__HOME_ASSISTANT__PREFIX: 'ha' });
    await last(CONFIG, false);
    await listener.until(({ topic, payload }) => topic === 'ha/device/meter-7/config' && payload !== '');
  });
});

describe('hub config check', () => {
  it('refuses a payload in which Home Assistant would not find the fields', async () => {
    const started = startTestHub({
      HUB_MQTT__HOME_ASSISTANT__ENABLED: 'true',
      HUB_MQTT__PAYLOAD: '{"data":{reading}}',
    });
    await expect(started).rejects.toThrow(/mqtt.payload.*must be empty with homeAssistant.enabled/s);
  });
});
