/** What a Sparkplug B host on a real Mosquitto sees of the hub, decoded by Google's protoc, and what it can ask for. */
import { afterEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Listener, startMosquitto } from '../helpers/mosquitto.ts';
import { type DecodedPayload, decodeSparkplug, encodeSparkplug } from '../helpers/protoc.ts';
import { type Answer, connectRaw, type RawDevice } from '../helpers/raw-device.ts';

const NODE = 'spBv1.0/plant/NBIRTH/hub1';
const DATA = 'spBv1.0/plant/DDATA/hub1/meter-7';
/** The payload in hexadecimal digits. */
const AS_HEX = ['-F', '{"topic":"%t","payload":"%x","retain":%r}'];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start() {
  const mosquitto = await startMosquitto();
  cleanups.push(() => mosquitto.remove());
  const listener = await mosquitto.listen('spBv1.0/#', AS_HEX);
  const hub = await startTestHub({
    HUB_MQTT__BROKERS: JSON.stringify([{ url: mosquitto.url, name: 'plant', timeoutMs: 1_000 }]),
    HUB_MQTT__SPARKPLUG__ENABLED: 'true',
    HUB_MQTT__SPARKPLUG__GROUP: 'plant',
    HUB_MQTT__SPARKPLUG__NODE: 'hub1',
  });
  cleanups.push(() => hub.dispose());
  return { mosquitto, listener, hub };
}

const decoded = (payload: string): DecodedPayload => decodeSparkplug(Buffer.from(payload, 'hex'));
const kindOf = (topic: string) => topic.split('/').slice(2).join('/');
const bdSeqOf = ({ metrics }: DecodedPayload) => metrics.find(({ name }) => name === 'bdSeq')?.value;

/** Resolves to the first message of a topic, decoded. */
async function first(listener: Listener, wanted: string): Promise<DecodedPayload> {
  return decoded((await listener.until(({ topic }) => topic === wanted, 40_000)).payload);
}

async function until(device: RawDevice, fits: (answer: Answer) => boolean): Promise<Answer> {
  for (;;) {
    const answer = await device.next();
    if (fits(answer)) return answer;
  }
}

