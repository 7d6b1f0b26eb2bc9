import { afterEach, describe, expect, it } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import { type CommandResults, createCommandResults, type OwedReply } from '../../hub/bridge/command-results.ts';
import { type AuditedCommand, createInboundCommands } from '../../hub/bridge/inbound-commands.ts';
import type { Incoming } from '../../hub/bridge/link/link-port.ts';
import { compileTopics } from '../../hub/bridge/topics.ts';
import type { Command } from '../../hub/commands/command.ts';
import { createCommands } from '../../hub/commands/commands.ts';
import type { Outlet } from '../../hub/commands/delivery.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { loadCatalog } from '../../schemas/index.ts';
import { FakeLink, incoming } from '../helpers/fake-link.ts';

const TOPICS = compileTopics('hub', {
  telemetry: '{prefix}/{device}/telemetry/{stream}',
  status: '{prefix}/{device}/status',
  command: '{prefix}/{device}/command/{command}',
  result: '{prefix}/{device}/result/{command}',
  state: '{prefix}/$state',
});
const types = loadCatalog().commands;

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A hub's commands and its bridge over a database; `again` is the same after a restart. */
function open(backplane = openBackplane(':memory:'), { tellsAll = true, link = new FakeLink() } = {}) {
  const commands = createCommands({
    table: backplane.table<Command>('commands'),
    types,
    deviceSince: (id) => (id === 'meter' ? 0 : undefined),
  });
  const replies = backplane.table<OwedReply>('mqtt-replies');
  const told = backplane.table<number>('mqtt-told');
  const audited: AuditedCommand[] = [];
  const results: CommandResults = createCommandResults({
    ...{ link, commands, replies, told, resultTopic: TOPICS.result, hubId: 'hub-a', tellsAll, retryMs: 5 },
    log: { warn: () => {} },
  });
  const inbound = createInboundCommands({
    ...{ broker: 'home', commands, results, parseTopic: TOPICS.commandOf, isOwnTopic: TOPICS.owns },
    audit: async (event) => void audited.push(event),
  });
  cleanups.push(async () => {
    await results.close();
    commands.close();
  });
  const say = (command: string, payload: unknown, rest: Partial<Incoming> = {}) =>
    inbound.receive(incoming(`hub/meter/command/${command}`, payload, rest));
  const all = () => commands.list({ limit: 100 }).commands;
  /** Everything published so far, by topic. */
  const heard = (topic: string) =>
    link.published.filter((message) => message.topic === topic).map(({ payload }) => JSON.parse(String(payload)));
  return { backplane, commands, results, inbound, link, replies, audited, say, all, heard };
}

/** A device that answers each command. */
function answerAll({ commands }: ReturnType<typeof open>, frame: object = { ok: true, value: { seconds: 5 } }) {
  const outlet: Outlet = {
    hasRoom: true,
    send(sent) {
      if (sent.type === 'command') void commands.result('meter', { type: 'result', id: sent.id, ...frame } as never);
    },
  };
  commands.opened('meter', outlet);
}

const asking = (rest: object = {}) => ({
  properties: { responseTopic: 'app/answers', correlationData: Buffer.from([0, 255, 7]), ...rest },
});

