/** Notices reach their channels in order, after failures and restarts, and nothing waits without bound. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Notice } from '../../hub/alerts/alert.ts';
import { type Channel, NeverTaken } from '../../hub/alerts/channel.ts';
import { createDeliveries, type Deliveries, type DeliveryOptions } from '../../hub/alerts/deliveries.ts';
import { createMqttChannel } from '../../hub/alerts/mqtt-channel.ts';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane } from '../../hub/backplane/backplane.ts';
import { Unavailable } from '../../hub/kit/errors.ts';

let backplane: Backplane;
let deliveries: Deliveries;
let taken: string[];
/** What each attempt throws, by notice; it stays until it is taken away. */
let faults: Map<string, Error>;
let logged: string[];

const notice = (name: string): Notice => ({
  ...{ notice: name, id: name, rule: 'hot', kind: 'field', severity: 'warning', state: 'firing', device: 'a' },
  ...{ since: 1, summary: name, description: '' },
});

const channel = (name: string): Channel => ({
  name,
  kind: 'webhook',
  async send(each) {
    const fault = faults.get(each.notice);
    if (fault) throw fault;
    taken.push(`${name} ${each.notice}`);
  },
});

function start(options: DeliveryOptions = {}): void {
  const say = (_: object, message: string) => void logged.push(message);
  deliveries = createDeliveries(
    {
      channels: [channel('x'), channel('y')],
      table: backplane.table('notices'),
      log: { error: say, warn: say, info: say },
    },
    { retryBaseMs: 1, retryMaxMs: 5, ...options },
  );
}

beforeEach(() => {
  backplane = openBackplane(':memory:');
  [taken, logged, faults] = [[], [], new Map()];
  start();
});
afterEach(() => deliveries.close());

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}
const stored = () => backplane.table('notices').size;

describe('the queue of notices', () => {
  it('brings each notice to every channel, or to those that are named', async () => {
    await deliveries.tell(notice('1'));
    await deliveries.tell(notice('2'), ['y', 'gone']);
    await until(() => taken.length === 3 && stored() === 0);
    expect(taken.sort()).toEqual(['x 1', 'y 1', 'y 2']);
  });

  it('tries again in order while a receiver is away, and another channel does not wait for it', async () => {
    faults.set('1', new Unavailable('away'));
    await deliveries.tell(notice('1'), ['x']);
    await deliveries.tell(notice('2'), ['x']);
    await deliveries.tell(notice('3'), ['y']);
    await until(() => taken.length === 1 && deliveries.status()[0]!.lastError !== undefined);
    expect(deliveries.status()[0]).toMatchObject({ name: 'x', waiting: 2, delivered: 0, lastError: 'away' });
    faults.clear();
    await until(() => stored() === 0 && deliveries.status()[0]!.delivered === 2);
    expect(taken).toEqual(['y 3', 'x 1', 'x 2']);
    expect(deliveries.status()[0]).not.toHaveProperty('lastError');
    expect(logged).toEqual([expect.stringContaining('tried again'), expect.stringContaining('takes notices again')]);
  });

  it('goes on after a restart with what is stored', async () => {
    faults.set('1', new Unavailable('away'));
    await deliveries.tell(notice('1'), ['x']);
    await deliveries.tell(notice('2'), ['x']);
    await deliveries.close();
    expect([taken, stored()]).toEqual([[], 2]);
    faults.clear();
    start();
    await until(() => stored() === 0);
    expect(taken).toEqual(['x 1', 'x 2']);
  });

  it('forgets what waits for a channel that is no more', async () => {
    await backplane.table('notices').set('0', { channel: 'gone', notice: notice('1'), createdAt: Date.now() });
    start();
    await until(() => stored() === 0);
    expect(taken).toEqual([]);
  });

  it('gives up what is never taken, and goes on with the next', async () => {
    faults.set('1', new NeverTaken('it answered 400'));
    await deliveries.tell(notice('1'), ['x']);
    await deliveries.tell(notice('2'), ['x']);
    await until(() => taken.length === 1 && stored() === 0);
    expect(deliveries.status()[0]).toMatchObject({ delivered: 1, dropped: 1, waiting: 0 });
    expect(logged).toEqual(['a notice was given up']);
  });

  it('gives up what is too old', async () => {
    await deliveries.close();
    let clock = 0;
    start({ keepMs: 1_000, now: () => clock });
    faults.set('1', new Unavailable('away'));
    await deliveries.tell(notice('1'), ['x']);
    clock = 1_001;
    await until(() => stored() === 0);
    expect(deliveries.status()[0]).toMatchObject({ delivered: 0, dropped: 1 });
  });

  it('gives up the oldest when too many wait', async () => {
    await deliveries.close();
    start({ maxWaiting: 2 });
    for (const name of ['0', '1', '2', '3']) faults.set(name, new Unavailable('away'));
    for (const name of ['0', '1', '2', '3']) await deliveries.tell(notice(name), ['x']);
    await until(() => stored() === 3);
    expect(deliveries.status()[0]).toMatchObject({ waiting: 3, dropped: 1 });
    faults.clear();
    await until(() => stored() === 0);
    expect(taken).toEqual(['x 0', 'x 2', 'x 3']);
  });

  it('tries again after a fault that nobody foresaw', async () => {
    faults.set('1', new TypeError('odd'));
    await deliveries.tell(notice('1'), ['x']);
    await until(() => deliveries.status()[0]!.lastError === 'odd');
    faults.clear();
    await until(() => stored() === 0);
    expect(taken).toEqual(['x 1']);
  });

  it('sends a test beside the queue, and says why it was not taken', async () => {
    await deliveries.test('x');
    expect(taken).toEqual([expect.stringContaining('x test-')]);
    await expect(deliveries.test('gone')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('is closed twice without harm', async () => {
    await deliveries.close();
    await deliveries.close();
    expect(stored()).toBe(0);
  });
});

describe('the channel to MQTT', () => {
  it('publishes the notice at the topic, with its names filled in', async () => {
    const published: [string, string][] = [];
    const publish = async (topic: string, payload: string) => void published.push([topic, payload]);
    const mqtt = createMqttChannel('mqtt', 'hub/alerts/{device}/{rule}/{state}', publish);
    await mqtt.send(notice('1'));
    const { device: _, ...ofHub } = notice('2');
    await mqtt.send(ofHub);
    expect(published.map(([topic]) => topic)).toEqual(['hub/alerts/a/hot/firing', 'hub/alerts/hub/hot/firing']);
    expect(JSON.parse(published[0]![1])).toEqual(notice('1'));
  });
});