/** A device that sends numbered readings and waits for their acknowledgement. */
async function startDevice(hub: TestHub, token?: string) {
  const mine = token ?? (await hub.addDevice('meter-7'));
  const device = await connectRaw(hub, { token: mine });
  let seq = 0;
  return {
    ...device,
    token: mine,
    async send(from: number, count: number) {
      for (let at = 0; at < count; at++) {
        seq += 1;
        const readings = [{ ts: Date.now(), power: from + at }];
        device.say({ type: 'telemetry', seq, stream: 'power', readings });
        await until(device, (answer) => answer.type === 'ack' && answer.seq === seq);
        // Two readings of one time are one.
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
  };
}

/** The values of `power/power`, in the order in which they came; of a message that is no data, none. */
const powers = (listener: Listener) =>
  listener.heard
    .filter(({ topic }) => topic === DATA)
    .flatMap(({ payload }) => decoded(payload).metrics)
    .flatMap(({ name, value }) => (name === 'power/power' ? [Number(value)] : []));

const linked = (hub: TestHub, state: string) =>
  expect
    .poll(async () => {
      const { brokers } = await hub.call<{ brokers: { name: string; state: string }[] }>('GET', '/v1/bridge');
      return brokers.find(({ name }) => name === 'sparkplug-plant')?.state;
    })
    .toBe(state);

describe('a Sparkplug host', () => {
  it('sees births, data and deaths without a gap in their count', async () => {
    const { listener, hub } = await start();
    await linked(hub, 'connected');
    const device = await startDevice(hub);
    await device.send(1, 5);
    device.close();
    await first(listener, 'spBv1.0/plant/DDEATH/hub1/meter-7');
    const kinds = listener.heard.map(({ topic }) => kindOf(topic));
    expect(kinds[0]).toBe('NBIRTH/hub1');
    expect(kinds[1]).toBe('DBIRTH/hub1/meter-7');
    expect(kinds.at(-1)).toBe('DDEATH/hub1/meter-7');
    expect(powers(listener)).toEqual([1, 2, 3, 4, 5]);
    const counts = listener.heard.map(({ payload }) => decoded(payload).seq);
    expect(counts).toEqual(counts.map((_, at) => at));
    expect(listener.heard.some(({ retain }) => retain)).toBe(false);
  });

  it('sees the death of a hub that is killed, the one of its birth, and the next birth', async () => {
    const { listener, hub } = await start();
    const birth = await first(listener, NODE);
    await hub.kill();
    const death = await first(listener, 'spBv1.0/plant/NDEATH/hub1');
    expect(bdSeqOf(death)).toBe(bdSeqOf(birth));
    expect(death.seq).toBeUndefined();
    await hub.start();
    await listener.until(({ topic, payload }) => topic === NODE && bdSeqOf(decoded(payload)) !== bdSeqOf(birth));
  });

  it('sees the death of a hub that stops', async () => {
    const { listener, hub } = await start();
    const birth = await first(listener, NODE);
    await hub.stop();
    expect(bdSeqOf(await first(listener, 'spBv1.0/plant/NDEATH/hub1'))).toBe(bdSeqOf(birth));
  });

  it('asks for the births again', async () => {
    const { mosquitto, listener, hub } = await start();
    await linked(hub, 'connected');
    const rebirth = 'timestamp: 1 metrics { name: "Node Control/Rebirth" datatype: 11 boolean_value: true }';
    await mosquitto.publish('spBv1.0/plant/NCMD/hub1', encodeSparkplug(rebirth));
    await expect.poll(() => listener.heard.filter(({ topic }) => topic === NODE).length).toBe(2);
    const births = listener.heard.filter(({ topic }) => topic === NODE).map(({ payload }) => decoded(payload));
    expect(births.map(({ seq }) => seq)).toEqual([0, 0]);
    expect(new Set(births.map(bdSeqOf)).size).toBe(1);
  });

  it('commands a device, once, and sees the value it has set', async () => {
    const { mosquitto, listener, hub } = await start();
    await linked(hub, 'connected');
    const device = await startDevice(hub);
    await device.send(1, 1);
    const payload = encodeSparkplug(
      'timestamp: 1700000000000 metrics { name: "commands/set-interval/seconds" datatype: 10 double_value: 5 }',
    );
    await mosquitto.publish('spBv1.0/plant/DCMD/hub1/meter-7', payload);
    await mosquitto.publish('spBv1.0/plant/DCMD/hub1/meter-7', payload);
    const command = await until(device, ({ type }) => type === 'command');
    expect(command).toMatchObject({ name: 'set-interval', params: { seconds: 5 } });
    device.say({ type: 'result', id: command.id, ok: true, value: { seconds: 5 } });
    const echo = await listener.until(({ topic, payload }) => topic === DATA && payload.includes(hex('set-interval')));
    expect(decoded(echo.payload).metrics).toMatchObject([{ name: 'commands/set-interval/seconds', value: 5 }]);
    const { commands } = await hub.call<{ commands: { actor: string }[] }>('GET', '/v1/commands?device=meter-7');
    expect(commands.map(({ actor }) => actor)).toEqual(['mqtt:sparkplug-plant']);
    const entries = async () => (await hub.call<{ entries: object[] }>('GET', '/v1/audit?target=meter-7')).entries;
    await expect
      .poll(entries)
      .toContainEqual(expect.objectContaining({ actor: 'mqtt:sparkplug-plant', action: 'command.send', result: 'ok' }));
  });

  it('gets every acknowledged reading over a broker that stands still, and over kills of the hub', async () => {
    const { mosquitto, listener, hub } = await start();
    await linked(hub, 'connected');
    const device = await startDevice(hub);
    await device.send(1, 20);
    mosquitto.pause();
    await device.send(21, 40);
    await expect.poll(() => hub.log()).toContain('a sink is not available');
    mosquitto.resume();
    await device.send(61, 20);
    await hub.kill();
    await hub.start();
    const again = await startDevice(hub, device.token);
    await again.send(81, 20);
    const all = Array.from({ length: 100 }, (_, at) => at + 1);
    await expect.poll(() => listener.heard.some(({ payload }) => payload.includes(hexOfDouble(100)))).toBe(true);
    // At least once: the same may come again, and nothing is missing.
    expect([...new Set(powers(listener))].sort((a, b) => a - b)).toEqual(all);
  });
});

const hex = (text: string) => Buffer.from(text).toString('hex');

function hexOfDouble(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes.toString('hex');
}