describe('a command from a broker', () => {
  it('is durable when it is acknowledged, with the broker and the client as its actor', async () => {
    const hub = open();
    await hub.say('set-interval', { seconds: 5 }, { properties: { userProperties: { client: 'panel-3' } } });
    expect(hub.all()).toMatchObject([
      { device: 'meter', name: 'set-interval', params: { seconds: 5 }, state: 'queued', actor: 'mqtt:home/panel-3' },
    ]);
    expect(hub.audited).toEqual([
      {
        ...{ actor: 'mqtt:home/panel-3', action: 'command.send', target: 'meter', result: 'ok', from: 'home' },
        detail: `set-interval ${hub.all()[0]!.id}`,
      },
    ]);
  });

  it.each([
    ['', 'mqtt:home'],
    ['a\nb', 'mqtt:home'],
    ['x'.repeat(65), 'mqtt:home'],
  ])('is not made in the name %j', async (client, actor) => {
    const hub = open();
    await hub.say('identify', '', { properties: { userProperties: { client } } });
    expect(hub.all()[0]).toMatchObject({ actor, params: {} });
  });

  it.each([
    [1, 1_000],
    [59, 59_000],
    [600, 600_000],
    [99_999_999, 30 * 86_400_000],
    [undefined, 3_600_000],
  ])('expires with its message: %s s', async (messageExpiryInterval, ttlMs) => {
    const hub = open();
    await hub.say('identify', '', { properties: messageExpiryInterval === undefined ? {} : { messageExpiryInterval } });
    const { createdAt, expiresAt } = hub.all()[0]!;
    expect(expiresAt - createdAt).toBe(ttlMs);
  });

  it('is left to the broker when the database takes nothing', async () => {
    const hub = open();
    await hub.backplane.close();
    await expect(hub.say('identify', '')).rejects.toThrow(Unavailable);
  });

  it('that comes again is no second one, and one that is sent again is', async () => {
    const hub = open();
    await hub.say('identify', { seconds: 1 });
    await hub.say('identify', { seconds: 1 }, { dup: true });
    expect(hub.all()).toHaveLength(1);
    await hub.say('identify', { seconds: 1 });
    await hub.say('identify', { seconds: 2 }, { dup: true });
    expect(hub.all()).toHaveLength(3);
    expect(hub.inbound.counts).toMatchObject({ received: 4, sent: 3, repeated: 1 });
  });

  it('that comes again while it is being stored, or after a restart, is no second one', async () => {
    const hub = open();
    await Promise.all([hub.say('identify', '', asking()), hub.say('identify', '', { ...asking(), dup: true })]);
    const again = open(hub.backplane);
    await again.say('identify', '', { ...asking(), dup: true });
    expect(again.all()).toHaveLength(1);
  });

  it('ends with its result on the result topic, and nothing comes from progress', async () => {
    const hub = open();
    answerAll(hub);
    await hub.say('set-interval', { seconds: 5 });
    await expect.poll(() => hub.link.published).toHaveLength(1);
    expect(hub.heard('hub/meter/result/set-interval')).toEqual([
      { id: hub.all()[0]!.id, state: 'succeeded', device: 'meter', command: 'set-interval', value: { seconds: 5 } },
    ]);
    expect(hub.link.published[0]!.properties).toMatchObject({ userProperties: { hub: 'hub-a' } });
  });

  it('of an operator ends there, too', async () => {
    const hub = open();
    answerAll(hub, { ok: false, error: { code: 'lamp', message: 'broken' } });
    await hub.commands.send({ device: 'meter', name: 'identify', actor: 'operator:admin' });
    await expect.poll(() => hub.heard('hub/meter/result/identify')).toMatchObject([{ state: 'failed' }]);
  });

  it('is answered where it was asked, with its correlation', async () => {
    const hub = open(undefined, { tellsAll: false });
    answerAll(hub);
    await hub.say('set-interval', { seconds: 5 }, asking());
    await expect.poll(() => hub.heard('app/answers')).toMatchObject([{ state: 'succeeded', value: { seconds: 5 } }]);
    expect(hub.link.published).toHaveLength(1);
    expect(hub.link.published[0]!.properties!.correlationData).toEqual(Buffer.from([0, 255, 7]));
    await expect.poll(() => hub.replies.size).toBe(0);
  });

  it('is answered after an outage of the broker', async () => {
    const hub = open();
    answerAll(hub);
    await hub.say('set-interval', { seconds: 5 }, asking());
    hub.link.isConnected = false;
    await expect.poll(() => hub.all()).toMatchObject([{ state: 'succeeded' }]);
    expect(hub.results.status().waiting).toBe(1);
    expect(hub.replies.size).toBe(1);
    await hub.link.connect();
    await expect.poll(() => hub.heard('app/answers')).toHaveLength(1);
    expect(hub.heard('hub/meter/result/set-interval')).toHaveLength(1);
  });

  it.each([true, false])(
    'is answered after a restart of the hub; the result topic is told, too: %s',
    async (tellsAll) => {
      const link = new FakeLink();
      link.isConnected = false;
      const hub = open(undefined, { link });
      await hub.say('set-interval', { seconds: 5 }, asking());
      answerAll(hub);
      await expect.poll(() => hub.all()).toMatchObject([{ state: 'succeeded' }]);
      await hub.results.close();
      const again = open(hub.backplane, { tellsAll });
      await expect.poll(() => again.heard('app/answers')).toHaveLength(1);
      expect(again.heard('hub/meter/result/set-interval')).toHaveLength(tellsAll ? 1 : 0);
      expect(link.published).toEqual([]);
    },
  );

  it('that was told is not told again after a restart', async () => {
    const hub = open();
    answerAll(hub);
    await hub.say('set-interval', { seconds: 5 }, asking());
    await expect.poll(() => hub.replies.size).toBe(0);
    await hub.results.close();
    const again = open(hub.backplane);
    await again.say('dance', '');
    await expect.poll(() => again.heard('hub/meter/result/dance')).toHaveLength(1);
    expect(again.link.published).toHaveLength(1);
  });
});

describe('a refused command', () => {
  it.each<[string, string, unknown, string, string]>([
    ['of a name that there is not', 'dance', '', 'unknown-command', 'none of the commands'],
    ['with params that do not fit', 'set-interval', { seconds: 'x' }, 'invalid', 'params/seconds must be number'],
    ['that is not JSON', 'identify', 'now', 'invalid', 'not JSON'],
    ['that is no object', 'identify', [1], 'invalid', 'no JSON object'],
    ['that is too long', 'identify', ' '.repeat(65_537), 'invalid', 'longer than any params'],
  ])('%s gets a result that says why', async (_, name, payload, code, message) => {
    const hub = open();
    await hub.say(name, payload, asking());
    const result = {
      ...{ device: 'meter', command: name, state: 'rejected' },
      error: { code, message: expect.stringContaining(message) },
    };
    await expect.poll(() => hub.heard('app/answers')).toEqual([result]);
    expect(hub.heard(`hub/meter/result/${name}`)).toEqual([result]);
    expect(hub.all()).toEqual([]);
    expect(hub.replies.size).toBe(0);
    expect(hub.audited).toMatchObject([{ target: 'meter', result: code, detail: name }]);
  });

  it.each([
    ['app/+', 'wildcard'],
    ['$SYS/x', "broker's own"],
    ['hub/meter/command/reboot', "hub's own"],
    ['hub/other/status', "hub's own"],
    ['', 'is empty'],
    ['x'.repeat(1_025), 'too long'],
  ])('whose answer shall go to %s is told on the result topic only', async (responseTopic, why) => {
    const hub = open();
    await hub.say('identify', '', asking({ responseTopic }));
    await expect.poll(() => hub.heard('hub/meter/result/identify')).toMatchObject([{ state: 'rejected' }]);
    expect(hub.heard('hub/meter/result/identify')[0].error.message).toContain(why);
    expect(hub.link.published).toHaveLength(1);
    expect(hub.all()).toEqual([]);
  });

  it('was retained: it would run at each connection', async () => {
    const hub = open();
    await hub.say('identify', '', { retain: true });
    await expect.poll(() => hub.heard('hub/meter/result/identify')).toMatchObject([{ state: 'rejected' }]);
    expect(hub.all()).toEqual([]);
  });

  it.each(['no name', '', 'x'.repeat(60_000), '$x', 'a\u0000'])(
    'of the device %j is not told on a topic of that name',
    async (device) => {
      const hub = open();
      await hub.inbound.receive(incoming(`hub/${device}/command/identify`, '', asking()));
      await expect.poll(() => hub.heard('app/answers')).toMatchObject([{ error: { code: 'not-found' } }]);
      expect(hub.link.published).toHaveLength(1);
      expect(JSON.stringify(hub.audited).length).toBeLessThan(500);
    },
  );

  it('says so when a device has too many', async () => {
    const hub = open();
    for (let number = 0; number < 51; number++) await hub.say('identify', '');
    await expect.poll(() => hub.heard('hub/meter/result/identify')).toMatchObject([{ error: { code: 'queue-full' } }]);
  });

  it('waits for a broker that is away, the oldest of too many being left out', async () => {
    const hub = open();
    hub.link.isConnected = false;
    for (let number = 0; number < 1_002; number++) await hub.say('dance', '');
    expect(hub.results.status()).toMatchObject({ waiting: 1_000, dropped: 2 });
    await hub.link.connect();
    await expect.poll(() => hub.heard('hub/meter/result/dance')).toHaveLength(1_000);
  });

  it('is left out where the broker forbids it, and holds up nobody', async () => {
    const hub = open();
    hub.link.forbidden = /^app\/answers$/;
    answerAll(hub);
    await hub.say('set-interval', { seconds: 5 }, asking());
    await expect.poll(() => hub.heard('hub/meter/result/set-interval')).toHaveLength(1);
    await expect.poll(() => hub.results.status()).toEqual({ waiting: 0, published: 1, dropped: 1 });
    expect(hub.replies.size).toBe(0);
  });
});
